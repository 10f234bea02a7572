"""What of a lyric's word a speech model can be asked for: spelled out, in letters that it knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from processors.alignment.languages import reader, resolve, script
from processors.alignment.pronunciation import LONGEST_WORD, spelling

_NUMBER = re.compile(r"\d+")
_LONGEST_NUMBER = 12
"""Digits; what is longer is not read as one number by anyone (a telephone number, a serial)."""


@dataclass(frozen=True, slots=True)
class Spelt:
    """The tokens of a word; when there are none, ``reason`` says why it can't be placed by them."""

    tokens: tuple[int, ...]
    reason: str | None = None


def spelt(
    words: Sequence[str], language: str, spell: Callable[[str], tuple[int, ...]]
) -> list[Spelt]:
    """Every word in the tokens of ``spell``, which is given one run of letters at a time.

    Numbers are read out in the song's language, or digit by digit where that is not known; hyphens
    part, apostrophes stay where the model knows them.
    """
    resolved = resolve(language)
    return [_spelt(word, resolved, spell) for word in words]


def _spelt(word: str, language: str, spell: Callable[[str], tuple[int, ...]]) -> Spelt:
    shown = spelling(word)
    if not shown:
        return Spelt((), "it holds no letters or digits")
    if len(shown) > LONGEST_WORD:
        return Spelt((), f"it is longer than any word ({len(shown)} letters)")
    runs = _NUMBER.sub(lambda match: f" {_read_out(match[0], language)} ", shown)
    tokens = tuple(
        token for run in runs.replace("-", " ").split() for token in spell(run.strip("'"))
    )
    if tokens:
        return Spelt(tokens)
    if any(map(str.isdigit, shown)):
        return Spelt((), f"numbers of {language} cannot be read out")
    other = (script(shown) or "another").lower()
    if reader(shown, language) != language:
        return Spelt((), f"it is written in {other} letters, which the model does not know")
    return Spelt((), "the model knows none of its letters")


def _read_out(digits: str, language: str) -> str:
    """A number in words. What num2words does not speak stays as it is: models may know digits."""
    from num2words import num2words

    tag = language.partition("-")[0]
    try:
        if len(digits) > _LONGEST_NUMBER or (len(digits) > 1 and digits.startswith("0")):
            return " ".join(num2words(int(digit), lang=tag) for digit in digits)
        return str(num2words(int(digits), lang=tag))
    except NotImplementedError:
        return digits
