"""What projecting costs, beside bare executemany in the same run.

``python -m tests.bench.bench_projection`` measures, with jobs of 20 events of which 50 are in
progress at a time, in batches of the projector's size

- fold: events to merged changes in memory, nothing written
- store: fold and write to SQLite, durable after each batch
- projector: read from the embedded log, decode, fold, write, commit offsets
- rebuild: from zero, out of the embedded log
- now: fold and write one event a call, durable when it returns, as the gateway does with its own
- bare SQLite: the same number of rows, one an event, by executemany and COMMIT in batches of the
  same size, WAL, synchronous=FULL, values of the size of an encoded event
"""

from __future__ import annotations

import argparse
import gc
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gateway.projection.fold import fold, join
from gateway.projection.projector import (
    BATCH,
    REBUILD_BATCH,
    Projector,
    apply_now,
    rebuild,
)
from gateway.projection.sqlite import SqliteStore
from tests.gateway.projection.histories import Track
from topics.catalog import CATALOG, PARTITIONS
from topics.codec import Codec, Envelope
from topics.log.embedded import EmbeddedLog

TARGET = 15_000  # events/s out of the log into SQLite
EVENTS = 20  # a job: the request, 15 life signs of four steps, their four results
IN_PROGRESS = 50  # jobs whose events come interleaved


def rate(count: int, work: Callable[[], None]) -> float:
    """Events a second."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def one_job(number: int) -> list[Envelope]:
    track = Track(f"trk_{number}")
    work = track.ask(track.work(f"job_{number}"))
    for stage, signs in zip(
        ("separation", "alignment", "quality", "publishing"), (5, 4, 3, 3), strict=True
    ):
        for sequence in range(signs):
            state = ("started", "progress", "progress", "progress", "done")[
                4 if sequence == signs - 1 else sequence
            ]
            track.sign(work, stage, 1, sequence, state, sequence / (signs - 1))
        work = track.make(work, stage)
    assert len(track.envelopes) == EVENTS
    return track.envelopes


def interleaved(jobs: int) -> list[Envelope]:
    """Every job's events in order, ``IN_PROGRESS`` jobs side by side."""
    return [
        envelope
        for first in range(0, jobs, IN_PROGRESS)
        for together in zip(
            *(one_job(n) for n in range(first, min(first + IN_PROGRESS, jobs))), strict=True
        )
        for envelope in together
    ]


def batches(envelopes: Sequence[Envelope], size: int = BATCH) -> Iterator[Sequence[Envelope]]:
    for start in range(0, len(envelopes), size):
        yield envelopes[start : start + size]


def folding(envelopes: Sequence[Envelope]) -> float:
    def work() -> None:
        for batch in batches(envelopes):
            join(change for envelope in batch for change in fold(envelope))

    return rate(len(envelopes), work)


def storing(envelopes: Sequence[Envelope], path: Path, size: int = BATCH) -> float:
    store = SqliteStore(path)

    def work() -> None:
        for batch in batches(envelopes, size):
            apply_now(store, batch)

    figure = rate(len(envelopes), work)
    store.close()
    return figure


def projecting(envelopes: Sequence[Envelope], folder: Path) -> tuple[float, float]:
    """Events a second of the projector and of a rebuild."""
    log, codec = EmbeddedLog(folder / "log.db"), Codec()
    log.provision(dict.fromkeys(CATALOG, PARTITIONS))
    producer = log.producer("bench")
    for batch in batches(envelopes):
        producer.send(codec.encode(envelope) for envelope in batch)
    producer.close()
    store = SqliteStore(folder / "projected.db")
    projector, stop = Projector(log, codec, store), threading.Event()
    thread = threading.Thread(target=projector.run, args=(stop,))

    def project() -> None:
        thread.start()
        while projector.status.events < len(envelopes):
            time.sleep(0.005)

    projected = rate(len(envelopes), project)
    stop.set()
    thread.join()
    rebuilt = rate(len(envelopes), lambda: check(rebuild(log, codec, store).events, envelopes))
    store.close()
    log.close()
    return projected, rebuilt


def check(events: int, envelopes: Sequence[Envelope]) -> None:
    if events != len(envelopes):
        raise RuntimeError(f"{events} events were rebuilt of {len(envelopes)}")


def bare(envelopes: Sequence[Envelope], path: Path) -> float:
    codec = Codec()
    rows = [(e.id, codec.encode(e).value) for e in envelopes]
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE events (id TEXT PRIMARY KEY, value BLOB NOT NULL)")

    def work() -> None:
        for start in range(0, len(rows), BATCH):
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO events VALUES (?, ?)", rows[start : start + BATCH])
            db.execute("COMMIT")

    figure = rate(len(rows), work)
    db.close()
    return figure


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--jobs", type=int, default=500)
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()
    envelopes = interleaved(options.jobs)
    gc.collect()
    gc.freeze()  # the events of the benchmark are nothing that a projector's collector looks at
    figures: dict[str, list[float]] = {}
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            projected, rebuilt = projecting(envelopes, folder)
            for what, figure in (
                ("fold", folding(envelopes)),
                ("store", storing(envelopes, folder / "store.db")),
                ("projector", projected),
                ("rebuild", rebuilt),
                ("now", storing(envelopes[: 10 * EVENTS], folder / "now.db", size=1)),
                ("bare SQLite", bare(envelopes, folder / "bare.db")),
            ):
                figures.setdefault(what, []).append(figure)
    print(
        f"{len(envelopes)} events, {EVENTS} a job, batches of {BATCH}, of a rebuild"
        f" {REBUILD_BATCH}, median of {options.repeats} runs (target: projector and rebuild >="
        f" {TARGET:,} events/s)"
    )
    base = statistics.median(figures["bare SQLite"])
    for what, found in figures.items():
        median = statistics.median(found)
        print(f"{what:12} {median:10,.0f} events/s   {median / base:6.2f} of bare SQLite")


if __name__ == "__main__":
    main()
