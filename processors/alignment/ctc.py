"""Forced alignment over a CTC model's log-probabilities, with gaps that may hold anything.

The chain is CTC's (Graves et al. 2006): a blank may stand between two tokens, and has to between
two equal ones. Around every line lies a gap, which takes silence as blank and anything else (an
ad-lib, a break full of residue) at a cost a frame, and from each gap one arc leads past the line,
so that a line that isn't sung needn't hide anywhere.

A CTC model tells a token in one or two frames, late in its sound, and spends the rest on blank; so
a path says where words begin far better than where they end, and ends are the business of whoever
knows where there is singing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.alignment.trellis import Chain, best_path

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_REST, _GAP = -1, -2  # in place of a word: a blank inside a line, and what lies between lines
_ANYTHING = 3.0
"""Nats a frame, below the likeliest token, for a gap to hold a sound: a sung word that is in the
lyrics is told by the model at under 1, and costs nothing more there."""

_LEFT_OUT = 4.0
"""Nats a token for leaving a line out, with `_LEFT_OUT_LEAST`: what a token that isn't sung costs
where it has to be squeezed in is mostly over 6 (one frame at less than 0.2 %)."""
_LEFT_OUT_LEAST = 12.0


@dataclass(frozen=True, slots=True)
class Emissions:
    """What a CTC model heard: ``log_probs`` ``(frames, tokens) float32``, each row summing to 1."""

    log_probs: Floats
    blank: int
    frame_ms: float

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.log_probs)


Line = Sequence[tuple[int, Sequence[int]]]
"""A line's words: (number of the word, its tokens); no word without tokens."""


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Where a word's tokens were told: frames ``[first, last]``, and their mean log-probability."""

    first: int
    last: int
    score: float


def align_tokens(
    lines: Sequence[Line],
    emissions: Emissions,
    windows: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> dict[int, TokenSpan]:
    """The likeliest place of every word; words of lines that were left out are missing.

    ``windows``, in the shape of ``lines``: the frames ``[opens, closes]`` that each word has to lie
    in, never falling from word to word. Empty where there is no path at all.
    """
    if not lines or not emissions.frames:
        return {}
    sheet = _sheet(lines, emissions.blank)
    chain = _chain(sheet, lines, emissions.frames, windows)
    anything = _gap_scores(emissions)

    def scores(begin: int, end: int, low: int, high: int) -> Floats:
        token = sheet.token[low:high]
        found = emissions.log_probs[begin:end, token]
        found[:, sheet.word[low:high] == _GAP] = anything[begin:end, None]
        return found

    path = best_path(chain, scores, emissions.frames)
    return {} if path is None else _spans(path, sheet, emissions)


@dataclass(frozen=True, slots=True)
class _Sheet:
    word: Ints  # of each state, or _REST, _GAP
    token: Ints  # of each state; the blank for _REST and _GAP
    line: Ints  # a gap belongs to the line after it
    required: npt.NDArray[np.bool_]  # a blank between two equal tokens
    gaps: Ints


def _sheet(lines: Sequence[Line], blank: int) -> _Sheet:
    word: list[int] = []
    token: list[int] = []
    of_line: list[int] = []
    required: list[bool] = []
    gaps: list[int] = []

    def add(a_word: int, a_token: int, line: int, needed: bool) -> None:
        word.append(a_word)
        token.append(a_token)
        of_line.append(line)
        required.append(needed)

    before = -1
    for number, line in enumerate(lines):
        gaps.append(len(word))
        after = line[0][1][0] if line else -1
        add(_GAP, blank, number, before == after)
        before = -1
        for a_word, tokens in line:
            for a_token in tokens:
                if before >= 0:
                    add(_REST, blank, number, before == a_token)
                add(a_word, a_token, number, False)
                before = a_token
    gaps.append(len(word))
    add(_GAP, blank, len(lines), False)
    return _Sheet(
        np.array(word), np.array(token), np.array(of_line), np.array(required), np.array(gaps)
    )


def _chain(
    sheet: _Sheet,
    lines: Sequence[Line],
    frames: int,
    windows: Sequence[Sequence[tuple[int, int]]] | None,
) -> Chain:
    states = len(sheet.word)
    tokens = [sum(len(spelt) for _, spelt in line) for line in lines]
    opens, closes = np.zeros(states, np.int64), np.full(states, frames - 1, np.int64)
    if windows is not None:
        spans = {
            word: span
            for line, row in zip(lines, windows, strict=True)
            for (word, _), span in zip(line, row, strict=True)
        }
        placed = sheet.word >= 0
        opens[placed] = [spans[int(word)][0] for word in sheet.word[placed]]
        closes[placed] = [spans[int(word)][1] for word in sheet.word[placed]]
        # A rest reaches from the word before to the word after.
        opens = np.maximum.accumulate(opens)
        closes = np.minimum.accumulate(closes[::-1])[::-1]
    return Chain(
        optional=(sheet.word < 0) & ~sheet.required,
        opens=opens,
        closes=closes,
        jumps=np.stack([sheet.gaps[:-1], sheet.gaps[1:]], axis=1),
        jump_cost=_LEFT_OUT_LEAST + _LEFT_OUT * float(np.mean(tokens)),
    )


def _gap_scores(emissions: Emissions) -> Floats:
    """What a gap makes of each frame, ``(frames,)``: silence for nothing, a sound at a cost."""
    silence = emissions.log_probs[:, emissions.blank]
    likeliest: Floats = np.maximum(silence, emissions.log_probs.max(axis=1) - _ANYTHING)
    return likeliest


def _spans(path: Ints, sheet: _Sheet, emissions: Emissions) -> dict[int, TokenSpan]:
    word = sheet.word[path]
    told = emissions.log_probs[np.arange(len(path)), sheet.token[path]]
    spans: dict[int, TokenSpan] = {}
    frames = np.flatnonzero(word >= 0)
    if not len(frames):
        return spans
    edges = np.flatnonzero(np.diff(word[frames])) + 1
    for own in np.split(frames, edges):
        spans[int(word[own[0]])] = TokenSpan(int(own[0]), int(own[-1]), float(told[own].mean()))
    return spans
