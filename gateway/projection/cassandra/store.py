"""The projection in Cassandra, for a product that runs on several machines.

A document is a row, a cell an entry of its map written ``USING TIMESTAMP`` the cell's order, so
writers need not see each other: whatever comes in whatever order, the greatest cell stays. What is
read before a write is read to leave out what is there already and to say what changed, never to
decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from gateway.projection.cassandra import listing, schema
from gateway.projection.cassandra.cell_texts import to_cell, to_text
from gateway.projection.cassandra.clock import Clock
from gateway.projection.cassandra.session import CassandraSession, Statement
from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.cells import Cell, Document, Key, Kind, canonical, job_key, join, merge
from gateway.projection.cursors import pack, unpack
from gateway.projection.extraction import Batch, batch_key, batch_of
from gateway.projection.job import Job, JobState, job_of
from gateway.projection.store import Applied, BadCursor, Page, StoreError
from gateway.projection.track import Track, track_of
from gateway.projection.waiting import Waiting

_KINDS: tuple[Kind, ...] = ("job", "track", "item")
_CELLS = {
    kind: f"SELECT cells, WRITETIME(cells) FROM {kind}s WHERE tenant = ? AND id = ?"  # noqa: S608
    for kind in _KINDS
}
_PUT = {
    # Adding to a map leaves its other entries alone, each with a write time of its own.
    kind: f"UPDATE {kind}s USING TIMESTAMP ? SET cells = cells + ?"  # noqa: S608
    " WHERE tenant = ? AND id = ?"
    for kind in _KINDS
}
_EVERY = {
    kind: f"SELECT tenant, id, cells, WRITETIME(cells) FROM {kind}s"  # noqa: S608
    for kind in _KINDS
}

_LOOK_S = 0.2
"""How often a waiting thread looks for what other processes wrote; own writes wake it at once."""

_FEWEST = 50  # documents read at once where a filter may leave out most of them

Item = TypeVar("Item", bound=Job | Track)


class CassandraStore:
    """A `gateway.projection.store.ProjectionStore` in a keyspace."""

    def __init__(self, settings: CassandraSettings) -> None:
        """Open, making what is missing. Raises `StoreError`."""
        self._session = CassandraSession(settings)
        try:
            self._clock = Clock(self._session)
        except BaseException:
            self._session.close()
            raise
        self._waiting = Waiting(_LOOK_S)
        # Documents of failed batches as they were before: some of their cells may be there, and
        # nobody was told. The next try writes and tells all of it again.
        self._untold: dict[Key, Document | None] = {}

    def apply(self, changes: Iterable[Document]) -> Sequence[Applied]:
        """Merge changes into their documents, many at once.

        Two processes that apply the same change at the same time may both report it.
        """
        joined = join(changes)
        if not joined:
            return ()
        known = self._read(list(joined))
        grown: list[tuple[Document | None, Document]] = []
        for key, change in joined.items():
            kept = known[key]
            before = self._untold.get(key, kept)
            after = change if kept is None else merge(kept, change)
            if before is None or after.cells != before.cells:
                grown.append((before, after))
        if not grown:
            return ()
        try:
            first = self._write(grown)
        except StoreError:
            for before, after in grown:
                self._untold.setdefault(after.key, before)
            raise
        for _, after in grown:
            self._untold.pop(after.key, None)
        self._waiting.wake()
        return [
            Applied(after.key, sequence, before, after)
            for sequence, (before, after) in enumerate(grown, start=first)
        ]

    def job(self, tenant: str, job_id: str) -> Job | None:
        """A job of this tenant."""
        document = self._document(job_key(tenant, job_id))
        return document and job_of(document)

    def jobs(
        self,
        tenant: str,
        *,
        state: JobState | None = None,
        stage: str | None = None,
        since_ms: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Job]:
        """Jobs of a tenant, newest first. Raises `BadCursor`.

        There is an index on the state; jobs at another stage are read and left out.
        """

        def wanted(job: Job) -> bool:
            return state in (None, job.state) and stage in (None, job.stage)

        return self._page("job", job_of, wanted, tenant, state, since_ms, cursor, limit)

    def track(self, tenant: str, track_id: str) -> Track | None:
        """A track of this tenant."""
        document = self._document(Key("track", tenant, track_id))
        return document and track_of(document)

    def tracks(
        self,
        tenant: str,
        *,
        since_ms: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Track]:
        """Tracks of a tenant, newest first. Raises `BadCursor`."""
        return self._page(
            "track", track_of, lambda track: True, tenant, None, since_ms, cursor, limit
        )

    def batch(self, tenant: str, task_id: str) -> Batch | None:
        """A batch of this tenant, as it was asked for."""
        document = self._document(batch_key(tenant, task_id))
        return document and batch_of(document)

    def items(
        self,
        tenant: str,
        task_id: str,
        *,
        state: JobState | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Job]:
        """Items of a batch in their order. Raises `BadCursor`."""
        behind = (-1, "") if cursor is None else unpack(cursor)
        if not -1 <= behind[0] < 1 << 31:
            raise BadCursor("this cursor was not given out here; begin again without one")
        places = listing.items(self._session, tenant, task_id, state=state, behind=behind)
        some = list(islice(places, limit + 1))
        shown = some[:limit]
        documents = self._read([Key("item", tenant, item_id) for _, item_id in shown])
        found = [job_of(document) for document in documents.values() if document is not None]
        return Page(found, pack(*shown[-1]) if len(some) > limit else None)

    def tally(self, tenant: str, task_id: str) -> Mapping[JobState, int]:
        """How many items of a batch are in each state."""
        return listing.tally(self._session, tenant, task_id)

    def sequence(self) -> int:
        """The sequence of the newest change."""
        return self._clock.now()

    def wait(self, after: int, timeout_s: float) -> int:
        """Block until something changed behind ``after`` or the time is over."""
        return self._waiting.until(self.sequence, after, timeout_s)

    def clear(self) -> None:
        """Remove every document."""
        self._untold.clear()
        # Truncated, not deleted: a deletion has a write time, and would hide what a rebuild then
        # writes at the order of long ago.
        self._session.truncate(schema.PROJECTION)

    def dump(self) -> bytes:
        """A line a document, in order of kind, tenant and id."""
        lines: list[tuple[str, str, str, str]] = []
        for kind in _KINDS:
            for tenant, document_id, *row in self._session.rows(
                "read every document", _EVERY[kind]
            ):
                document = _document(Key(kind, tenant, document_id), *row)
                texts = {name: list(cell) for name, cell in document.cells.items()}
                text = canonical([kind, tenant, document_id, texts])
                lines.append((kind, tenant, document_id, text))
        return "".join(f"{line[3]}\n" for line in sorted(lines)).encode()

    def check(self) -> None:
        """Raise `gateway.projection.store.StoreError` unless rows can be written and read now."""
        self._session.check()

    def close(self) -> None:
        """Let go of every connection; `wait` returns."""
        self._waiting.close()
        self._session.close()

    def _document(self, key: Key) -> Document | None:
        return self._read([key])[key]

    def _read(self, keys: Sequence[Key]) -> dict[Key, Document | None]:
        statements = (self._session.bind(_CELLS[key.kind], key.tenant, key.id) for key in keys)
        found = self._session.execute_all("read documents", statements)
        return {
            key: _document(key, *rows[0]) if rows else None
            for key, rows in zip(keys, found, strict=True)
        }

    def _write(self, grown: Sequence[tuple[Document | None, Document]]) -> int:
        """Write documents and tell of them; the sequence of the first.

        First where to find them, then the cells, each document's in one write, then the news.
        """
        places = listing.Places(self._session)
        for before, after in grown:
            places.note(before, after)
        self._session.execute_all("list documents", places.statements())
        self._session.execute_all(
            "write documents", (self._cells(before, after) for before, after in grown)
        )
        self._session.execute_all("list documents", places.gone)
        return self._clock.tell(len(grown))

    def _cells(self, before: Document | None, after: Document) -> Statement:
        kind, tenant, document_id = after.key
        old = {} if before is None else before.cells
        put = _PUT[kind]
        # Cells of one order share a statement, which halves their number.
        orders: dict[int, dict[str, str]] = {}
        for name, cell in after.cells.items():
            if cell is not old.get(name):
                orders.setdefault(cell.order, {})[name] = to_text(cell)
        return self._session.batch(
            self._session.bind(put, order, texts, tenant, document_id)
            for order, texts in orders.items()
        )

    def _page(
        self,
        kind: Kind,
        item_of: Callable[[Document], Item],
        wanted: Callable[[Item], bool],
        tenant: str,
        state: str | None,
        since_ms: int | None,
        cursor: str | None,
        limit: int,
    ) -> Page[Item]:
        behind = None if cursor is None else unpack(cursor)
        places = listing.newest(
            self._session,
            kind,
            tenant,
            state=state,
            since_ms=since_ms,
            behind=behind,
            page=limit + 1,
        )
        found: list[tuple[str, Item]] = []
        size = limit + 1
        while len(found) <= limit and (some := list(islice(places, size))):
            documents = self._read([Key(kind, tenant, document_id) for _, document_id in some])
            for (created_ms, document_id), document in zip(some, documents.values(), strict=True):
                item = document and item_of(document)
                if item and item.created_ms == created_ms and wanted(item):
                    found.append((document_id, item))
            size = max(_FEWEST, size)
        items = [item for _, item in found[:limit]]
        if len(found) <= limit:
            return Page(items, None)
        last_id, last = found[limit - 1]
        return Page(items, pack(last.created_ms, last_id))


def _document(key: Key, texts: Mapping[str, str], orders: Sequence[int]) -> Document:
    """A document from its map and the write times of its entries, which come in the same order."""
    cells: dict[str, Cell] = {
        name: to_cell(order, text)
        for (name, text), order in zip(texts.items(), orders, strict=True)
    }
    return Document(key, cells)
