"""Headers that say that a record was written again on purpose."""

from __future__ import annotations

from topics.log import Headers

PREFIX = "melisma.replay."
ID = "melisma.replay.id"
COUNT = "melisma.replay.count"
"""How many replays led to the record, this one included: the loop guard."""
OF = "melisma.replay.of"
"""Where the record lies that was replayed: topic/partition/offset."""
REASON = "melisma.replay.reason"
"""The operator's own words."""


def text(headers: Headers, name: str) -> str:
    """The last header of that name; empty when there is none."""
    found = [value for key, value in headers if key == name]
    return found[-1].decode(errors="replace") if found else ""


def number(headers: Headers, name: str) -> int:
    """A header that counts; 0 when it is missing or damaged."""
    value = text(headers, name)
    return int(value) if value.isascii() and value.isdecimal() else 0
