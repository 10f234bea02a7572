"""What the embedded log costs, beside bare SQLite in the same run.

``python -m tests.bench.bench_log`` measures

- appends: one record of 493 B a call, each durable when the call returns, and in batches of 100
- transactions: consume, produce and commit the offset in one transaction, 1 and 100 records each
- hop: from a `send` to the record in the hands of a thread that was waiting for it
- idle: processor time of a process with 20 waiting consumers
- bare SQLite: the same rows by INSERT and COMMIT, WAL, synchronous=FULL, nothing around them
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from topics.log import EmbeddedLog, Outgoing

VALUE = b"v" * 493  # bytes of an encoded event of this product
KEY = b"0f8fad5b-d9cb-469f-a165-70867728950e"
THREADS = 8


def rate(count: int, work: Callable[[], None]) -> float:
    """Records a second."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def bare(path: Path, count: int, batch: int) -> float:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY, key BLOB, value BLOB)")

    def work() -> None:
        for _ in range(count // batch):
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO record (key, value) VALUES (?, ?)", [(KEY, VALUE)] * batch)
            db.execute("COMMIT")

    try:
        return rate(count, work)
    finally:
        db.close()


def appends(log: EmbeddedLog, count: int, batch: int) -> float:
    producer = log.producer("bench")
    records = [Outgoing("in", VALUE, key=KEY)] * batch

    def work() -> None:
        for _ in range(count // batch):
            producer.send(records)

    return rate(count, work)


def shared_appends(log: EmbeddedLog, count: int) -> float:
    def write(who: int) -> None:
        producer = log.producer(f"bench-{who}")
        for _ in range(count // THREADS):
            producer.send([Outgoing("in", VALUE, key=KEY)])

    threads = [threading.Thread(target=write, args=(who,)) for who in range(THREADS)]

    def work() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return rate(count, work)


def transactions(log: EmbeddedLog, count: int, batch: int) -> float:
    producer = log.producer("bench")
    log.producer("fill").send([Outgoing("work", VALUE, key=KEY)] * count)
    consumer = log.consumer(f"bench-{batch}", ["work"])
    for tp in log.end_offsets(["work"]):
        consumer.poll(0, max_records=1)  # assigned before the clock starts
        if tp in consumer.assignment():
            consumer.seek(tp, log.end_offsets(["work"])[tp])
    log.producer("fill").send([Outgoing("work", VALUE, key=KEY)] * count)

    def work() -> None:
        done = 0
        while done < count:
            records = consumer.poll(1, max_records=batch)
            with producer.transaction() as tx:
                for record in records:
                    tx.send(Outgoing("out", record.value, key=record.key))
                tx.commit_offsets(consumer, {r.tp: r.offset + 1 for r in records})
            done += len(records)

    try:
        return rate(count, work)
    finally:
        consumer.close()


def hops(log: EmbeddedLog, count: int) -> list[float]:
    """Milliseconds from before each `send` to the record in the waiting thread, sorted."""
    sent = [0.0] * count
    took: list[float] = []
    one_by_one = threading.Semaphore(0)

    def receive() -> None:
        reader = log.reader(["hop"])
        one_by_one.release()
        while len(took) < count:
            for record in reader.poll(1):
                took.append((time.perf_counter() - sent[int(record.value or b"")]) * 1000)
                one_by_one.release()
        reader.close()

    receiver = threading.Thread(target=receive)
    receiver.start()
    producer = log.producer("bench")
    for n in range(count):
        one_by_one.acquire()
        time.sleep(0.002)  # the receiver waits in poll again
        sent[n] = time.perf_counter()
        producer.send([Outgoing("hop", str(n).encode())])
    receiver.join()
    return sorted(took)


def idle_share(log: EmbeddedLog, seconds: float) -> float:
    """Processor seconds a second with 20 consumers that wait."""
    consumers = [log.consumer(f"idle-{n}", ["in", "out"]) for n in range(20)]
    stop = threading.Event()

    def wait(n: int) -> None:
        consumers[n].poll(0)
        for tp, end in log.end_offsets(["in", "out"]).items():
            consumers[n].seek(tp, end)
        while not stop.is_set():
            consumers[n].poll(60)

    threads = [threading.Thread(target=wait, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    started = time.process_time()
    time.sleep(seconds)
    used = time.process_time() - started
    stop.set()
    for consumer in consumers:
        consumer.wake()
    for thread in threads:
        thread.join()
    for consumer in consumers:
        consumer.close()
    return used / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4000, help="records a measurement")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; a temporary one else")
    arguments = parser.parse_args()
    count = arguments.count
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        log = EmbeddedLog(Path(folder) / "log.sqlite")
        log.provision({"in": 1, "work": 1, "out": 1, "hop": 1})
        rows: list[tuple[str, float, float]] = []
        for batch, times in ((1, 1), (100, 10)):
            compared = bare(Path(folder) / "bare.sqlite", count * times, batch)
            kind = f"{batch} a commit"
            rows.append((f"appends, {kind}", appends(log, count * times, batch), compared))
            moved = transactions(log, count * times, batch)
            rows.append((f"consume-produce-commit, {kind}", moved, compared))
            if batch == 1:
                shared = shared_appends(log, count * 2)
                rows.append((f"appends, {kind}, {THREADS} threads", shared, compared))
        print(f"{'records/s':44}{'log':>10}{'bare SQLite':>14}{'ratio':>8}")
        for name, ours, theirs in rows:
            print(f"{name:44}{ours:10,.0f}{theirs:14,.0f}{ours / theirs:8.2f}")
        took = hops(log, max(100, count // 8))
        p95 = took[int(len(took) * 0.95)]
        print(f"hop in one process: p50 {statistics.median(took):.2f} ms, p95 {p95:.2f} ms")
        print(f"idle, 20 consumers: {idle_share(log, 5) * 100:.2f} % of one core")
        log.close()


if __name__ == "__main__":
    main()
