"""A cell as an entry of a map: its order is the entry's write time, the rest is text that compares
as cells do.

Of two writes with one timestamp Cassandra keeps the greater value, byte by byte
(``org.apache.cassandra.db.rows.Cells#resolveRegular``). So the text begins with the event id, a
NUL, then the canonical value, which is `gateway.projection.cells`' own rule for ties: UTF-8
compares as code points do, and the NUL lies below every character of an id, so that an id loses
against a longer one that begins with it.

Cells have no TTL: of two equal timestamps an expiring value beats a lasting one.
"""

from __future__ import annotations

import json

from gateway.projection.cells import Cell, canonical


def to_text(cell: Cell) -> str:
    """The part of a cell that is not its order."""
    return f"{_escaped(cell.event)}\0{canonical(cell.value)}"


def to_cell(order: int, text: str) -> Cell:
    """Read `to_text`; ``order`` is the write time."""
    event, _, value = text.partition("\0")
    return Cell(order, _unescaped(event), json.loads(value))


def _escaped(event: str) -> str:
    """Without NUL, and in the same order as before."""
    if "\0" in event or "\1" in event:
        return event.replace("\1", "\1\2").replace("\0", "\1\1")
    return event


def _unescaped(text: str) -> str:
    if "\1" in text:
        return text.replace("\1\1", "\0").replace("\1\2", "\1")
    return text
