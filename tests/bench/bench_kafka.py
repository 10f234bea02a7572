"""What the log on Kafka costs, beside a bare confluent-kafka loop in the same run.

``python -m tests.bench.bench_kafka`` measures, on one broker that it starts and stops (or on
``--bootstrap``)

- hop: from before an input is produced to its output in the hands of a committed reader, idle
  otherwise; between them a loop that consumes, produces and commits the offset in one transaction
- throughput of that loop with exactly-once, 100 records a transaction
- wake: from `wake` to the return of the poll that it ends, 10 ms and 1 s after the last event
- idle: processor time of a consumer that waits

The bare loop has the client's defaults but for what exactly-once and the group need, and
``retry.backoff.ms=5``, without which it is several times slower.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka as kafka

from topics.log import Outgoing
from topics.log.kafka.log import KafkaLog
from topics.log.kafka.settings import KafkaSettings

VALUE = b"v" * 493  # bytes of an encoded event of this product
BATCH = 100

Loop = Callable[[str, str, threading.Event], None]
"""Moves records from a topic to another until told to stop."""


def run() -> str:
    """A name that no earlier run left anything under."""
    return uuid.uuid4().hex[:8]


def bare_loop(bootstrap: str, batch: int) -> Loop:
    def loop(source: str, target: str, over: threading.Event) -> None:
        common = {"bootstrap.servers": bootstrap, "retry.backoff.ms": 5}
        consumer = kafka.Consumer(
            {
                **common,
                "group.id": f"bare-{run()}",
                "group.protocol": "consumer",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        producer = kafka.Producer({**common, "transactional.id": f"bare-{run()}"})
        producer.init_transactions(30)
        consumer.subscribe([source])
        while not over.is_set():
            first = consumer.poll(0.5)
            if first is None:
                continue
            messages = [first, *consumer.consume(batch - 1, 0)] if batch > 1 else [first]
            producer.begin_transaction()
            ends: dict[int, int] = {}
            for message in messages:
                producer.produce(target, message.value(), message.key())
                ends[message.partition() or 0] = (message.offset() or 0) + 1
            producer.send_offsets_to_transaction(
                [kafka.TopicPartition(source, p, end) for p, end in ends.items()],
                consumer.consumer_group_metadata(),
            )
            producer.commit_transaction()
        consumer.close()

    return loop


def log_loop(log: KafkaLog, batch: int) -> Loop:
    def loop(source: str, target: str, over: threading.Event) -> None:
        consumer = log.consumer(f"log-{run()}", [source])
        producer = log.producer(f"log-{run()}")
        while not over.is_set():
            records = consumer.poll(0.5, batch)
            if not records:
                continue
            with producer.transaction() as tx:
                for record in records:
                    tx.send(Outgoing(target, record.value, record.key, record.headers))
                tx.commit_offsets(consumer, {r.tp: r.offset + 1 for r in records})
        consumer.close()
        producer.close()

    return loop


def pausing_loop(log: KafkaLog) -> Loop:
    """As a stage does it: the partition is paused while its record is in work elsewhere."""

    def loop(source: str, target: str, over: threading.Event) -> None:
        consumer = log.consumer(f"log-{run()}", [source])
        producer = log.producer(f"log-{run()}")
        while not over.is_set():
            for record in consumer.poll(0.5, 1):
                consumer.pause([record.tp])
                threading.Timer(0.001, consumer.wake).start()  # the work of a child process
                consumer.poll(1.0, 1)
                with producer.transaction() as tx:
                    tx.send(Outgoing(target, record.value, record.key))
                    tx.commit_offsets(consumer, {record.tp: record.offset + 1})
                consumer.resume([record.tp])
        consumer.close()
        producer.close()

    return loop


@contextmanager
def running(loop: Loop, source: str, target: str) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=loop, args=(source, target, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def reader(bootstrap: str, topic: str, partitions: int) -> kafka.Consumer:
    client = kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"reader-{run()}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    client.assign([kafka.TopicPartition(topic, n, 0) for n in range(partitions)])
    return client


def hops(log: KafkaLog, bootstrap: str, loop: Loop, count: int) -> list[float]:
    """Milliseconds from before `produce` to the output, sorted."""
    source, target = f"in-{run()}", f"out-{run()}"
    log.provision({source: 4, target: 4})
    outputs = reader(bootstrap, target, 4)
    producer = kafka.Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    took: list[float] = []
    with running(loop, source, target):
        for n in range(count + 5):
            time.sleep(0.02)
            began = time.perf_counter()
            producer.produce(source, VALUE, key=str(n).encode())
            producer.flush()
            while outputs.poll(1.0) is None:
                pass
            took.append((time.perf_counter() - began) * 1000)
    outputs.close()
    return sorted(took[5:])  # the first ones join the group


def throughput(log: KafkaLog, bootstrap: str, loop: Loop, count: int) -> float:
    """Records a second, from the first output to the last."""
    source, target = f"in-{run()}", f"out-{run()}"
    log.provision({source: 4, target: 4})
    producer = kafka.Producer({"bootstrap.servers": bootstrap})
    for n in range(count):
        producer.produce(source, VALUE, key=str(n).encode())
        producer.poll(0)
    producer.flush()
    outputs = reader(bootstrap, target, 4)
    seen, began, first = 0, 0.0, 0
    with running(loop, source, target):
        while seen < count:
            seen += len(outputs.consume(1000, 0.05))
            if seen and not began:
                began, first = time.perf_counter(), seen
        rate = (count - first) / (time.perf_counter() - began)
    outputs.close()
    return rate


def wakes(log: KafkaLog, after_s: float, count: int) -> list[float]:
    """Milliseconds from `wake` to the return of the poll, sorted."""
    topic = f"wake-{run()}"
    log.provision({topic: 1})
    polled = log.reader([topic])
    took: list[float] = []
    for _ in range(count):
        polled.wake()
        polled.poll(1.0)  # something has just happened
        woken: list[float] = []

        def wake(at: list[float] = woken) -> None:
            at.append(time.perf_counter())
            polled.wake()

        timer = threading.Timer(after_s, wake)
        timer.start()
        polled.poll(30.0)
        took.append((time.perf_counter() - woken[0]) * 1000)
        timer.join()
    polled.close()
    return sorted(took)


def idle_share(log: KafkaLog, seconds: float) -> float:
    """Processor seconds a second of a member that waits."""
    topic = f"idle-{run()}"
    log.provision({topic: 4})
    consumer = log.consumer(f"idle-{run()}", [topic])
    while len(consumer.assignment()) < 4:
        consumer.poll(0.1)
    consumer.poll(2.0)
    began = time.process_time()
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        consumer.poll(left)
    used = time.process_time() - began
    consumer.close()
    return used / seconds


@contextmanager
def broker(bootstrap: str) -> Iterator[str]:
    if bootstrap:
        yield bootstrap
        return
    from tools.stack.stack import Stack

    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", ["kafka"])
        try:
            yield stack.up()["KAFKA_BOOTSTRAP_SERVERS"]
        finally:
            stack.down(purge=True)


def percentiles(took: list[float]) -> str:
    return f"p50 {statistics.median(took):6.2f} ms   p95 {took[int(len(took) * 0.95)]:6.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="records of the throughput")
    parser.add_argument("--hops", type=int, default=200)
    parser.add_argument("--bootstrap", default="", help="a running broker; one is started else")
    arguments = parser.parse_args()
    with broker(arguments.bootstrap) as bootstrap:
        log = KafkaLog(KafkaSettings(kafka_bootstrap_servers=bootstrap))
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, one broker on the machine")
        for name, loop in (
            ("bare loop", bare_loop(bootstrap, 1)),
            ("log", log_loop(log, 1)),
            ("log, paused and woken as by a stage", pausing_loop(log)),
        ):
            took = hops(log, bootstrap, loop, arguments.hops)
            print(f"hop, {name:40} {percentiles(took)}")
        rates: dict[str, list[float]] = {"bare": [], "log": []}
        for _ in range(2):  # in turn, so that a machine that slows down slows both
            for name, loop in (
                ("bare", bare_loop(bootstrap, BATCH)),
                ("log", log_loop(log, BATCH)),
            ):
                rates[name].append(throughput(log, bootstrap, loop, arguments.count))
        bare, ours = (statistics.mean(rates[name]) for name in ("bare", "log"))
        print(
            f"exactly-once, {BATCH} a transaction: bare {bare:,.0f}/s, log {ours:,.0f}/s, ", end=""
        )
        print(f"ratio {ours / bare:.2f}")
        for after_s in (0.01, 1.0):
            took = wakes(log, after_s, 100 if after_s < 0.1 else 10)
            print(f"wake {after_s:g} s after the last event: {percentiles(took)}")
        print(f"idle: {idle_share(log, 5) * 100:.2f} % of one core a consumer")
        log.close()


if __name__ == "__main__":
    main()
