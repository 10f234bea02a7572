"""Which documents a tenant has, newest first: rows by day that say where to look, never what is.

A row may be there before its document, and stays for a moment when the document moved to another
time of creation; so readers take only what the document itself confirms. Rows are written before
the cells that they belong to: a process that dies in between leaves a row that leads nowhere, and
never a document that no list shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gateway.projection import job
from gateway.projection.cassandra.session import CassandraSession, Row, Statement
from gateway.projection.cells import Document, Kind
from gateway.projection.extraction import place_of
from gateway.projection.job import JobState

Day = tuple[Kind, str, int]
"""A partition of a list: kind, tenant, days since 1970."""

_DAY_MS = 86_400_000
_FOREVER = 1 << 62
"""The write time of a removal: above the order of every cell (`gateway.projection.cells.order`). A
row that was removed is never written again, because a document's time of creation only ever moves
on: to an earlier first event, and then for good to what its request says."""
_TOGETHER = 100  # rows in a write: some 10 kB
_EARLIEST, _LATEST = -(1 << 63) + 1, (1 << 63) - 1

_PUT_JOB = (
    "UPDATE jobs_by_day USING TIMESTAMP ? SET state = ?"
    " WHERE tenant = ? AND day = ? AND created_ms = ? AND id = ?"
)
_PUT_TRACK = (
    "INSERT INTO tracks_by_day (tenant, day, created_ms, id) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
)
_PUT_ITEM = (
    "UPDATE items_by_task USING TIMESTAMP ? SET state = ?"
    " WHERE tenant = ? AND task_id = ? AND place = ? AND id = ?"
)
_ITEMS = (
    "SELECT place, id, state FROM items_by_task WHERE tenant = ? AND task_id = ?"
    " AND (place, id) > (?, ?)"
)
_STATES = "SELECT state FROM items_by_task WHERE tenant = ? AND task_id = ?"
_MOST_ITEMS = 5000  # rows of some 50 bytes that are read at once
_PUT_DAY = "INSERT INTO days (kind, tenant, day) VALUES (?, ?, ?) USING TIMESTAMP 0"
_DAYS = (
    "SELECT day FROM days WHERE kind = ? AND tenant = ? AND day >= ? AND day <= ? ORDER BY day DESC"
)
_REMOVE = {
    kind: f"DELETE FROM {kind}s_by_day USING TIMESTAMP ?"  # noqa: S608
    " WHERE tenant = ? AND day = ? AND created_ms = ? AND id = ?"
    for kind in ("job", "track")
}
_NEWEST = {
    kind: f"SELECT created_ms, id FROM {kind}s_by_day WHERE tenant = ? AND day = ?"  # noqa: S608
    " AND (created_ms, id) < (?, ?) AND (created_ms) >= (?)"
    for kind in ("job", "track")
}
_IN_STATE = " AND state = ?"


def created_ms_of(document: Document) -> int:
    """The time of creation that a document is listed by."""
    if document.key.kind == "job":
        return job.created_ms_of(document)
    first = document.cells.get("first")
    return 0 if first is None else int(first.value)


@dataclass(slots=True)
class Places:
    """What to write so that documents are found as they are after a change."""

    session: CassandraSession
    days: dict[Day, Statement] = field(default_factory=dict)
    rows: dict[Day, list[Statement]] = field(default_factory=dict)
    items: dict[tuple[str, str], list[Statement]] = field(default_factory=dict)
    gone: list[Statement] = field(default_factory=list)
    """Removes the rows of where documents were before, once they themselves say otherwise."""

    def note(self, before: Document | None, after: Document) -> None:
        """Add what a change of one document asks for."""
        kind, tenant, document_id = after.key
        if kind == "item":
            self._note_item(before, after)
            return
        created_ms = created_ms_of(after)
        was_ms = None if before is None else created_ms_of(before)
        moved = created_ms != was_ms
        place: Day = (kind, tenant, created_ms // _DAY_MS)
        if moved:
            self.days[place] = self.session.bind(_PUT_DAY, *place)
        if kind == "job":
            state = after.cells.get("state")
            if moved or before is None or before.cells.get("state") is not state:
                # A state's name follows from its order, so writers in any order agree.
                order, name = (
                    (0, "queued") if state is None else (state.order, state.value["state"])
                )
                row = self.session.bind(_PUT_JOB, order, name, *place[1:], created_ms, document_id)
                self.rows.setdefault(place, []).append(row)
        elif moved:
            row = self.session.bind(_PUT_TRACK, *place[1:], created_ms, document_id, 0)
            self.rows.setdefault(place, []).append(row)
        if moved and was_ms is not None:
            old = (tenant, was_ms // _DAY_MS, was_ms, document_id)
            self.gone.append(self.session.bind(_REMOVE[kind], _FOREVER, *old))

    def _note_item(self, before: Document | None, after: Document) -> None:
        place = place_of(after)
        if place is None:
            return  # not seen being asked for: it is listed once it is
        state, known = after.cells.get("state"), before is not None and place_of(before) is not None
        if known and before is not None and before.cells.get("state") is state:
            return
        tenant, task_id = after.key.tenant, after.cells["track"].value
        order, name = (0, "queued") if state is None else (state.order, state.value["state"])
        row = self.session.bind(_PUT_ITEM, order, name, tenant, task_id, place, after.key.id)
        self.items.setdefault((tenant, task_id), []).append(row)

    def statements(self) -> Iterator[Statement]:
        """What is written before the documents: the rows of a day together, they are neighbours."""
        yield from self.days.values()
        for rows in (*self.rows.values(), *self.items.values()):
            for start in range(0, len(rows), _TOGETHER):
                yield self.session.batch(rows[start : start + _TOGETHER])


def newest(
    session: CassandraSession,
    kind: Kind,
    tenant: str,
    *,
    state: str | None,
    since_ms: int | None,
    behind: tuple[int, str] | None,
    page: int,
) -> Iterator[Row]:
    """Time of creation and id of what may be listed, newest first, read as far as it is asked."""
    since_ms = _EARLIEST if since_ms is None else since_ms
    # Nothing was created at the end of time, so a start there leaves nothing out.
    behind = (_LATEST, "") if behind is None else behind
    query = _NEWEST[kind] + (_IN_STATE if state is not None else "")
    wanted = () if state is None else (state,)
    for (day,) in session.rows(
        "list days", _DAYS, kind, tenant, since_ms // _DAY_MS, behind[0] // _DAY_MS
    ):
        yield from session.rows(
            f"list {kind}s", query, tenant, day, *behind, since_ms, *wanted, page=page
        )


def items(
    session: CassandraSession,
    tenant: str,
    task_id: str,
    *,
    state: JobState | None,
    behind: tuple[int, str],
) -> Iterator[tuple[int, str]]:
    """Place and id of the items of a batch in their order: those in ``state``."""
    for place, item_id, found in session.rows(
        "list items", _ITEMS, tenant, task_id, *behind, page=_MOST_ITEMS
    ):
        if state in (None, found):
            yield int(place), str(item_id)


def tally(session: CassandraSession, tenant: str, task_id: str) -> Mapping[JobState, int]:
    """How many items of a batch are in each state."""
    rows = session.rows("count items", _STATES, tenant, task_id, page=_MOST_ITEMS)
    return Counter(state for (state,) in rows)
