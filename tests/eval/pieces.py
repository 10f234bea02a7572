"""What is evaluated: songs whose word times are known, made ones and real ones alike."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests import songs

ADLIB = "adlib"
"""A made kind of its own: `songs`' break, with somebody singing into it what no lyrics have."""

MADE_KINDS = (*songs.KINDS, ADLIB)

_ADLIB_WORDS = 3
_RATE = 44_100


@dataclass(frozen=True, slots=True)
class TrueWord:
    """A word and when it is sung; ``end_ms`` is None where a data set has onsets only."""

    text: str
    start_ms: int
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A song to evaluate.

    ``lines`` are the lyrics as given to the product, each word with its truth. ``extra`` is sung
    but not in the lyrics. ``vocals`` is the true voice where it is known, as a path, too.
    """

    name: str
    language: str
    mix: Path
    lines: tuple[tuple[TrueWord, ...], ...]
    vocals: Path | None = None
    extra: tuple[TrueWord, ...] = field(default=())

    @property
    def words(self) -> list[TrueWord]:
        """The words of the lyrics in order."""
        return [word for line in self.lines for word in line]

    @property
    def text(self) -> str:
        """The lyrics as a person would paste them."""
        return "\n".join(" ".join(word.text for word in line) for line in self.lines) + "\n"

    def to_json(self) -> str:
        """For the process that measures it."""
        return json.dumps(asdict(self) | {"mix": str(self.mix), "vocals": str(self.vocals or "")})

    @classmethod
    def from_json(cls, text: str) -> Piece:
        """Read `to_json`."""
        wire: dict[str, Any] = json.loads(text)
        return cls(
            name=wire["name"],
            language=wire["language"],
            mix=Path(wire["mix"]),
            lines=tuple(tuple(TrueWord(**word) for word in line) for line in wire["lines"]),
            vocals=Path(wire["vocals"]) if wire["vocals"] else None,
            extra=tuple(TrueWord(**word) for word in wire["extra"]),
        )


def made(kinds: Sequence[str], seeds: Sequence[int], folder: Path) -> Iterator[Piece]:
    """Songs of `tests.songs`, and the ones built from them, which are written into ``folder``."""
    for kind in kinds:
        for seed in seeds:
            if kind == ADLIB:
                yield _with_adlib(seed, folder)
                continue
            found = next(known for known in songs.KINDS if known == kind)
            yield _piece(songs.make(found, seed))


def _piece(song: songs.Song) -> Piece:
    vocals = song.path.with_name("vocals.flac")
    lines = tuple(tuple(_true(word) for word in line) for line in song.lines)
    return Piece(song.name, song.language, song.path, lines, vocals)


def _true(word: songs.WordTruth) -> TrueWord:
    return TrueWord(word.text, word.start_ms, word.end_ms)


def _with_adlib(seed: int, folder: Path) -> Piece:
    """The song with a break, the first words of its chorus sung once more in the middle of it."""
    song = songs.make("english_break", seed)
    random = np.random.default_rng([seed, zlib.crc32(ADLIB.encode())])
    words = song.lines[3][:_ADLIB_WORDS]
    ends = [line[-1].end_ms for line in song.lines]
    after, before = max(
        ((a, line[0].start_ms) for a, line in zip(ends, song.lines[1:], strict=False)),
        key=lambda gap: gap[1] - gap[0],
    )
    length = words[-1].end_ms - words[0].start_ms
    at = int(random.integers(after + 2_000, before - length - 3_000))
    shift = at - words[0].start_ms
    vocals = song.vocals.samples.copy()
    first, last = (ms * _RATE // 1000 for ms in (words[0].start_ms, words[-1].end_ms))
    phrase = song.vocals.samples[:, first:last].copy()
    fade = np.linspace(0, 1, _RATE // 100, dtype=np.float32)
    phrase[:, : len(fade)] *= fade
    phrase[:, -len(fade) :] *= fade[::-1]
    begin = at * _RATE // 1000
    vocals[:, begin : begin + phrase.shape[1]] += phrase
    home = folder / f"{ADLIB}-{seed}"
    home.mkdir(parents=True, exist_ok=True)
    mix = vocals + song.backing.samples
    scale = min(1.0, 0.95 / float(np.abs(mix).max()))
    soundfile.write(home / "vocals.flac", scale * vocals.T, _RATE, subtype="PCM_24")
    soundfile.write(home / "mix.flac", scale * mix.T, _RATE, subtype="PCM_24")
    return Piece(
        name=f"{ADLIB}-{seed}",
        language=song.language,
        mix=home / "mix.flac",
        lines=tuple(tuple(_true(word) for word in line) for line in song.lines),
        vocals=home / "vocals.flac",
        extra=tuple(TrueWord(w.text, w.start_ms + shift, w.end_ms + shift) for w in words),
    )
