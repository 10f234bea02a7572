"""Does a sentence claim a number that nobody measured?

Every number in a sentence, in digits or in words, must be one of the known ones: rounded as the
sentence rounds it, in the unit that it names (LUFS, dBTP, dBFS, dB, Hz or kHz, s or ms, percent).
A minus that is written must be there; "cut by 3 dB" may leave out that of −3. What is checked is
numbers and units, not what is said of them: a true number in a false sentence passes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from processors.decision.measuring import unit_of

Kind = Literal["level", "LUFS", "dBTP", "dBFS", "frequency", "time", "percent", "other"]

_LEVEL = r"dBTP|dBFS|LUFS|LU|LKFS|dB|дБ|дБТП|децибел\w*|decibels?"
_NUMBER: Final = re.compile(
    # A digit within a word (MP3, R128, s16) is a name; so are exponents' parts.
    r"(?<![\w.,])(?P<sign>[-−–+])?(?P<digits>\d[\d\u00a0\u202f]*(?:[.,]\d+)?)"
    rf"(?:\s|\u00a0|\u202f)*(?P<unit>{_LEVEL}|kHz|кГц|Hz|Гц|ms|мс|minutes?|минут\w*|min|мин"
    r"|seconds?|секунд\w*|sec|сек|s\b|с\b|%|percent|процент\w*)?",
    re.IGNORECASE,
)
_WORDS: Final = (
    ("two", "two|два|две|двух|двум|двумя"),
    ("three", "three|три|трёх|трех|тремя"),
    ("four", "four|четыре|четырёх|четырех"),
    ("five", "five|пять|пяти"),
    ("six", "six|шесть|шести"),
    ("seven", "seven|семь|семи"),
    ("eight", "eight|восемь|восьми"),
    ("nine", "nine|девять|девяти"),
    ("ten", "ten|десять|десяти"),
    ("twelve", "twelve|dozens?|двенадцать|двенадцати|дюжин\\w*"),
    ("more", "eleven|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|"
     "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundreds?|thousands?|"
     "half|halved?|third|quarter|twice|double[ds]?|thrice|triple[ds]?|вдвое|дважды|втрое|"
     "одиннадцать|пятнадцать|двадцать|тридцать|сорок|пятьдесят|сто|сотн\\w*|тысяч\\w*|"
     "половин\\w*|треть|четверть"),
)  # fmt: skip
_SMALL: Final[Mapping[str, int]] = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12,
}  # fmt: skip
_WORD: Final = re.compile(
    "|".join(rf"(?P<{name}>(?<!\w)(?:{words})(?!\w))" for name, words in _WORDS), re.IGNORECASE
)


_KINDS: Final[Mapping[str, Kind]] = {
    "dB": "level", "LU": "level", "dBTP": "dBTP", "dBFS": "dBFS", "LUFS": "LUFS",
    "Hz": "frequency", "s": "time",
}  # fmt: skip


_ABSOLUTE: Final[Mapping[str, Kind]] = {
    "lufs": "LUFS", "lkfs": "LUFS", "dbtp": "dBTP", "дбтп": "dBTP", "dbfs": "dBFS",
}  # fmt: skip
_BEARS_OUT: Final[Mapping[Kind, tuple[Kind, ...]]] = {
    "level": ("level", "LUFS", "dBTP", "dBFS"),
    "percent": ("percent", "other"),
}
"""Plain dB may be said of any level; LUFS, dBTP and dBFS only of what is measured in them."""


@dataclass(frozen=True, slots=True)
class Known:
    """A number that was measured or decided, and what it measures."""

    value: float
    kind: Kind


def known_numbers(document: object, unit: str = "") -> Iterator[Known]:
    """Every number of a JSON document; its unit from the end of its name, or named beside it."""
    if isinstance(document, Mapping):
        beside = document.get("unit")
        for key, value in document.items():
            named = unit_of(str(key))
            yield from known_numbers(value, named or (beside if isinstance(beside, str) else ""))
    elif isinstance(document, list | tuple):
        for item in document:
            yield from known_numbers(item, unit)
    elif isinstance(document, int | float) and not isinstance(document, bool):
        if unit == "ms":
            yield Known(document / 1_000, "time")
        else:
            yield Known(float(document), _KINDS.get(unit, "other"))


def unfounded(sentence: str, known: frozenset[Known]) -> str | None:
    """The first claim in a sentence that no known number bears out; None when all are."""
    for found in _NUMBER.finditer(sentence):
        if not _is_borne_out(found, known):
            return found[0].strip()
    for found in _WORD.finditer(sentence):
        count = _SMALL.get(found.lastgroup or "")
        if count is None or not any(
            known_number.kind == "other" and known_number.value == count for known_number in known
        ):
            return found[0]
    return None


def _is_borne_out(found: re.Match[str], known: frozenset[Known]) -> bool:
    digits = re.sub(r"[\u00a0\u202f]", "", found["digits"]).replace(",", ".")
    decimals = len(digits.partition(".")[2])
    claimed = Decimal(digits)
    sign = found["sign"]
    kind, factor = _kind_of_unit(found["unit"] or "")
    for number in known:
        if kind != "other" and number.kind not in _BEARS_OUT.get(kind, (kind,)):
            continue
        if sign in ("-", "−") and number.value > 0:
            continue
        if sign == "+" and number.value < 0:
            continue
        value = abs(number.value) * factor
        # Half away from zero and half to even are both how people round.
        if math.isfinite(value) and abs(Decimal(repr(value)) - claimed) * 2 <= Decimal(10) ** (
            -decimals
        ):
            return True
    return False


def _kind_of_unit(unit: str) -> tuple[Kind, float]:
    """The kind, and what a known number of it is multiplied by to be in this unit."""
    lower = unit.lower()
    if not lower:
        return "other", 1.0
    if re.fullmatch(_LEVEL, unit, re.IGNORECASE):
        return _ABSOLUTE.get(lower, "level"), 1.0
    if lower in ("khz", "кгц"):
        return "frequency", 1e-3
    if lower in ("hz", "гц"):
        return "frequency", 1.0
    if lower in ("ms", "мс"):
        return "time", 1e3
    if lower.startswith(("min", "мин")):
        return "time", 1 / 60
    if lower.startswith(("s", "с")):
        return "time", 1.0
    return "percent", 100.0
