"""What projecting into Cassandra costs, beside the bare driver in the same run.

``python -m tests.bench.bench_cassandra`` starts a Cassandra (or uses ``--address host:port``) and
measures, with jobs of 20 events of which 50 are in progress at a time

- projection: fold and write in batches of the projector's size, from an empty projection
- again: the same events once more, which changes nothing
- now: one event a call, readable when it returns, as the gateway does with its own
- bare driver: a prepared INSERT an event, concurrent, values of the size of an encoded event

The repeats take turns, and a part of each is thrown away first: the server compiles itself while
it works.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cassandra.cluster import Cluster, Session
from cassandra.concurrent import execute_concurrent_with_args

from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.cassandra.store import CassandraStore
from gateway.projection.projector import BATCH, apply_now
from tests.bench.bench_projection import EVENTS, batches, interleaved, rate
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


def projecting(store: CassandraStore, envelopes: Sequence[Envelope], size: int) -> float:
    def work() -> None:
        for batch in batches(envelopes, size):
            apply_now(store, batch)

    return rate(len(envelopes), work)


def bare(session: Session, rows: Sequence[tuple[str, bytes]], concurrency: int) -> float:
    statement = session.prepare("INSERT INTO bare (id, value) VALUES (?, ?)")

    def work() -> None:
        execute_concurrent_with_args(session, statement, rows, concurrency=concurrency)

    return rate(len(rows), work)


def measure(settings: CassandraSettings, jobs: int, repeats: int) -> dict[str, list[float]]:
    envelopes = interleaved(jobs)
    codec = Codec()
    rows = [(envelope.id, bytes(codec.encode(envelope).value or b"")) for envelope in envelopes]
    figures: dict[str, list[float]] = {}
    store = CassandraStore(settings)
    with Cluster(settings.addresses()) as cluster:
        session = cluster.connect(settings.cassandra_keyspace)
        session.execute("CREATE TABLE bare (id text PRIMARY KEY, value blob)", timeout=60)
        turns: dict[str, Callable[[], float]] = {
            "bare driver": lambda: bare(session, rows, settings.cassandra_concurrency),
            "projection": lambda: projecting(store, envelopes, BATCH),
            "again": lambda: projecting(store, envelopes, BATCH),
            "now": lambda: projecting(store, envelopes[: 5 * EVENTS], 1),
        }
        for repeat in range(repeats + 1):
            for what, turn in turns.items():
                if what in ("projection", "now"):
                    store.clear()
                figure = turn()
                if repeat:
                    figures.setdefault(what, []).append(figure)
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
