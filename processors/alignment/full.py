"""The full aligner: CTC forced alignment over what a NeMo speech model heard of the stem.

Pass 1 places all words freely, with gaps between lines that may hold anything and lines that may be
left out; lines that contradict the stem or their neighbours lose their place, and pass 2 aligns
again with every word within its window (`windows`). Lines that a break still stretches are looked
for alone, at their neighbours' pace. Onsets and ends follow the voice (`onsets`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, floor

import numpy as np

from processors.alignment.aligner import Fit, LyricWord, Placement, Progress, check_singable
from processors.alignment.ctc import Emissions, Line, TokenSpan, align_tokens
from processors.alignment.ears import Ears, ears
from processors.alignment.memory import Array
from processors.alignment.onsets import spots
from processors.alignment.placing import Spot, place, shaped
from processors.alignment.sayable import Spelt, spelt
from processors.alignment.sections import Section, held_place, sections
from processors.alignment.windows import SCORE_NATS, fit, pace, trusted, windows
from processors.alignment.windows import Heard as Row
from processors.audio.activity import HOP_MS, Activity, detect
from processors.audio.samples import Audio
from processors.speech import SpeechBackend
from processors.vocabulary import Vocabulary

_STRETCHED, _ROOM, _NEIGHBOURS = 1.5, 1.35, 6
"""As in `compacting`: a line this many times slower than that many lines on each side is looked for
again, in this many times the length that their pace gives it."""


class SpeechAligner(SpeechBackend):
    """Aligns the languages that its model was trained on."""

    def align(
        self,
        vocals: Audio,
        lines: Sequence[Sequence[LyricWord]],
        language: str,
        progress: Progress,
    ) -> list[list[Placement]]:
        """See ``Aligner.align``."""
        heard = self.hear(vocals, lines, language, lambda share: progress(0.9 * share))
        return heard.place(lines, language, lambda share: progress(0.9 + 0.1 * share))

    def hear(
        self,
        vocals: Audio,
        lines: Sequence[Sequence[LyricWord]],
        language: str,
        progress: Progress,
    ) -> SpeechHeard:
        """See ``Aligner.hear``. The lyrics only say whether it is worth while."""
        activity = detect(vocals)
        free = sum(held_place(word) is None for line in lines for word in line)
        if free:
            check_singable(free, activity)
        song_ms = int(vocals.frames * 1000 // vocals.rate)
        heard = self._speech.hear(vocals, progress)
        return SpeechHeard(
            self._speech.vocabulary,
            self._speech.fingerprint,
            heard,
            activity,
            song_ms,
            ears(vocals, activity),
        )

    def again(self, arrays: Mapping[str, Array]) -> SpeechHeard:
        """See ``Aligner.again``."""
        return _heard(self._speech.vocabulary, arrays)


class SpeechHeard:
    """Log-probabilities of a stem, where it is sung, and the letters that they stand for."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        fingerprint: str,
        emissions: Emissions,
        activity: Activity,
        song_ms: int,
        listens: Ears | None = None,
    ) -> None:
        """``fingerprint``: that of the model, see `speech_models`. ``listens``: to the language."""
        self._vocabulary = vocabulary
        self._fingerprint = fingerprint
        self._emissions = emissions
        self._activity = activity
        self._song_ms = song_ms
        self._ears = listens
        self._quiet = _spaces_quiet(emissions, vocabulary.space)

    @property
    def activity(self) -> Activity:
        """See ``Heard.activity``."""
        return self._activity

    @property
    def by_sound(self) -> Fit | None:
        """See ``Heard.by_sound``. None for what was heard before cepstra were kept with it."""
        return None if self._ears is None else self._ears.fit

    def arrays(self) -> dict[str, Array]:
        """See ``Heard.arrays``."""
        cepstra = {} if self._ears is None else {_CEPSTRA: self._ears.statics}
        return {
            "log_probs": self._emissions.log_probs.astype(np.float16),
            "blank": np.array(self._emissions.blank),
            "frame_ms": np.array(self._emissions.frame_ms),
            "rms": self._activity.rms,
            "active": self._activity.active,
            "song_ms": np.array(self._song_ms),
            _FINGERPRINT: np.array(self._fingerprint),
            **cepstra,
            **self._vocabulary.arrays(),
        }

    def place(
        self, lines: Sequence[Sequence[LyricWord]], language: str, progress: Progress
    ) -> list[list[Placement]]:
        """See ``Heard.place``."""
        words = [word for line in lines for word in line]
        free = [number for number, word in enumerate(words) if held_place(word) is None]
        said: dict[int, Spelt] = {}
        found: dict[int, Spot] = {}
        cut: list[Section] = []
        if free:
            check_singable(len(free), self._activity)
            texts = [words[number].text for number in free]
            said = dict(zip(free, spelt(texts, language, self._vocabulary.spell), strict=True))
            cut = sections(lines, self._song_ms)
            for done, section in enumerate(cut, start=1):
                found.update(self._section(section, said))
                progress(done / len(cut))
        progress(1.0)
        placed = place(
            words,
            found,
            {number: one.reason for number, one in said.items() if one.reason is not None},
            {
                number: (section.start_ms, section.end_ms)
                for section in cut
                for number in section.words
            },
            [at for at, line in enumerate(lines) for _ in line],
            self._activity,
        )
        return shaped(placed, lines)

    def fit(
        self, lines: Sequence[Sequence[str]], language: str, start_ms: int, end_ms: int
    ) -> float | None:
        """See ``Heard.fit``."""
        texts = [text for line in lines for text in line]
        tokens = [one.tokens for one in spelt(texts, language, self._vocabulary.spell)]
        numbers = iter(range(len(texts)))
        rows = [[(n, tokens[n]) for _ in line for n in [next(numbers)]] for line in lines]
        kept = _sayable(rows)
        spans = align_tokens(kept, self._stretch(start_ms, end_ms)[0])
        if not kept or len(spans) < sum(len(line) for line in kept):
            return None
        return float(np.mean([span.score for span in spans.values()]))

    def _section(self, section: Section, said: Mapping[int, Spelt]) -> dict[int, Spot]:
        lines = _sayable([[(n, said[n].tokens) for n in line] for line in section.lines])
        part, first = self._stretch(section.start_ms, section.end_ms)
        rough = align_tokens(lines, part)
        rows = self._rows(lines, rough, part, first)
        trust = trusted(rows)
        spans = rough
        if any(trust) and not all(trust):
            # A window may be too tight for a line that is in none: then the first pass stands.
            spans = align_tokens(lines, part, _in_frames(rows, trust, part)) or rough
        spans = {**spans, **self._compact(lines, spans, part, first)}
        # In order of singing, on the song's own grid.
        moved = {
            number: replace(span, first=span.first + first, last=span.last + first)
            for line in lines
            for number, _ in line
            if (span := spans.get(number)) is not None
        }
        return spots(moved, self._quiet, self._activity, section.end_ms)

    def _compact(
        self, lines: Sequence[Line], spans: Mapping[int, TokenSpan], part: Emissions, first: int
    ) -> dict[int, TokenSpan]:
        """Better places for lines stretched across a break by something that sounds like them.

        At either end of its place such a line is looked for alone, in the time that its neighbours'
        pace gives it; it is taken there if it fits no worse than a line that is trusted.
        """
        rows = self._rows(lines, spans, part, first)
        paces = [pace(row) for row in rows]
        fits = [score for row in rows if (score := fit(row)) is not None]
        better: dict[int, TokenSpan] = {}
        for at, (row, ok) in enumerate(zip(rows, trusted(rows), strict=True)):
            own = paces[at]
            around = paces[max(0, at - _NEIGHBOURS) : at] + paces[at + 1 : at + 1 + _NEIGHBOURS]
            known = [other for other in around if other is not None]
            if ok or own is None or not known or own < _STRETCHED * float(np.median(known)):
                continue
            tokens = sum(word.phones for word in row)
            length = ceil(_ROOM * float(np.median(known)) * tokens * HOP_MS / part.frame_ms)
            begin, end = spans[lines[at][0][0]].first, spans[lines[at][-1][0]].last + 1
            found = [
                alone
                for low in (begin, max(begin, end - length))
                if (alone := _alone(lines[at], part, low, min(end, low + length)))
            ]
            best = max(found, key=_mean, default={})
            if best and _mean(best) >= float(np.median(fits)) - SCORE_NATS:
                better.update(best)
        return better

    def _stretch(self, start_ms: int, end_ms: int) -> tuple[Emissions, int]:
        """The emissions of ``[start_ms, end_ms)`` and the number of their first frame."""
        first = min(ceil(start_ms / self._quiet.frame_ms), self._quiet.frames)
        last = min(ceil(end_ms / self._quiet.frame_ms), self._quiet.frames)
        return replace(self._quiet, log_probs=self._quiet.log_probs[first:last]), first

    def _rows(
        self,
        lines: Sequence[Line],
        spans: Mapping[int, TokenSpan],
        part: Emissions,
        first: int,
    ) -> list[list[Row]]:
        """What the first pass says of each word, in frames of 10 ms from the section's start."""
        rows: list[list[Row]] = []
        for line in lines:
            row: list[Row] = []
            for number, tokens in line:
                span = spans.get(number)
                if span is None:
                    row.append(Row(None, None, len(tokens), 0.0, 0.0))
                    continue
                start = round(span.first * part.frame_ms / HOP_MS)
                end = round((span.last + 1) * part.frame_ms / HOP_MS)
                offset_ms = first * part.frame_ms
                sung = self._activity.share(offset_ms + start * HOP_MS, offset_ms + end * HOP_MS)
                row.append(Row(start, end, len(tokens), sung, span.score))
            rows.append(row)
        return rows


