"""From a file to samples, or to a reason that a musician understands.

PCM and FLAC are read by libsndfile, everything else by FFmpeg in a process of its own. Sound
passes in blocks: mixed down and resampled as it comes, so memory follows the result and not the
file. Lengths are checked before decoding where the header tells them, and while decoding where
it doesn't.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from processors.audio import containers, ffmpeg
from processors.audio.mixdown import MOST_CHANNELS, matrix
from processors.audio.samples import Audio, Samples
from processors.audio.undecodable import Undecodable
from topics.sniffing import HEAD_BYTES, SoundFormat, sniff

_ACCEPTED = "upload WAV, AIFF, FLAC, MP3, M4A or OGG"
_READ_BY_LIBSNDFILE = ("wav", "rf64", "aiff", "aifc", "flac")
_STATES_ITS_LENGTH = ("m4a", "mp4", "matroska", "webm", "caf", "wma", "mp3")
_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ = 8_000, 384_000
_BLOCK_FRAMES = 1 << 16
_UNCOUNTED = 1 << 48  # frames; libsndfile's way to say that a piped FLAC doesn't count them
_SLACK_S = 1.0  # containers round lengths and encoders pad: less isn't a truncation
_SLACK_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """What the header says: ``seconds`` is None when only decoding would tell.

    ``encoding`` is libsndfile's word for how samples are stored (``pcm_24``, ``float``), empty
    when FFmpeg decodes.
    """

    format: SoundFormat
    rate: int
    channels: int
    seconds: float | None
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is open: its facts and blocks ``(frames, channels) float32``, read once."""

    facts: SoundFacts
    blocks: Iterable[Samples]


def probe(path: Path) -> SoundFacts:
    """Read what the header says, without decoding. Raises `Undecodable`."""
    with opened(path, 0.1) as source:
        return source.facts


def decode(
    path: Path,
    *,
    max_seconds: float,
    min_seconds: float = 0.0,
    rate: int | None = None,
    channels: int | None = None,
) -> Audio:
    """Decode a song to ``(channels, frames) float32``.

    ``rate`` in Hz and ``channels`` (1 or 2) ask for a working format; without them a song keeps
    its rate, mono stays mono and surround becomes stereo. Samples may exceed full scale.
    Raises `Undecodable` when the file is not sound, is cut off, or is not between
    ``min_seconds`` and ``max_seconds`` long.
    """
    with opened(path, max_seconds + _SLACK_S) as source:
        facts = source.facts
        if facts.seconds is not None and facts.seconds > max_seconds:
            raise too_long(max_seconds, facts.seconds)
        wanted = channels or min(facts.channels, 2)
        most = math.floor(max_seconds * facts.rate)
        try:
            audio = _gather(source, matrix(facts.channels, wanted), rate or facts.rate, most)
        except OverflowError:
            raise too_long(max_seconds, None) from None
        except soundfile.LibsndfileError:
            raise unreadable(facts) from None
    check_length(audio.seconds, facts, min_seconds)
    return audio


def check_length(seconds: float, facts: SoundFacts, min_seconds: float) -> None:
    """Raise `Undecodable` when what came is less than what was announced or needed."""
    if seconds == 0:
        raise _no_samples()
    if facts.seconds is not None:
        slack = max(_SLACK_S, _SLACK_SHARE * facts.seconds)
        if facts.format.name == "flac":
            slack = 0.001  # STREAMINFO counts samples
        if seconds < facts.seconds - slack:
            raise _truncated(f"{facts.seconds:.0f} s are announced, {seconds:.0f} s are there")
    if seconds < min_seconds:
        raise Undecodable(
            "too_short",
            f"The song is {seconds:.1f} s long; at least {min_seconds:g} s are needed."
            " Upload the whole song.",
        )


