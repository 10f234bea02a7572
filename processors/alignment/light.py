"""The light aligner: pocketsphinx's acoustic model and our own two-pass Viterbi, for any language.

Pass 1 hears the whole song in 30 ms steps, learns the singer's colour of sound from it and listens
again; lines that contradict the stem or their neighbours lose their window. Pass 2 places every
word within its window in 10 ms steps. Between lines anything may sound (breaks, ad-libs, residue of
separation), lines may be left out, and quiet frames are free to stay empty.

What was heard is kept: lyrics that are edited are placed on it without scoring the song again, and
only senones of the words that moved are looked at.

pocketsphinx's own forced alignment has none of these and needs all states alive in all frames:
on separated songs of 30 s it derailed by up to 7.9 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np

from processors.alignment.acoustic_model import english
from processors.alignment.aligner import Fit, LyricWord, Placement, Progress, check_singable
from processors.alignment.cepstra import features
from processors.alignment.compacting import compacted
from processors.alignment.hearing import (
    Acoustics,
    Floats,
    Hearing,
    acoustics,
    first_bias,
    listen,
    singer_bias,
)
from processors.alignment.languages import resolve
from processors.alignment.memory import Array
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
from processors.alignment.placing import Spot, place, shaped
from processors.alignment.pronunciation import Pronouncer, Pronunciation
from processors.alignment.sections import Section, held_place, sections
from processors.alignment.windows import fit
from processors.audio.activity import HOP_MS, Activity
from processors.audio.samples import Audio


class LightAligner:
    """Forced alignment on the CPU, no weights to download. One espeak-ng process serves it."""

    name = "light"
    hash = ""
    device = "cpu"
    gpu_mib = 0

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
        heard = self.hear(vocals, lines, language, lambda share: progress(0.7 * share))
        return heard.place(lines, language, lambda share: progress(0.7 + 0.3 * share))

    def hear(
        self,
        vocals: Audio,
        lines: Sequence[Sequence[LyricWord]],
        language: str,
        progress: Progress,
    ) -> LightHeard:
        """See ``Aligner.hear``. The lyrics tell the singer's colour of sound."""
        resolve(language)
        hearing = listen(vocals)
        song_ms = int(vocals.frames * 1000 // vocals.rate)
        free = sum(held_place(word) is None for line in lines for word in line)
        if free:
            check_singable(free, hearing.activity)
        bias = first_bias(hearing) if hearing.frames else np.zeros(13, np.float32)
        heard = LightHeard(self._pronouncer, hearing, bias, song_ms)
        progress(0.1)
        if free:
            heard = heard.attuned(lines, language, progress)
        progress(1.0)
        return heard

    def again(self, arrays: Mapping[str, Array]) -> LightHeard:
        """See ``Aligner.again``."""
        return LightHeard.of(self._pronouncer, arrays)


class LightHeard:
    """A stem's cepstra, and their scores in the singer's colour of sound."""

    def __init__(
        self,
        pronouncer: Pronouncer,
        hearing: Hearing,
        bias: Floats,
        song_ms: int,
        *,
        scored: Acoustics | None = None,
    ) -> None:
        self._pronouncer = pronouncer
        self._hearing = hearing
        self._bias = bias
        self._song_ms = song_ms
        self._scored = scored
        self._vowels: tuple[Sequence[Stretch], list[list[int]]] = ((), [])

    @property
    def activity(self) -> Activity:
        """See ``Heard.activity``."""
        return self._hearing.activity

    @property
    def by_sound(self) -> Fit:
        """See ``Heard.by_sound``."""
        return self.fit

    @property
    def _acoustics(self) -> Acoustics:
        if self._scored is None:
            self._scored = acoustics(english(), self._hearing, self._bias)
        return self._scored

    def attuned(
        self, lines: Sequence[Sequence[LyricWord]], language: str, progress: Progress
    ) -> LightHeard:
        """The stem heard anew, in the colour that a first pass over these lyrics tells."""
        stretches = self._cut(lines, language)[2]
        progress(0.3)
        heard = self._acoustics
        progress(0.6)
        rough = [
            coarse_pass(stretch, heard, [SHORTEST_VOWEL] * len(stretch.lines))
            for stretch in stretches
        ]
        progress(0.7)
        bias = singer_bias(heard, owners(rough, self._hearing.frames), self._bias)
        scored = acoustics(english(), self._hearing, bias)
        tuned = LightHeard(self._pronouncer, self._hearing, bias, self._song_ms, scored=scored)
        tuned._vowels = stretches, shortest_vowels(stretches, rough)
        return tuned

    def place(
        self, lines: Sequence[Sequence[LyricWord]], language: str, progress: Progress
    ) -> list[list[Placement]]:
        """See ``Heard.place``."""
        words = [word for line in lines for word in line]
        free = sum(held_place(word) is None for word in words)
        spots: dict[int, Spot] = {}
        said: dict[int, Pronunciation] = {}
        cut: list[Section] = []
        if free:
            check_singable(free, self.activity)
            said, cut, stretches = self._cut(lines, language)
            progress(0.1)
            vowels = self._shortest(stretches)
            rough = [
                coarse_pass(stretch, self._acoustics, least)
                for stretch, least in zip(stretches, vowels, strict=True)
            ]
            progress(0.4)
            for stretch, path, least in zip(stretches, rough, vowels, strict=True):
                spots.update(_second(stretch, path, self._acoustics, least))
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
            self.activity,
        )
        return shaped(placed, lines)

    def fit(
        self, lines: Sequence[Sequence[str]], language: str, start_ms: int, end_ms: int
    ) -> float | None:
        """See ``Heard.fit``."""
        words = [[LyricWord(text) for text in line] for line in lines]
        said = self._said(words, language)
        numbers = iter(range(len(said)))
        rows = tuple(tuple(next(numbers) for _ in line) for line in lines)
        stretch = _stretch(Section(start_ms, end_ms, rows), said, self._hearing.frames)
        path = coarse_pass(stretch, self._acoustics, [SHORTEST_VOWEL] * len(stretch.lines))
        row = [word for line in hear(stretch, path, self._acoustics) for word in line]
        return None if not row or any(word.start is None for word in row) else fit(row)

    def arrays(self) -> dict[str, Array]:
        """See ``Heard.arrays``."""
        hearing, scored = self._hearing, self._scored
        kept: dict[str, Array] = {
            "statics": hearing.statics,
            "voice": hearing.voice,
            "rms": hearing.activity.rms,
            "active": hearing.activity.active,
            "bias": self._bias,
            "song_ms": np.array(self._song_ms),
        }
        if scored is not None:
            kept |= {"best": scored.best, "phones": scored.phones.astype(np.float16)}
        return kept

    @classmethod
    def of(cls, pronouncer: Pronouncer, arrays: Mapping[str, Array]) -> LightHeard:
        """What `arrays` gave."""
        statics = np.asarray(arrays["statics"], np.float32)
        active = np.asarray(arrays["active"], np.bool_)
        activity = Activity(np.asarray(arrays["rms"], np.float32), active)
        voice = np.asarray(arrays["voice"], np.float32)
        hearing = Hearing(statics, active[: len(statics)], voice, activity)
        bias = np.asarray(arrays["bias"], np.float32)
        scored = None
        if "phones" in arrays:
            scored = Acoustics(
                english(),
                hearing,
                features(statics - bias),
                np.asarray(arrays["best"], np.float32),
                np.asarray(arrays["phones"], np.float32),
            )
        return cls(pronouncer, hearing, bias, int(arrays["song_ms"]), scored=scored)

    def _shortest(self, stretches: Sequence[Stretch]) -> list[list[int]]:
        """The vowels' bounds: known where these lyrics were heard before, else by a first pass."""
        known, vowels = self._vowels
        if list(known) == list(stretches):
            return vowels
        rough = [
            coarse_pass(stretch, self._acoustics, [SHORTEST_VOWEL] * len(stretch.lines))
            for stretch in stretches
        ]
        return shortest_vowels(stretches, rough)

    def _cut(
        self, lines: Sequence[Sequence[LyricWord]], language: str
    ) -> tuple[dict[int, Pronunciation], list[Section], list[Stretch]]:
        said = self._said(lines, language)
        cut = sections(lines, self._song_ms)
        stretches = [_stretch(section, said, self._hearing.frames) for section in cut]
        return said, cut, [stretch for stretch in stretches if stretch.lines]

    def _said(
        self, lines: Sequence[Sequence[LyricWord]], language: str
    ) -> dict[int, Pronunciation]:
        words = [word for line in lines for word in line]
        free = [number for number, word in enumerate(words) if held_place(word) is None]
        texts = [words[number].text for number in free]
        return dict(zip(free, self._pronouncer.pronounce(texts, language), strict=True))


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
