"""The product's end of the pipe to espeak-ng (GPL: ``espeak_process`` runs apart)."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from typing import Any

_ANSWER_S = 20.0
"""Longest wait for one answer, s; a batch of 512 words takes about 0.05 s, a cold start 0.5 s."""

_BATCH = 512
"""Words in one request: keeps both directions of the pipe far below its 64 KiB buffer's worth of
unread answers, so that neither side can block the other."""


class EspeakFailed(RuntimeError):
    """The grapheme-to-phoneme process died twice on the same request, or did not answer."""


class Espeak:
    """espeak-ng behind a pipe: started at the first use, restarted once when it dies.

    Safe to share between threads. ``close`` (or leaving the ``with`` block, or the end of this
    process) ends the child, which also leaves by itself when its stdin closes.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = tuple(
            command or (sys.executable, "-m", "processors.alignment.espeak_process")
        )
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._reap: weakref.finalize[..., Espeak] | None = None
        self._unread = b""

    def __enter__(self) -> Espeak:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the child, None while it isn't running."""
        return None if self._child is None else self._child.pid

    def ipa(self, voice: str, words: Sequence[str]) -> list[str]:
        """IPA of each word, phonemes separated by ``_``; empty where espeak says nothing.

        Raises ``ValueError`` for a request that espeak refuses (unknown voice) and
        ``EspeakFailed`` when the process cannot be kept alive.
        """
        spoken: list[str] = []
        for at in range(0, len(words), _BATCH):
            batch = list(words[at : at + _BATCH])
            spoken += self._ask({"voice": voice, "words": batch})["ipa"]
        return spoken

    def voices(self) -> list[list[str]]:
        """Every voice: its identifier, then its language tags, the most specific first."""
        voices: list[list[str]] = self._ask({"voices": True})["voices"]
        return voices

    def close(self) -> None:
        """End the child; the next request starts another."""
        with self._lock:
            self._stop()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        line = json.dumps(request).encode() + b"\n"
        with self._lock:
            for _attempt in range(2):
                answer = self._exchange(line)
                if answer is not None:
                    break
                self._stop()
            else:
                raise EspeakFailed(
                    "pronunciation: the espeak-ng process ended or hung twice on the same words; "
                    "check that the espeakng-loader wheel is installed whole"
                )
        if "error" in answer:
            raise ValueError(f"pronunciation: espeak-ng refused the request: {answer['error']}")
        return answer

    def _exchange(self, line: bytes) -> dict[str, Any] | None:
        child = self._start()
        assert child.stdin is not None
        try:
            child.stdin.write(line)
            child.stdin.flush()
        except OSError:
            return None
        reply = self._read_line(child)
        if reply is None:
            return None
        try:
            answer = json.loads(reply)
        except ValueError:
            return None
        return answer if isinstance(answer, dict) else None

    def _read_line(self, child: subprocess.Popen[bytes]) -> bytes | None:
        assert child.stdout is not None
        fd = child.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(_ANSWER_S):
                    return None
                chunk = os.read(fd, 65536)
                if not chunk:
                    return None
                self._unread += chunk
        line, self._unread = self._unread.split(b"\n", 1)
        return line

    def _start(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._unread = b""
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._reap = weakref.finalize(self, _end, self._child)
        return self._child

    def _stop(self) -> None:
        if self._reap is not None:
            self._reap()
        self._child = self._reap = None


def _end(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # unsent bytes for a child that is gone
                pipe.close()
    try:
        child.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
