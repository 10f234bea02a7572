"""The projection in one SQLite file, for a product that runs on one machine."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gateway.projection.cells import (
    Document,
    Key,
    Kind,
    canonical,
    from_json,
    job_key,
    join,
    merge,
    to_json,
)
from gateway.projection.cursors import pack, unpack
from gateway.projection.extraction import Batch, batch_key, batch_of, place_of
from gateway.projection.job import Job, JobState, job_of, outline_of
from gateway.projection.sqlite_file import SqliteFile
from gateway.projection.store import Applied, Page
from gateway.projection.track import Track, track_of
from gateway.projection.waiting import Waiting

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    tenant TEXT NOT NULL, id TEXT NOT NULL, track_id TEXT NOT NULL,
    state TEXT NOT NULL, stage TEXT NOT NULL, created_ms INTEGER NOT NULL,
    sequence INTEGER NOT NULL, cells TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (tenant, created_ms, id);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (tenant, state, created_ms, id);
CREATE TABLE IF NOT EXISTS tracks (
    tenant TEXT NOT NULL, id TEXT NOT NULL, created_ms INTEGER NOT NULL,
    sequence INTEGER NOT NULL, cells TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX IF NOT EXISTS tracks_by_age ON tracks (tenant, created_ms, id);
CREATE TABLE IF NOT EXISTS items (
    tenant TEXT NOT NULL, id TEXT NOT NULL, task_id TEXT NOT NULL, place INTEGER,
    state TEXT NOT NULL, sequence INTEGER NOT NULL, cells TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX IF NOT EXISTS items_by_place ON items (tenant, task_id, place, id);
CREATE INDEX IF NOT EXISTS items_by_state ON items (tenant, task_id, state, place, id);
CREATE TABLE IF NOT EXISTS clock (sequence INTEGER NOT NULL);
INSERT INTO clock SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM clock);
"""

_SELECT = {
    "job": "SELECT cells FROM jobs WHERE tenant = ? AND id = ?",
    "track": "SELECT cells FROM tracks WHERE tenant = ? AND id = ?",
    "item": "SELECT cells FROM items WHERE tenant = ? AND id = ?",
}
_PUT_JOB = """
INSERT INTO jobs (tenant, id, track_id, state, stage, created_ms, sequence, cells)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, id) DO UPDATE SET track_id = excluded.track_id, state = excluded.state,
    stage = excluded.stage, created_ms = excluded.created_ms, sequence = excluded.sequence,
    cells = excluded.cells
"""
_PUT_TRACK = """
INSERT INTO tracks (tenant, id, created_ms, sequence, cells) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, id) DO UPDATE SET created_ms = excluded.created_ms,
    sequence = excluded.sequence, cells = excluded.cells
"""

_PUT_ITEM = """
INSERT INTO items (tenant, id, task_id, place, state, sequence, cells) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, id) DO UPDATE SET task_id = excluded.task_id, place = excluded.place,
    state = excluded.state, sequence = excluded.sequence, cells = excluded.cells
"""
_TALLY = """
SELECT state, count(*) FROM items WHERE tenant = ? AND task_id = ? AND place IS NOT NULL
GROUP BY state
"""

_LOOK_S = 0.1
"""How often a waiting thread looks for what other processes wrote; own writes wake it at once."""

Item = TypeVar("Item")


