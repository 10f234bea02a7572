"""The projection made anew from the topics, beside the one that is read, and put in its place."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.projection.projector import catch_up
from gateway.projection.sqlite import SqliteStore
from gateway.projection.sqlite_swap import Swapped, swap
from gateway.projection.store import ProjectionStore, StoreError
from topics.codec import Codec
from topics.log import Log, TopicPartition

NAME = "projection.db"


@dataclass(frozen=True, slots=True)
class Built:
    """What a rebuild has read, and what it changed where it replaced a projection."""

    events: int
    poisoned: int
    swapped: Swapped | None = None


def build(log: Log, codec: Codec, folder: Path, progress: Callable[[int], None]) -> Built:
    """A projection in a folder that has none, for looking at. Raises `StoreError`."""
    path = folder / NAME
    if path.exists():
        raise StoreError(f"there is a projection in '{folder}' already; name another folder")
    store = SqliteStore(path)
    try:
        read = catch_up(log, codec, store, {}, progress=progress)
    finally:
        store.close()
    return Built(read.events, read.poisoned)


def replace(log: Log, codec: Codec, folder: Path, progress: Callable[[int], None]) -> Built:
    """Build beside the folder's projection, then exchange it; the product may run meanwhile.

    Raises `StoreError`; the projection is then as it was.
    """
    live = folder / NAME
    beside = folder / "projection.rebuilt.db"
    with _alone(folder / "projection.rebuild.lock"):
        _remove(beside)  # of a rebuild that was killed
        SqliteStore(live).close()  # makes it, where there is none yet
        store = SqliteStore(beside)
        try:
            positions: dict[TopicPartition, int] = {}
            first = catch_up(log, codec, store, positions, progress=progress)
            # Again just before the lock, so that little is left to read while others wait.
            second = catch_up(log, codec, store, positions, progress=progress)
            last = []
            swapped = swap(
                live,
                beside,
                last_look=lambda: last.append(catch_up(log, codec, store, positions)),
            )
        finally:
            store.close()
            _remove(beside)
    read = (first, second, *last)
    return Built(sum(r.events for r in read), sum(r.poisoned for r in read), swapped)


def fold_over(
    log: Log, codec: Codec, store: ProjectionStore, progress: Callable[[int], None]
) -> Built:
    """Fold the whole log into a projection that is being read, for a store that cannot exchange
    all of its documents at once, as Cassandra.

    Readers never see less than before: what is there only gains what it lacks. A document that no
    event explains stays; but nothing except events is ever written there.
    """
    read = catch_up(log, codec, store, {}, progress=progress)
    return Built(read.events, read.poisoned)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError("another rebuild is at work here; wait for it to end") from None
        yield


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