def without_model(arrays: Mapping[str, Array], fingerprint: str) -> SpeechHeard | None:
    """What was heard before, by its arrays alone: lyrics are placed on it with nothing loaded.

    None where they are of another model, or don't hold its vocabulary.
    """
    if str(arrays.get(_FINGERPRINT, "unknown")) != fingerprint:
        return None
    vocabulary = Vocabulary.of(arrays)
    return None if vocabulary is None else _heard(vocabulary, arrays)


def _heard(vocabulary: Vocabulary, arrays: Mapping[str, Array]) -> SpeechHeard:
    emissions = Emissions(
        np.asarray(arrays["log_probs"], np.float32),
        int(arrays["blank"]),
        float(np.asarray(arrays["frame_ms"], np.float64)),
    )
    activity = Activity(
        np.asarray(arrays["rms"], np.float32), np.asarray(arrays["active"], np.bool_)
    )
    fingerprint = str(arrays.get(_FINGERPRINT, ""))
    kept = arrays.get(_CEPSTRA)
    listens = None if kept is None else Ears(np.asarray(kept, np.float16), activity)
    song_ms = int(arrays["song_ms"])
    return SpeechHeard(vocabulary, fingerprint, emissions, activity, song_ms, listens)


_FINGERPRINT = "fingerprint"
_CEPSTRA = "cepstra"


