"""A broker of its own: killed and restarted in mid-transaction, or one that asks for a password."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.topics.log.steps import until
from tools.stack import ports
from tools.stack import state as states
from tools.stack.stack import Stack
from topics.log import Consumer, Log, LogError, Outgoing, Record, TopicPartition
from topics.log.kafka.log import KafkaLog
from topics.log.kafka.settings import KafkaSettings

pytestmark = [pytest.mark.stack, pytest.mark.faults]

_RECORDS = 1200
_PARTITIONS = 4


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "stack", ["kafka"])
    yield stack
    stack.down(purge=True)


class Copier:
    """A stage in small: it copies records, and recovers as a worker does."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._producer = log.producer("copier")
        self._consumer = log.consumer("copier", ["in"])
        self.failures: list[LogError] = []
        self.committed = 0  # records whose transaction was acknowledged

    def reaches(self, count: int) -> None:
        """Wait until that many were committed."""

        def reached() -> bool:
            time.sleep(0.001)
            return self.committed >= count

        until(reached, f"{count} records to be copied")

    def run(self, over: threading.Event) -> None:
        work: list[Record] = []
        while not over.is_set():
            try:
                work = work or list(self._consumer.poll(0.2, max_records=5))
                if work:
                    self._copy(work)
                    self.committed += len(work)
                    work = []
            except LogError as error:
                self.failures.append(error)
                work = self._still_to_do(work, over)
        self._consumer.close()
        self._producer.close()

    def _copy(self, records: list[Record]) -> None:
        with self._producer.transaction() as tx:
            for record in records:
                tx.send(Outgoing("out", record.value, record.key))
            tx.commit_offsets(self._consumer, {r.tp: r.offset + 1 for r in records})

    def _still_to_do(self, records: list[Record], over: threading.Event) -> list[Record]:
        """What was not committed, once the log can say so."""
        while not over.is_set():
            try:
                self._producer.close()
                self._producer = self._log.producer("copier")
                return [r for r in records if r.offset >= _committed(self._consumer, r.tp)]
            except LogError as error:
                self.failures.append(error)
                time.sleep(0.2)
        return []


def _committed(consumer: Consumer, tp: TopicPartition) -> int:
    return consumer.committed(tp) or 0


def test_a_broker_killed_in_mid_transaction_loses_and_repeats_nothing(stack: Stack) -> None:
    log = KafkaLog(KafkaSettings(kafka_bootstrap_servers=stack.up()["KAFKA_BOOTSTRAP_SERVERS"]))
    log.provision({"in": _PARTITIONS, "out": 1})
    log.producer("source").send(
        Outgoing("in", str(n).encode(), partition=n % _PARTITIONS) for n in range(_RECORDS)
    )
    copier, over = Copier(log), threading.Event()
    copying = threading.Thread(target=copier.run, args=(over,))
    copying.start()
    try:
        for part in (1, 2):
            copier.reaches(part * _RECORDS // 4)
            stack.kill9("kafka")
            assert copier.committed < _RECORDS, "the broker was not killed in mid-work"
            stack.restart("kafka")
            copier.reaches(copier.committed + 1)

        def all_done() -> bool:
            time.sleep(0.2)
            return sum(log.group_offsets("copier").values()) == _RECORDS

        until(all_done, "every record to be committed")
    finally:
        over.set()
        copying.join()
    assert copier.failures, "no transaction met the dead broker"
    seen: Counter[bytes | None] = Counter()
    reader = log.reader(["out"])

    def read_on() -> bool:
        seen.update(record.value for record in reader.poll(0.5, 1000))
        return reader.caught_up()

    until(read_on, "the end of the outputs")
    assert seen == Counter(str(n).encode() for n in range(_RECORDS))
    log.close()


def test_wrong_credentials_are_named_and_right_ones_work(stack: Stack) -> None:
    stack.prepare()
    state = states.load(stack.data_dir / "stack.json")
    assert state is not None
    listen = {name: f"127.0.0.1:{port}" for name, port in state.ports["kafka-1"].items()}
    secured = f"127.0.0.1:{next(ports.choose(random.Random(), state.taken()))}"
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    stack.settings = {
        "kafka": {
            "listeners": ",".join(f"{n.upper()}://{at}" for n, at in listen.items())
            + f",SECURED://{secured}",
            "advertised.listeners": f"CLIENT://{listen['client']},INTERNAL://{listen['internal']},"
            f"SECURED://{secured}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,"
            "CONTROLLER:PLAINTEXT,SECURED:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.secured.plain.sasl.jaas.config": (
                f'{module} required user_melisma="right";'
            ),
        }
    }
    stack.up()
    right = KafkaSettings(
        kafka_bootstrap_servers=secured,
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="PLAIN",
        kafka_sasl_username="melisma",
        kafka_sasl_password=SecretStr("right"),
    )
    wrong = right.model_copy(update={"kafka_sasl_password": SecretStr("wrong")})
    log = KafkaLog(wrong)
    began = time.monotonic()
    with pytest.raises(LogError, match="KAFKA_SASL_PASSWORD") as raised:
        log.topics()
    assert time.monotonic() - began < 10, "refused credentials were tried again and again"
    assert "wrong" not in str(raised.value)
    log.close()
    log = KafkaLog(right)
    log.provision({"topic": 1})
    log.producer("name").send([Outgoing("topic", b"x")])
    assert log.end_offsets(["topic"]) == {TopicPartition("topic", 0): 1}
    log.close()
