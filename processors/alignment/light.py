"""The light aligner: pocketsphinx's acoustic model and our own two-pass Viterbi, for any language.

Pass 1 hears the whole song in 30 ms steps, learns the singer's colour of sound from it and listens
again; lines that contradict the stem or their neighbours lose their window. Pass 2 places every
word within its window in 10 ms steps. Between lines anything may sound (breaks, ad-libs, residue of
separation), lines may be left out, and quiet frames are free to stay empty.

pocketsphinx's own forced alignment has none of these and needs all states alive in all frames:
on separated songs of 30 s it derailed by up to 7.9 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from processors.alignment.acoustic_model import english
from processors.alignment.aligner import (
    LyricsDontFit,
    LyricWord,
    NoSinging,
    Placement,
    Progress,
)
from processors.alignment.compacting import compacted
from processors.alignment.hearing import Acoustics, acoustics, first_bias, listen, singer_bias
from processors.alignment.languages import resolve
from processors.alignment.passes import (
    SHORTEST_VOWEL,
    Path,
    Stretch,
    coarse_pass,
    fine_pass,
    hear,
    owners,
    shortest_vowels,
)
from processors.alignment.placing import Spot, place
from processors.alignment.pronunciation import Pronouncer, Pronunciation
from processors.alignment.sections import Section, is_fixed, sections
from processors.audio.activity import HOP_MS
from processors.audio.samples import Audio

FASTEST_WORDS_PER_S = 8.0
"""Sung words a second that nobody exceeds over a whole song (the fastest rap on record: 6.5)."""

_SPARE_WORDS = 10  # a short stem may be all chatter


class LightAligner:
    """Forced alignment on the CPU, no weights to download. One espeak-ng process serves it."""

    name = "light"

    def __init__(self, pronouncer: Pronouncer | None = None) -> None:
        self._pronouncer = pronouncer or Pronouncer()

    @property
    def model(self) -> str:
        """The acoustic model and the wheel it came in."""
        return f"pocketsphinx-{version('pocketsphinx')}-en-us-ptm"

    def close(self) -> None:
        """End the espeak-ng process."""
        self._pronouncer.close()

    def align(
        self,
        vocals: Audio,
        lines: Sequence[Sequence[LyricWord]],
        language: str,
        progress: Progress,
    ) -> list[list[Placement]]:
        """See ``Aligner.align``."""
        resolve(language)
        words = [word for line in lines for word in line]
        free = [number for number, word in enumerate(words) if not is_fixed(word)]
        if not free:
            return _shaped([_manual(word) for word in words], lines)
        hearing = listen(vocals)
        sung_s = hearing.activity.sung_ms() / 1000
        if sung_s == 0:
            raise NoSinging
        if len(free) > FASTEST_WORDS_PER_S * sung_s + _SPARE_WORDS:
            raise LyricsDontFit(len(free), sung_s)
        progress(0.1)

        said = dict(
            zip(
                free,
                self._pronouncer.pronounce([words[number].text for number in free], language),
                strict=True,
            )
        )
        song_ms = int(vocals.frames * 1000 // vocals.rate)
        cut = sections(lines, song_ms)
        stretches = [_stretch(section, said, hearing.frames) for section in cut]
        stretches = [stretch for stretch in stretches if stretch.lines]
        progress(0.2)

        model = english()
        bias = first_bias(hearing)
        heard = acoustics(model, hearing, bias)
        progress(0.4)
        rough = [
            coarse_pass(stretch, heard, [SHORTEST_VOWEL] * len(stretch.lines))
            for stretch in stretches
        ]
        heard = acoustics(model, hearing, singer_bias(heard, owners(rough, hearing.frames), bias))
        progress(0.6)
        vowels = shortest_vowels(stretches, rough)
        rough = [
            coarse_pass(stretch, heard, least)
            for stretch, least in zip(stretches, vowels, strict=True)
        ]
        progress(0.7)
        spots: dict[int, Spot] = {}
        for stretch, path, least in zip(stretches, rough, vowels, strict=True):
            spots.update(_second(stretch, path, heard, least))
        progress(1.0)
        placed = place(
            words,
            spots,
            {number: one.reason for number, one in said.items() if one.reason is not None},
            {
                number: (section.start_ms, section.end_ms)
                for section in cut
                for number in section.words
            },
            [at for at, line in enumerate(lines) for _ in line],
            hearing.activity,
        )
        return _shaped(placed, lines)


def _stretch(section: Section, said: dict[int, Pronunciation], frames: int) -> Stretch:
    lines = (
        tuple((number, said[number].phones) for number in line if said[number].phones)
        for line in section.lines
    )
    first = min(-(-section.start_ms // HOP_MS), frames)
    last = min(section.end_ms // HOP_MS, frames)
    return Stretch(tuple(line for line in lines if line), first, max(first, last))


def _second(
    stretch: Stretch, rough: Path, heard: Acoustics, vowels: Sequence[int]
) -> dict[int, Spot]:
    path = fine_pass(stretch, heard, hear(stretch, rough, heard), vowels)
    if not len(path.word):  # three states a phone don't fit where one did: locked words are near
        path = rough
    spots: dict[int, Spot] = {}
    rows = compacted(stretch, hear(stretch, path, heard), heard, vowels)
    for line, row in zip(stretch.lines, rows, strict=True):
        for (number, _), word in zip(line, row, strict=True):
            if word.start is not None and word.end is not None:
                # frame t stands for the 10 ms around t * 10 ms
                half = HOP_MS // 2
                start, end = word.start * HOP_MS - half, word.end * HOP_MS - half
                spots[number] = Spot(max(0, start), end, word.score)
    return spots


def _manual(word: LyricWord) -> Placement:
    return Placement(word.start_ms, word.end_ms, 1.0, "manual")


def _shaped(
    placed: Sequence[Placement], lines: Sequence[Sequence[LyricWord]]
) -> list[list[Placement]]:
    rest = iter(placed)
    return [[next(rest) for _ in line] for line in lines]