@contextmanager
def opened(path: Path, seconds: float) -> Iterator[Source]:
    """The sound of a file, at most ``seconds`` of it, once its header has been believed."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise Undecodable("empty_file", "The file is empty (0 bytes); upload it again.")
    sound = sniff(head)
    if sound is None:
        raise Undecodable(
            "not_audio", f"The file is not audio, whatever its name says; {_ACCEPTED}."
        )
    stated = containers.promise(path, sound)
    if stated is not None and stated.stated == 0:
        raise _no_samples()
    if stated is not None and not stated.kept:
        share = 100 * stated.present // stated.stated
        raise _no_samples() if stated.present <= 0 else _truncated(f"about {share} % is there")
    if sound.name in _READ_BY_LIBSNDFILE:
        try:
            opened = soundfile.SoundFile(path)
        except soundfile.LibsndfileError:
            opened = None  # a codec inside the container that only FFmpeg knows
        if opened is not None and opened.frames < _UNCOUNTED:
            with opened:
                yield _by_libsndfile(opened, sound)
            return
    seconds_stated = (
        ffmpeg.declared_seconds(path, sound.name) if sound.name in _STATES_ITS_LENGTH else None
    )
    try:
        with ffmpeg.decoded(path, sound.name, seconds) as wave:
            yield Source(_facts(sound, wave.rate, wave.channels, seconds_stated), wave.blocks)
    except ffmpeg.FfmpegFailed as failure:
        raise _refused_by_ffmpeg(failure.log) from None


def _by_libsndfile(file: soundfile.SoundFile, sound: SoundFormat) -> Source:
    frames = int(file.frames)
    if frames == 0:
        raise _no_samples()
    rate = int(file.samplerate)
    facts = _facts(sound, rate, int(file.channels), frames / rate)
    facts = replace(facts, encoding=str(file.subtype).lower())
    return Source(facts, file.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True))


def _facts(sound: SoundFormat, rate: int, channels: int, seconds: float | None) -> SoundFacts:
    if not 1 <= channels <= MOST_CHANNELS:
        raise Undecodable(
            "unsupported_channels",
            f"The file has {channels} channels; upload a mix with 1 to {MOST_CHANNELS}.",
        )
    if not _LOWEST_RATE_HZ <= rate <= _HIGHEST_RATE_HZ:
        raise Undecodable(
            "unsupported_rate",
            f"The file's sample rate is {rate} Hz; upload one between {_LOWEST_RATE_HZ} and"
            f" {_HIGHEST_RATE_HZ} Hz.",
        )
    return SoundFacts(sound, rate, channels, seconds)


def _gather(source: Source, gains: Samples, rate: int, most_frames: int) -> Audio:
    """Mix, resample and collect. Raises ``OverflowError`` past ``most_frames`` of the source."""
    blocks = _at_most(source.blocks, most_frames)
    return Audio(_joined(list(mixed(blocks, source.facts.rate, gains, rate)), len(gains)), rate)


def _at_most(blocks: Iterable[Samples], frames: int) -> Iterator[Samples]:
    for block in blocks:
        frames -= len(block)
        if frames < 0:
            raise OverflowError
        yield block


def mixed(
    blocks: Iterable[Samples], from_rate: int, gains: Samples, rate: int
) -> Iterator[Samples]:
    """Blocks ``(frames, channels)`` mixed down and resampled as they come.

    Raises `Undecodable` where samples are no numbers.
    """
    wanted = len(gains)
    plain = gains.shape[0] == gains.shape[1]
    stream = (
        soxr.ResampleStream(from_rate, rate, wanted, dtype="float32", quality="HQ")
        if rate != from_rate
        else None
    )
    for block in blocks:
        if not np.isfinite(block).all():
            raise not_finite()
        heard = block if plain else block @ gains.T
        yield stream.resample_chunk(heard) if stream else heard
    if stream is not None:
        yield stream.resample_chunk(np.empty((0, wanted), np.float32), last=True)


def not_finite() -> Undecodable:
    """Samples that are no numbers."""
    return Undecodable(
        "not_finite",
        "The file holds samples that are not numbers (NaN or infinite), from a broken"
        " export or plug-in; export the song again.",
    )


def _joined(pieces: list[Samples], channels: int) -> Samples:
    """``(channels, frames)`` from blocks of frames, which are let go of one by one."""
    joined = np.empty((channels, sum(map(len, pieces))), dtype=np.float32)
    pieces.reverse()
    at = 0
    while pieces:
        piece = pieces.pop()
        joined[:, at : at + len(piece)] = piece.T
        at += len(piece)
    return joined


def _refused_by_ffmpeg(log: str) -> Undecodable:
    if "matches no streams" in log:
        return Undecodable(
            "no_audio_stream", f"The file holds no sound, only pictures or data; {_ACCEPTED}."
        )
    if "moov atom not found" in log:
        return _truncated("its index, which stands at the end, is missing")
    if "partial file" in log or "File ended prematurely" in log:
        return _truncated("it ends before its header says")
    return _damaged()


def _damaged() -> Undecodable:
    return Undecodable(
        "damaged",
        "The file begins like audio but can't be decoded; export the song again and upload it.",
    )


def unreadable(facts: SoundFacts) -> Undecodable:
    """libsndfile opened the file and lost its way; in FLAC that is mostly a cut last frame."""
    if facts.format.name != "flac" or facts.seconds is None:
        return _damaged()
    return _truncated(f"of {facts.seconds:.0f} s that are announced not all can be read")


def _no_samples() -> Undecodable:
    return Undecodable(
        "no_samples",
        "The file has a header but no sound in it; the export or recording didn't finish."
        " Export the song again and upload it.",
    )


def _truncated(detail: str) -> Undecodable:
    return Undecodable(
        "truncated", f"The file is cut off: {detail}. Upload it again from the original."
    )


def too_long(max_seconds: float, seconds: float | None) -> Undecodable:
    """More than the limit; ``seconds`` is None when the header didn't tell."""
    length = f"{seconds:.0f} s" if seconds is not None else f"more than {max_seconds:.0f} s"
    return Undecodable(
        "too_long",
        f"The song is {length} long; at most {max_seconds:g} s are accepted."
        " Cut it into parts and upload them one by one.",
    )
