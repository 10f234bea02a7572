"""Lyrics as a chain of sounds: phones of words, a pause between words, a gap around lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.alignment.acoustic_model import SILENCE, AcousticModel

Ints = npt.NDArray[np.int64]

PAUSE, GAP = -1, -2
"""Pseudo-words: silence inside a line, and anything (break, ad-lib, residue) between lines."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One state after another, ``(states,)`` each.

    ``word``: index of the state's word, or PAUSE or GAP; ``line``: index of its line (a gap belongs
    to the line after it); ``senone`` and ``owner``: what the state sounds like (−1 for pause and
    gap); ``gaps``: the states that are gaps, one before each line and one after the last.
    """

    word: Ints
    line: Ints
    senone: Ints
    owner: Ints
    gaps: Ints

    @property
    def states(self) -> int:
        """Number of states."""
        return len(self.word)

    @property
    def optional(self) -> npt.NDArray[np.bool_]:
        """States that may be passed over: every pause and gap."""
        return self.word < 0

    @property
    def jumps(self) -> Ints:
        """Arcs that leave a whole line out: from each gap to the next."""
        return np.stack([self.gaps[:-1], self.gaps[1:]], axis=1)


Line = Sequence[tuple[int, Sequence[str]]]
"""A line's words: (index of the word, its phones); no word without phones."""

_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
VOWELS = frozenset(_VOWELS.split())
"""The ARPABET phones that carry a note."""


def coarse(lines: Sequence[Line], model: AcousticModel, vowels: Sequence[int]) -> Sheet:
    """One state a consonant, ``vowels[line]`` a vowel (30 ms each); no context."""
    return _sheet(lines, model, vowels, fine=False)


def fine(lines: Sequence[Line], model: AcousticModel, vowels: Sequence[int]) -> Sheet:
    """Three states a phone, each in the context of its neighbours (triphones).

    A vowel that must last ``vowels[line]`` times 30 ms has each of its three as often.
    """
    return _sheet(lines, model, vowels, fine=True)


def _sheet(
    lines: Sequence[Line], model: AcousticModel, vowels: Sequence[int], *, fine: bool
) -> Sheet:
    silence = model.phone(SILENCE)
    rows: list[tuple[int, int, int, int]] = []
    gaps: list[int] = []
    for number, (line, least) in enumerate(zip(lines, vowels, strict=True)):
        times = [least if phone in VOWELS else 1 for phone in model.phones]
        gaps.append(len(rows))
        rows.append((GAP, number, -1, -1))
        spoken = [(word, [model.phone(phone) for phone in phones]) for word, phones in line]
        for at, (word, phones) in enumerate(spoken):
            if at:
                rows.append((PAUSE, number, -1, -1))
            before = spoken[at - 1][1][-1] if at else silence
            after = spoken[at + 1][1][0] if at + 1 < len(spoken) else silence
            around = [before, *phones, after]
            for i, phone in enumerate(phones):
                if not fine:
                    senone = int(model.senones[model.singles[phone], 1])
                    rows.extend([(word, number, senone, phone)] * times[phone])
                    continue
                position = _position(i, len(phones))
                rows.extend(
                    (word, number, int(senone), phone)
                    for senone in model.states(around[i], phone, around[i + 2], position)
                    for _ in range(times[phone])
                )
    gaps.append(len(rows))
    rows.append((GAP, len(lines), -1, -1))
    word, of_line, senone, owner = np.array(rows, np.int64).T
    return Sheet(word, of_line, senone, owner, np.array(gaps, np.int64))


def _position(index: int, count: int) -> str:
    if count == 1:
        return "s"
    return "b" if index == 0 else "e" if index == count - 1 else "i"
