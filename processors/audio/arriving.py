"""A song that is decoded while its bytes arrive: formats that need no look at their end.

What comes out is a first view of the song. Nothing has vouched for the bytes yet, so that errors
are no errors here: the samples end, and `decoding` says of the whole file what is wrong with it.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from contextlib import suppress

import numpy as np

from processors.audio import ffmpeg
from processors.audio.decoding import mixed
from processors.audio.mixdown import MOST_CHANNELS, matrix
from processors.audio.samples import Audio, Samples
from processors.audio.undecodable import Undecodable
from topics import logs
from topics.sniffing import HEAD_BYTES, sniff

STREAMED = ("flac", "mp3", "wav")
"""Read from their start to their end; others keep their index or their length at the end."""

_PATIENCE_S = 5.0  # with a decoder that takes nothing; the download must not wait for it
_LAST_S = 5.0  # for the decoder to end once nothing comes any more

_log = logs.get(__name__)


class Arriving:
    """Bytes in, samples out, for one song. Whoever downloads feeds, another thread asks."""

    def __init__(self, rate: int, max_seconds: float) -> None:
        """``rate`` is that of the samples; what is longer than ``max_seconds`` ends there."""
        self._rate = rate
        self._max_s = max_seconds
        self._head = b""
        self._pipe: int | None = None  # the writing end; None before and after
        self._writing = threading.Lock()
        self._decoder: threading.Thread | None = None
        self._changed = threading.Condition()
        self._pieces: deque[Samples] = deque()  # (frames, channels)
        self._first = 0  # frame of the song that the pieces begin with
        self._ended = False

    def feed(self, data: bytes) -> None:
        """The next bytes. Never raises, and never waits long."""
        if self._ended:
            return
        if self._decoder is None:
            self._head += data
            if len(self._head) < HEAD_BYTES:
                return
            data = self._begin()
        self._write(data)

    def end(self) -> None:
        """No bytes follow."""
        if self._decoder is None and not self._ended:
            self._write(self._begin())
        self._hang_up()

    def close(self) -> None:
        """No samples are wanted any more: nothing waits, nothing is kept."""
        with self._changed:
            self._ended = True
            self._pieces.clear()
            self._changed.notify_all()
        self._hang_up()
        if self._decoder is not None:
            self._decoder.join(_LAST_S)

    def span(self, first: int, last: int) -> Audio | None:
        """Frames ``[first, last)`` at the rate asked for, once they are there, mono or stereo.

        None where the song ends before. What lies before ``first`` cannot be asked for again.
        """
        with self._changed:
            while not self._has(last) and not self._ended:
                self._changed.wait()
            if not self._has(last):
                return None
            while self._first + len(self._pieces[0]) <= first:
                self._first += len(self._pieces.popleft())
            joined = np.concatenate(self._pieces)
            self._pieces = deque([joined])
            wanted = joined[first - self._first : last - self._first]
            return Audio(np.ascontiguousarray(wanted.T), self._rate)

    def _has(self, frames: int) -> bool:
        return bool(self._pieces) and self._first + sum(map(len, self._pieces)) >= frames

    def _begin(self) -> bytes:
        """Start the decoder of the format; the bytes that it has to be given first."""
        sound = sniff(self._head[:HEAD_BYTES])
        head, self._head = self._head, b""
        if sound is None or sound.name not in STREAMED:
            self._ended = True
            return b""
        reading, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        self._decoder = threading.Thread(
            target=self._decode, args=(reading, sound.name), name="arriving", daemon=True
        )
        self._decoder.start()
        return head

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest and (pipe := self._pipe) is not None:
            try:
                taken = self._taken(rest)
                if taken is None and not select.select([], [pipe], [], _PATIENCE_S)[1]:
                    self._hang_up()
                rest = rest[taken or 0 :]
            except OSError:  # it has read enough, could make nothing of it, or was hung up on
                self._hang_up()

    def _taken(self, rest: memoryview) -> int | None:
        """Bytes that the decoder took; None while it has no room."""
        with self._writing:
            try:
                return os.write(self._pipe, rest) if self._pipe is not None else len(rest)
            except BlockingIOError:
                return None

    def _hang_up(self) -> None:
        """By whichever thread is first. Never in the middle of a write, whose descriptor could be
        another file's by then."""
        with self._writing:
            pipe, self._pipe = self._pipe, None
            if pipe is not None:
                os.close(pipe)

    def _decode(self, reading: int, format_name: str) -> None:
        try:
            with ffmpeg.decoded(reading, format_name, self._max_s) as wave:
                if wave.channels > MOST_CHANNELS:
                    return
                gains = matrix(wave.channels, min(wave.channels, 2))
                for piece in mixed(wave.blocks, wave.rate, gains, self._rate):
                    with self._changed:
                        if self._ended:
                            return
                        self._pieces.append(piece)
                        self._changed.notify_all()
        except (ffmpeg.FfmpegFailed, Undecodable, OSError) as error:
            _log.info("a song cannot be decoded while it arrives", kind=type(error).__name__)
        finally:
            with suppress(OSError):
                os.close(reading)
            with self._changed:
                self._ended = True
                self._changed.notify_all()
