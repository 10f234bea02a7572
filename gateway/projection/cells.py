"""Documents that any order of events builds alike: named cells, each keeping its greatest value.

A document is a map of cells; a cell is a value with the order it was written at. Merging two
documents takes, name by name, the greater cell. That is a join: commutative, associative and
idempotent, so events may come in any order, twice, or again after a loss. It is also what Cassandra
does with ``map<text, text>`` columns written ``USING TIMESTAMP order``, so a store there needs no
read before its write.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from gateway.identifiers import ITEM

Json = Any
"""A JSON value: dict, list, str, int, float (finite), bool or None."""

Kind = Literal["job", "track", "item"]
"""An item is a job of a batch: kept apart, because there may be 10,000 of them."""


class Key(NamedTuple):
    """Which document: there is one a job and one a track."""

    kind: Kind
    tenant: str
    id: str


def job_key(tenant: str, job_id: str) -> Key:
    """Where a job is kept, which its id tells."""
    return Key("item" if job_id.startswith(f"{ITEM}_") else "job", tenant, job_id)


class Cell(NamedTuple):
    """A value and when it counts: the greater ``(order, event)`` wins.

    ``event`` is the id of the event that wrote it. It is empty where every event would write the
    same value at this order, so that life signs do not rewrite what they do not change.
    """

    order: int
    event: str
    value: Json


class Document(NamedTuple):
    """Cells by name, of one job or track; a change is a document with a few cells."""

    key: Key
    cells: Mapping[str, Cell]


# 62 bits in all: a Cassandra timestamp is a signed 64-bit integer.
_TRY_BITS, _PHASE_BITS, _SEQUENCE_BITS = 12, 3, 31
_MAX_ATTEMPT, _MAX_TRY = (1 << 16) - 1, (1 << _TRY_BITS) - 1
_MAX_PHASE, _MAX_SEQUENCE = (1 << _PHASE_BITS) - 1, (1 << _SEQUENCE_BITS) - 1


def order(attempt: int, try_number: int = 0, phase: int = 0, sequence: int = 0) -> int:
    """The order (attempt, try, phase, sequence) as one integer of 62 bits.

    Numbers outside their range count as the nearest one inside; ties go by event id.
    """
    if not (
        0 <= attempt <= _MAX_ATTEMPT
        and 0 <= try_number <= _MAX_TRY
        and 0 <= phase <= _MAX_PHASE
        and 0 <= sequence <= _MAX_SEQUENCE
    ):  # never, but for events that somebody made up
        return order(
            min(max(attempt, 0), _MAX_ATTEMPT),
            min(max(try_number, 0), _MAX_TRY),
            min(max(phase, 0), _MAX_PHASE),
            min(max(sequence, 0), _MAX_SEQUENCE),
        )
    number = (attempt << _TRY_BITS | try_number) << _PHASE_BITS | phase
    return number << _SEQUENCE_BITS | sequence


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical(value: Json) -> str:
    """The one JSON text of a value: sorted keys, no spaces. Raises ValueError for NaN."""
    return _ENCODER.encode(value)


def _beats(new: Cell, old: Cell) -> bool:
    if new.order != old.order:
        return new.order > old.order
    if new.event != old.event:
        return new.event > old.event
    # One id, two contents: a worker died and another repeated its try. Any rule will do if it is
    # the same rule everywhere.
    return new.value != old.value and canonical(new.value) > canonical(old.value)


def merge(state: Document, change: Document) -> Document:
    """The join of two documents of one key; ``state`` itself when ``change`` adds nothing."""
    if state.key != change.key:
        raise ValueError(f"{change.key} cannot be merged into {state.key}")
    old = state.cells
    newer = {
        name: cell
        for name, cell in change.cells.items()
        if (kept := old.get(name)) is None or _beats(cell, kept)
    }
    return Document(state.key, {**old, **newer}) if newer else state


def join(changes: Iterable[Document]) -> dict[Key, Document]:
    """Every change of a batch merged per document, so that each is written once."""
    joined: dict[Key, dict[str, Cell]] = {}
    for key, cells in changes:
        into = joined.get(key)
        if into is None:
            joined[key] = dict(cells)
            continue
        for name, cell in cells.items():
            kept = into.get(name)
            if kept is None or _beats(cell, kept):
                into[name] = cell
    return {key: Document(key, cells) for key, cells in joined.items()}


def to_json(document: Document) -> str:
    """The canonical text of a document's cells: equal documents, equal text."""
    return canonical(document.cells)  # a cell is a tuple, which JSON writes as a list


def from_json(key: Key, text: str) -> Document:
    """Read `to_json`."""
    return Document(key, {name: Cell._make(cell) for name, cell in json.loads(text).items()})