class SqliteStore:
    """A `gateway.projection.store.ProjectionStore` in one file."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SCHEMA)
        self._waiting = Waiting(_LOOK_S)

    def apply(self, changes: Iterable[Document]) -> Sequence[Applied]:
        """Merge changes into their documents, all of them in one transaction."""
        joined = join(changes)
        if not joined:
            return ()
        with self._file.write() as db:
            merged = _merged(db, joined)
            if not merged:
                return ()
            ((newest,),) = db.execute(
                "UPDATE clock SET sequence = sequence + ? RETURNING sequence", (len(merged),)
            ).fetchall()
            first = newest - len(merged) + 1
            applied = [
                Applied(after.key, sequence, before, after)
                for sequence, (before, after) in enumerate(merged, start=first)
            ]
            _put(db, applied)
        self._waiting.wake()
        return applied

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
        """Jobs of a tenant, newest first. Raises `BadCursor`."""
        where: list[tuple[str, Any]] = []
        if state is not None:
            where.append(("state = ?", state))
        if stage is not None:
            where.append(("stage = ?", stage))
        if since_ms is not None:
            where.append(("created_ms >= ?", since_ms))
        return self._page("job", "jobs", job_of, tenant, where, cursor, limit)

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
        where: list[tuple[str, Any]] = []
        if since_ms is not None:
            where.append(("created_ms >= ?", since_ms))
        return self._page("track", "tracks", track_of, tenant, where, cursor, limit)

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
        # What has no place yet has not been seen being asked for.
        place, last_id = (-1, "") if cursor is None else unpack(cursor)
        where = "tenant = ? AND task_id = ? AND (place, id) > (?, ?)"
        values: list[Any] = [tenant, task_id, place, last_id]
        if state is not None:
            where += " AND state = ?"
            values.append(state)
        query = (
            f"SELECT id, place, cells FROM items WHERE {where}"  # noqa: S608 - fixed texts
            " ORDER BY place, id LIMIT ?"
        )
        with self._file.read() as db:
            rows = db.execute(query, (*values, limit + 1)).fetchall()
        found = [job_of(from_json(Key("item", tenant, row[0]), row[2])) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(found, pack(last[1], last[0]) if last else None)

    def tally(self, tenant: str, task_id: str) -> Mapping[JobState, int]:
        """How many items of a batch are in each state."""
        with self._file.read() as db:
            return dict(db.execute(_TALLY, (tenant, task_id)).fetchall())

    def sequence(self) -> int:
        """The sequence of the newest change."""
        return self._file.number("SELECT sequence FROM clock")

    def wait(self, after: int, timeout_s: float) -> int:
        """Block until something changed behind ``after`` or the time is over."""
        return self._waiting.until(self.sequence, after, timeout_s)

    def clear(self) -> None:
        """Remove every document."""
        with self._file.write() as db:
            db.execute("DELETE FROM jobs")
            db.execute("DELETE FROM tracks")
            db.execute("DELETE FROM items")

    def dump(self) -> bytes:
        """A line a document, in order of kind, tenant and id."""
        with self._file.read() as db:
            rows = db.execute(
                "SELECT 'job' AS kind, tenant, id, cells FROM jobs"
                " UNION ALL SELECT 'track', tenant, id, cells FROM tracks"
                " UNION ALL SELECT 'item', tenant, id, cells FROM items"
                " ORDER BY kind, tenant, id"
            ).fetchall()
        lines = (canonical([*key, json.loads(cells)]) for *key, cells in rows)
        return "".join(f"{line}\n" for line in lines).encode()

    def check(self) -> None:
        """Raise `gateway.projection.store.StoreError` unless the file works."""
        self._file.check()

    def close(self) -> None:
        """Close the file; `wait` returns."""
        self._waiting.close()
        self._file.close()

    def _document(self, key: Key) -> Document | None:
        with self._file.read() as db:
            return _read(db, key)

    def _page(
        self,
        kind: Kind,
        table: str,
        item_of: Callable[[Document], Item],
        tenant: str,
        where: list[tuple[str, Any]],
        cursor: str | None,
        limit: int,
    ) -> Page[Item]:
        terms: list[str] = ["tenant = ?"]
        values: list[Any] = [tenant]
        for term, value in where:
            terms.append(term)
            values.append(value)
        if cursor is not None:
            terms.append("(created_ms, id) < (?, ?)")
            values.extend(unpack(cursor))
        # Only the fixed texts of this module are put together here; values are bound.
        query = (
            f"SELECT id, created_ms, cells FROM {table} WHERE {' AND '.join(terms)}"  # noqa: S608
            " ORDER BY created_ms DESC, id DESC LIMIT ?"
        )
        with self._file.read() as db:
            rows = db.execute(query, (*values, limit + 1)).fetchall()
        items = [item_of(from_json(Key(kind, tenant, row[0]), row[2])) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(items, pack(last[1], last[0]) if last else None)


def _merged(
    db: sqlite3.Connection, joined: dict[Key, Document]
) -> list[tuple[Document | None, Document]]:
    """The documents that these changes really change, before and after."""
    found = []
    for key, change in joined.items():
        before = _read(db, key)
        after = change if before is None else merge(before, change)
        if after is not before:
            found.append((before, after))
    return found


def _read(db: sqlite3.Connection, key: Key) -> Document | None:
    row = db.execute(_SELECT[key.kind], (key.tenant, key.id)).fetchone()
    return None if row is None else from_json(key, row[0])


def _put(db: sqlite3.Connection, applied: Iterable[Applied]) -> None:
    jobs, tracks, items = [], [], []
    for key, sequence, _, after in ((a.key, a.sequence, a.before, a.after) for a in applied):
        if key.kind == "job":
            job = outline_of(after)
            row = (job.tenant, job.job_id, job.track_id, job.state, job.stage, job.created_ms)
            jobs.append((*row, sequence, to_json(after)))
        elif key.kind == "item":
            state = after.cells["state"].value["state"] if "state" in after.cells else "queued"
            task_id = after.cells["track"].value if "track" in after.cells else ""
            items.append(
                (key.tenant, key.id, task_id, place_of(after), state, sequence, to_json(after))
            )
        else:
            created_ms = after.cells["first"].value if "first" in after.cells else 0
            tracks.append((key.tenant, key.id, created_ms, sequence, to_json(after)))
    db.executemany(_PUT_JOB, jobs)
    db.executemany(_PUT_TRACK, tracks)
    db.executemany(_PUT_ITEM, items)
