"""What the stage runtime adds to an event, beside a bare confluent-kafka loop in the same run.

``python -m tests.bench.bench_runtime`` prints two tables. On one broker that it starts and stops
(or on ``--bootstrap``), each beside a bare loop that decodes an event, encodes another with the
same codec and commits both in one transaction:

- hop: from before an input is produced to its output in the hands of a committed reader, one at a
  time, idle in between. All loops run at once and take turns event by event, so that whatever
  else the machine does hits each of them.
- rate: a backlog with exactly-once, batches of 100, in turns.

All loops run in one process, and so under the thread switching that a host of stages sets.

``process`` is a stage that does nothing, in its process, one event of a partition at a time;
``batch`` one that does nothing, declared with ``batch=100``.

And on the embedded log, ``process`` alone:

- start: from the `send` of the first input to its output, child process and imports included
- hop: from the `send` of its input to its output in the hands of a waiting reader, one at a time
- kill: from the cancel of a try to the end of its process
- rate: records a second while a backlog lasts, through one child process

A ratio holds on a busy machine, a millisecond does not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka as kafka

from processors.runtime import Stage
from processors.runtime.host import Host
from schemas.events import ImportRequested, Separated, Work
from tests.bench.bench_kafka import broker, reader, run
from tests.processors.runtime import stages
from tests.processors.runtime.rig import Rig, is_running, until
from topics import logs, trace
from topics.codec import Codec, Envelope
from topics.log import Reader, Record

BATCH = 100


def requests(codec: Codec, count: int) -> list[tuple[str, bytes, bytes, Any]]:
    """Inputs as a gateway writes them, encoded."""
    made = []
    for number in range(count):
        work = Work(job_id=f"job-{run()}", track_id=f"track-{number}", duration_ms=10_000)
        out = codec.encode(
            Envelope.caused(
                ImportRequested(work=work),
                by=work.job_id,
                source="gateway",
                time_ms=1,
                traceparent=trace.begin(),
            )
        )
        assert out.key is not None
        assert out.value is not None
        made.append((out.topic, out.value, out.key, list(out.headers)))
    return made


def bare(bootstrap: str, codec: Codec, batch: int, over: threading.Event) -> None:
    """The least that a service does: decode, encode, one transaction a batch."""
    common = {"bootstrap.servers": bootstrap, "retry.backoff.ms": 5}
    consumer = kafka.Consumer(
        {
            **common,
            "group.id": codec.on_log("bare"),
            "group.protocol": "consumer",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    producer = kafka.Producer({**common, "transactional.id": f"bare-{run()}"})
    producer.init_transactions(30)
    source = codec.on_log("import-requested")
    consumer.subscribe([source])
    while not over.is_set():
        first = consumer.poll(0.5)
        if first is None:
            continue
        messages = [first, *consumer.consume(batch - 1, 0)] if batch > 1 else [first]
        producer.begin_transaction()
        ends: dict[int, int] = {}
        for message in messages:
            partition, offset = message.partition() or 0, message.offset() or 0
            headers: Any = message.headers()
            taken = codec.decode(
                Record(source, partition, offset, 1, message.key(), message.value(), headers)
            )
            assert isinstance(taken.event, ImportRequested)
            out = codec.encode(
                Envelope.caused(
                    Separated(work=taken.event.work),
                    by=taken.id,
                    source="bare",
                    time_ms=time.time_ns() // 1_000_000,
                    traceparent=taken.traceparent,
                )
            )
            producer.produce(out.topic, out.value, out.key, headers=list(out.headers))
            ends[partition] = offset + 1
        producer.send_offsets_to_transaction(
            [kafka.TopicPartition(source, p, end) for p, end in ends.items()],
            consumer.consumer_group_metadata(),
        )
        producer.commit_transaction()
    consumer.close()


class Course:
    """A loop under its own topics: a stage, or the bare one."""

    def __init__(self, folder: Path, bootstrap: str, stage: Stage | None) -> None:
        os.environ |= {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, "TOPIC_PREFIX": f"b{run()}."}
        self._bootstrap, self._stage = bootstrap, stage
        self.rig = Rig(folder / run(), stage or stages.idle, level="ERROR")
        self.codec = self.rig.codec
        target = self.codec.on_log("separated")
        self.outputs = reader(bootstrap, target, self.rig.log.topics()[target])
        group = self.codec.on_log("bare" if stage is None else stage.name)
        self._group = kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": group})
        self.given = 0
        """Inputs so far. The group's offsets are asked for in mid-commit, where they may be
        missing: what was done before is known better than they tell it."""

    def committed(self) -> int:
        """Inputs that the group is done with, so far as its offsets tell."""
        source = self.codec.on_log("import-requested")
        count = self.rig.log.topics()[source]
        asked = [kafka.TopicPartition(source, partition) for partition in range(count)]
        return sum(max(tp.offset, 0) for tp in self._group.committed(asked, 10))

    @contextmanager
    def running(self, batch: int) -> Iterator[None]:
        """Records a transaction: up to ``batch`` of the bare loop; stages have their own."""
        if self._stage is not None:
            with self.rig.host(worker_name=f"w{run()}"):
                yield
            return
        over = threading.Event()
        thread = threading.Thread(target=bare, args=(self._bootstrap, self.codec, batch, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def close(self) -> None:
        self.outputs.close()
        self._group.close()
        self.rig.log.close()


def hops(bootstrap: str, courses: Sequence[Course], count: int) -> list[list[float]]:
    """Milliseconds of each course, in turns."""
    producer = kafka.Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    took: list[list[float]] = [[] for _ in courses]
    warm = 10  # the first ones join the group, and start the process
    inputs = [requests(course.codec, count + warm) for course in courses]
    with ExitStack() as parts:
        for course in courses:
            parts.enter_context(course.running(1))
        for number in range(count + warm):
            for course, given, times in zip(courses, inputs, took, strict=True):
                topic, value, key, headers = given[number]
                time.sleep(0.02)
                began = time.perf_counter()
                course.given += 1
                producer.produce(topic, value, key, headers=headers)
                producer.flush()
                while course.outputs.poll(1.0) is None:
                    pass
                times.append((time.perf_counter() - began) * 1000)
    return [times[warm:] for times in took]


def backlog(bootstrap: str, course: Course, count: int) -> float:
    """Records a second, from the first commit that is seen to the last.

    The group's offsets tell how far it is: a reader of the outputs in this process would share the
    interpreter with the loop that it measures. The outputs are counted afterwards.
    """
    producer = kafka.Producer({"bootstrap.servers": bootstrap})
    for topic, value, key, headers in requests(course.codec, count):
        producer.produce(topic, value, key, headers=headers)
        producer.poll(0)
    producer.flush()
    start, course.given = course.given, course.given + count
    done, first, began = 0, 0, 0.0
    with course.running(BATCH):
        while done < count:
            time.sleep(0.01)
            done = course.committed() - start
            if done > 0 and not began:
                began, first = time.perf_counter(), done
        rate = (count - first) / (time.perf_counter() - began)
    seen = 0
    while seen < count:
        seen += len(course.outputs.consume(1000, 5.0))
    assert course.outputs.poll(0.2) is None, "an output is there twice"
    return rate


def on_kafka(folder: Path, bootstrap: str, chosen: argparse.Namespace) -> None:
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}, one broker on the machine, no-op stages")
    stages_of = {"bare": None, "process": stages.idle, "batch": stages.swift}
    courses = {name: Course(folder, bootstrap, stage) for name, stage in stages_of.items()}
    took = hops(bootstrap, list(courses.values()), chosen.hops)
    base = statistics.median(took[0])
    print(f"{'hop':10}{'p50 ms':>8}{'p95 ms':>8}{'p50 / bare':>12}")
    for name, times in zip(courses, took, strict=True):
        cuts = statistics.quantiles(times, n=20)
        print(f"{name:10}{cuts[9]:8.1f}{cuts[18]:8.1f}{cuts[9] / base:12.2f}")
    rates: dict[str, list[float]] = {name: [] for name in courses}
    for turn in range(chosen.rounds):  # who is first changes, so that no drift favours one
        for name in ("bare", "batch") if turn % 2 else ("batch", "bare"):
            rates[name].append(backlog(bootstrap, courses[name], chosen.count))
    rates["process"].append(backlog(bootstrap, courses["process"], chosen.backlog))
    for each in courses.values():
        each.close()
    print(f"{'rate':10}{'events/s':>10}{'/ bare':>8}   exactly-once, {BATCH} a transaction")
    base = statistics.median(rates["bare"])
    for name, found in rates.items():
        rate = statistics.median(found)
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        print(f"{name:10}{rate:10,.0f}{rate / base:8.2f}   {spread}")


def arrivals(outputs: Reader, count: int) -> float:
    """Seconds until that many records have arrived."""
    started, got = time.perf_counter(), 0
    while got < count:
        got += len(outputs.poll(60, 1000))
    return time.perf_counter() - started


def kill_seconds(rig: Rig, host: Host, number: int) -> float:
    """One cancel in mid-work."""
    note = rig.folder / f"note-{number}"
    rig.request(f"hang-{number}", "hang", note=str(note))
    pid = int(until(lambda: note.exists() and note.read_text(), "the work begins"))
    until(lambda: host.health(lag=False)["trial"].in_work, "the try")
    started = time.perf_counter()
    rig.cancel(f"hang-{number}")
    while is_running(pid):
        time.sleep(0.0005)
    return time.perf_counter() - started


def embedded(folder: Path, chosen: argparse.Namespace) -> None:
    rig = Rig(folder, stages.trial, level="ERROR")
    outputs = rig.log.reader(["separated"])
    print("embedded log, a no-op stage in its process")
    with rig.host() as host:
        rig.request("first")
        print(f"start   {arrivals(outputs, 1) * 1000:8.0f} ms")
        took = []
        for number in range(chosen.hops):
            time.sleep(0.005)  # idle before each
            started = time.perf_counter()
            rig.request(f"hop-{number}")
            arrivals(outputs, 1)
            took.append((time.perf_counter() - started) * 1000)
        cuts = statistics.quantiles(took, n=20)
        print(f"hop     {cuts[9]:8.1f} ms p50, {cuts[18]:.1f} ms p95")
        kills = [kill_seconds(rig, host, number) * 1000 for number in range(chosen.kills)]
        print(f"kill    {statistics.median(kills):8.1f} ms p50, {max(kills):.1f} ms at most")
    for number in range(chosen.backlog):
        rig.request(f"backlog-{number}")
    with rig.host():
        arrivals(outputs, 1)
        seconds = arrivals(outputs, chosen.backlog - 1)
        print(f"rate    {(chosen.backlog - 1) / seconds:8.0f} events/s")
    outputs.close()
    rig.log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hops", type=int, default=200)
    parser.add_argument("--count", type=int, default=20_000, help="events of the rate")
    parser.add_argument(
        "--rounds", type=int, default=5, help="turns of the rate; the median counts"
    )
    parser.add_argument("--backlog", type=int, default=1000, help="events through one process")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--bootstrap", default="", help="a running broker; one is started else")
    chosen = parser.parse_args()
    logs.configure("json", "ERROR")
    with tempfile.TemporaryDirectory() as folder:
        embedded(Path(folder) / "embedded", chosen)
        with broker(chosen.bootstrap) as bootstrap:
            on_kafka(Path(folder), bootstrap, chosen)


if __name__ == "__main__":
    main()
