"""Putting a projection that was built beside in the place of the one that is being read.

Exchanging the files would leave every process that has the old one open reading and writing a file
that nobody sees. So the rows are exchanged, in one transaction of the live file: a reader sees the
old projection or the new one, never a half of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.projection.store import StoreError

_TABLES: Final = {
    "jobs": ("tenant", "id", "track_id", "state", "stage", "created_ms", "cells"),
    "tracks": ("tenant", "id", "created_ms", "cells"),
    "items": ("tenant", "id", "task_id", "place", "state", "cells"),
}
_BUSY_S: Final = 10.0  # as long as every other writer of the file waits for its turn


@dataclass(frozen=True, slots=True)
class Swapped:
    """Documents of the live projection by what the new one made of them."""

    same: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0

    @property
    def documents(self) -> int:
        """Documents that there are now."""
        return self.same + self.changed + self.added


def swap(live: Path, built: Path, *, last_look: Callable[[], object]) -> Swapped:
    """Make ``live`` equal to ``built``; both are files of `gateway.projection.sqlite.SqliteStore`.

    ``last_look`` runs while nobody else can write ``live``: it folds into ``built`` what came since
    it was built. Everything that is in ``live`` was on the log before it was folded, so nothing is
    lost. Documents that do not differ keep their sequence. Raises `StoreError`, with ``live`` as it
    was.
    """
    with _told(live), closing(_connect(live)) as db:
        # BEGIN IMMEDIATE would lock the attached file as well, which last_look writes to.
        db.execute("BEGIN")
        db.execute("UPDATE main.clock SET sequence = sequence")
        try:
            last_look()
            db.execute("ATTACH DATABASE ? AS built", (str(built),))
            parts = [_exchange(db, table, columns) for table, columns in _TABLES.items()]
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
    return Swapped(*(sum(each) for each in zip(*parts, strict=True)))


def _exchange(
    db: sqlite3.Connection, table: str, columns: tuple[str, ...]
) -> tuple[int, int, int, int]:
    """Same, changed, added and removed documents of one table."""
    key = "m.tenant = b.tenant AND m.id = b.id"
    equal = " AND ".join(f"m.{name} IS b.{name}" for name in columns)  # a place may be NULL
    names = ", ".join(columns)
    # Only the fixed texts of this module are put together here.
    exists = f"EXISTS (SELECT 1 FROM main.{table} AS m WHERE {{}})"  # noqa: S608
    count = f"SELECT count(*) FROM built.{table} AS b WHERE {exists}"  # noqa: S608
    (same,) = db.execute(count.format(equal)).fetchone()
    (known,) = db.execute(count.format(key)).fetchone()
    (total,) = db.execute(f"SELECT count(*) FROM built.{table}").fetchone()  # noqa: S608
    removed = db.execute(
        f"DELETE FROM main.{table} AS m WHERE NOT EXISTS"  # noqa: S608
        f" (SELECT 1 FROM built.{table} AS b WHERE {key})"
    ).rowcount
    # Every difference is a change that waiting readers have to see.
    (newest,) = db.execute(
        "UPDATE main.clock SET sequence = sequence + ? RETURNING sequence",
        (total - same + removed,),
    ).fetchone()
    db.execute(
        f"INSERT OR REPLACE INTO main.{table} ({names}, sequence)"  # noqa: S608
        f" SELECT {names}, ? + row_number() OVER (ORDER BY tenant, id)"
        f" FROM built.{table} AS b WHERE NOT {exists.format(equal)}",
        (newest - (total - same),),
    )
    return same, known - same, total - known, removed


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    db.execute("PRAGMA synchronous = FULL")
    return db


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"{path.name} could not be exchanged ({error}) and is as it was; check the disk and try"
            " again"
        ) from error
