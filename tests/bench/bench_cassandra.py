"""What projecting into Cassandra costs, beside the bare driver in the same run.

``python -m tests.bench.bench_cassandra`` starts a Cassandra (or uses ``--address host:port``) and
measures, with jobs of 20 events of which 50 are in progress at a time

- projection: fold and write in batches of the projector's size, from an empty projection
- again: the same events once more, which changes nothing
- now: one event a call, readable when it returns, as the gateway does with its own
- bare driver: a prepared INSERT an event, concurrent, values of the size of an encoded event

All take turns batch by batch, so that whatever else the machine does slows each alike, and the
first repeat is thrown away: the server compiles itself while it works.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cassandra.cluster import Cluster
from cassandra.concurrent import execute_concurrent_with_args

from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.cassandra.store import CassandraStore
from gateway.projection.projector import BATCH, apply_now
from tests.bench.bench_projection import EVENTS, batches, interleaved
from tools.stack.stack import Stack
from topics.codec import Codec, Envelope

TARGET = 1.4  # of the bare driver's writes a second


@contextmanager
def address(given: str) -> Iterator[str]:
    """A node: the given one, or one that lives as long as the measurement."""
    if given:
        yield given
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder) / "stack", services=["cassandra"]) as stack,
    ):
        yield stack.addresses["CASSANDRA_CONTACT_POINTS"]
        stack.down(purge=True)


def measure(settings: CassandraSettings, jobs: int, repeats: int) -> dict[str, list[float]]:
    """Events a second of each, by repeat."""
    envelopes = interleaved(jobs)
    figures: dict[str, list[float]] = {}
    store = CassandraStore(settings)
    with Cluster(settings.addresses()) as cluster:
        session = cluster.connect(settings.cassandra_keyspace)
        session.execute("CREATE TABLE bare (id text PRIMARY KEY, value blob)", timeout=60)
        insert = session.prepare("INSERT INTO bare (id, value) VALUES (?, ?)")

        def bare(rows: Sequence[tuple[str, bytes]]) -> None:
            execute_concurrent_with_args(
                session, insert, rows, concurrency=settings.cassandra_concurrency
            )

        def now(batch: Sequence[Envelope]) -> None:
            for envelope in batch:
                apply_now(store, [envelope])

        codec = Codec()
        for repeat in range(repeats + 1):
            store.clear()
            seconds: dict[str, float] = {}
            counts: dict[str, int] = {}

            def timed(what: str, count: int, work: Callable[[], object]) -> None:
                began = time.perf_counter()
                work()
                seconds[what] = seconds.get(what, 0.0) + time.perf_counter() - began  # noqa: B023
                counts[what] = counts.get(what, 0) + count  # noqa: B023

            for batch in batches(envelopes):
                rows = [(e.id, bytes(codec.encode(e).value or b"")) for e in batch]
                timed("bare driver", len(batch), partial(bare, rows))
                timed("projection", len(batch), partial(apply_now, store, batch))
                timed("again", len(batch), partial(apply_now, store, batch))
            store.clear()
            timed("now", 5 * EVENTS, partial(now, envelopes[: 5 * EVENTS]))
            if repeat:
                for what, spent in seconds.items():
                    figures.setdefault(what, []).append(counts[what] / spent)
        session.execute(f"DROP KEYSPACE {settings.cassandra_keyspace}", timeout=60)
    store.close()
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--jobs", type=int, default=500)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--address", default="", help="a node; without one it is started")
    options = arguments.parse_args()
    with address(options.address) as node:
        settings = CassandraSettings(
            cassandra_contact_points=node,
            cassandra_keyspace=f"bench_{secrets.token_hex(4)}",
            cassandra_timeout_seconds=60,
        )
        figures = measure(settings, options.jobs, options.repeats)
    print(
        f"{options.jobs * EVENTS} events, {EVENTS} a job, batches of {BATCH},"
        f" median of {options.repeats} runs (target: projection >= {TARGET} of the bare driver)"
    )
    base = statistics.median(figures["bare driver"])
    for what, found in figures.items():
        median = statistics.median(found)
        print(f"{what:12} {median:10,.0f} events/s   {median / base:6.2f} of the bare driver")


if __name__ == "__main__":
    main()