def _alone(line: Line, part: Emissions, low: int, high: int) -> dict[int, TokenSpan]:
    """A line within ``[low, high)``; empty where not all of it is there."""
    found = align_tokens([line], replace(part, log_probs=part.log_probs[low:high]))
    if len(found) < len(line):
        return {}
    return {n: replace(s, first=s.first + low, last=s.last + low) for n, s in found.items()}


def _mean(spans: Mapping[int, TokenSpan]) -> float:
    return float(np.mean([span.score for span in spans.values()]))


def _sayable(lines: Sequence[Line]) -> list[Line]:
    kept = [[(number, tokens) for number, tokens in line if tokens] for line in lines]
    return [line for line in kept if line]


def _in_frames(
    rows: Sequence[Sequence[Row]], trust: Sequence[bool], part: Emissions
) -> list[list[tuple[int, int]]]:
    """Soft windows on the model's own grid."""
    last = part.frames - 1
    ratio = part.frame_ms / HOP_MS
    return [
        [
            (min(max(floor(opens / ratio), 0), last), min(ceil(closes / ratio), last))
            for opens, closes in row
        ]
        for row in windows(rows, trust, 0, ceil(part.frames * ratio))
    ]


def _spaces_quiet(heard: Emissions, space: int | None) -> Emissions:
    """Emissions in which the space that models of letters tell between words is as good as blank.

    In the chain nothing but blanks may stand between two tokens, and nobody sings a space.
    """
    if space is None:
        return heard
    log_probs = heard.log_probs.copy()
    both = np.logaddexp(log_probs[:, heard.blank], log_probs[:, space])
    log_probs[:, heard.blank] = both
    log_probs[:, space] = -np.inf
    return replace(heard, log_probs=log_probs)
