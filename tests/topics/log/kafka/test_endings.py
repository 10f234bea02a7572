"""What a transaction's failure means to its caller, with a client that fails on command."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from topics.log import Doubtful, Fenced, LogError, Outgoing
from topics.log.kafka import committing, properties, transaction
from topics.log.kafka.appender import Appender
from topics.log.kafka.cluster import Cluster
from topics.log.kafka.producer import KafkaProducer
from topics.log.kafka.settings import KafkaSettings
from topics.log.kafka.waiting import Caller, Hung
from topics.log.protocol import TopicPartition

ABORTABLE = KafkaError(KafkaError.UNKNOWN, "told to", txn_requires_abort=True)
STALE = KafkaError(KafkaError.STALE_MEMBER_EPOCH, "told to", txn_requires_abort=True)
TIMED_OUT = KafkaError(KafkaError._TIMED_OUT, "told to", retriable=True)
FENCED = KafkaError(KafkaError._FENCED, "told to", fatal=True)
BROKEN = KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "told to", fatal=True)


class Client:
    """A librdkafka producer that fails where it is told to, each failure once."""

    def __init__(self, failures: dict[str, list[KafkaError]]) -> None:
        self._failures = failures
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*_: object, **__: object) -> int:
            self.calls.append(name)
            if self._failures.get(name):
                raise KafkaException(self._failures[name].pop(0))
            return 0

        return call


class Rig:
    """Producers whose clients are `Client`s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **failures: list[KafkaError]) -> None:
        self.clients: list[Client] = []

        def connected(_: object, __: Mapping[str, Any]) -> Client:
            self.clients.append(Client(failures))
            return self.clients[-1]

        monkeypatch.setattr(committing, "connected", connected)
        monkeypatch.setattr(transaction, "KafkaConsumer", Consumer)
        self.producer = KafkaProducer(
            KafkaSettings(kafka_bootstrap_servers="nowhere:1"),
            cast(Cluster, Topics()),
            cast(Appender, None),
            "name",
        )

    def commit(self) -> None:
        with self.producer.transaction() as tx:
            tx.send(Outgoing("topic", b"x"))
            tx.commit_offsets(cast(Any, Consumer()), {TopicPartition("topic", 0): 1})


class Topics:
    def partitions(self, topic: str) -> int:
        return 1


class Consumer:
    """A member that owns everything."""

    def positions(self, offsets: Mapping[TopicPartition, int]) -> list[TopicPartition]:
        return list(offsets)

    def metadata(self) -> str:
        return "who we are"


EARLY = ("flush", "send_offsets_to_transaction")


@pytest.mark.parametrize("at", EARLY)
@pytest.mark.parametrize("error", [ABORTABLE, TIMED_OUT])
def test_before_the_end_a_failure_is_aborted_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, at: str, error: KafkaError
) -> None:
    rig = Rig(monkeypatch, **{at: [error]})
    with pytest.raises(LogError, match="told to") as raised:
        rig.commit()
    assert type(raised.value) is LogError
    assert rig.clients[0].calls[-1] == "abort_transaction"
    rig.commit()
    assert len(rig.clients) == 1


@pytest.mark.parametrize("at", EARLY)
def test_an_abort_that_fails_costs_the_client(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    rig = Rig(monkeypatch, **{at: [ABORTABLE], "abort_transaction": [TIMED_OUT]})
    with pytest.raises(LogError) as raised:
        rig.commit()
    assert type(raised.value) is LogError  # nothing asked for a commit, so nothing is in doubt
    rig.commit()
    assert len(rig.clients) == 2
    assert "init_transactions" in rig.clients[1].calls


@pytest.mark.parametrize("at", EARLY)
def test_a_successor_fences(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    rig = Rig(monkeypatch, **{at: [FENCED]})
    with pytest.raises(Fenced, match="'name'"):
        rig.commit()
    with pytest.raises(LogError, match="fenced off"):
        rig.commit()
    assert len(rig.clients) == 1


def test_a_broker_that_timed_the_transaction_out_is_no_successor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(properties, "TRANSACTION_TIMEOUT_S", -1)
    rig = Rig(monkeypatch, flush=[FENCED])
    with pytest.raises(Doubtful):
        rig.commit()


@pytest.mark.parametrize("error", [TIMED_OUT, FENCED, BROKEN, ABORTABLE])
def test_an_end_without_an_answer_is_in_doubt(
    monkeypatch: pytest.MonkeyPatch, error: KafkaError
) -> None:
    rig = Rig(monkeypatch, commit_transaction=[error], abort_transaction=[BROKEN])
    with pytest.raises(Doubtful, match="new producer"):
        rig.commit()
    with pytest.raises(LogError, match="make another"):
        rig.commit()


def test_an_end_that_was_refused_and_aborted_is_not_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch, commit_transaction=[ABORTABLE])
    with pytest.raises(LogError) as raised:
        rig.commit()
    assert type(raised.value) is LogError


def test_a_rebalance_in_between_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, send_offsets_to_transaction=[STALE])
    rig.commit()
    assert rig.clients[0].calls.count("commit_transaction") == 1
    assert rig.clients[0].calls.count("begin_transaction") == 2


def test_a_group_that_has_moved_on_fences(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, send_offsets_to_transaction=[STALE] * 3)
    with pytest.raises(Fenced, match="moved on"):
        rig.commit()
    rig.commit()  # the producer itself is sound


def test_a_call_that_never_returns_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    never = threading.Event()
    monkeypatch.setattr(committing, "_WHOLE_S", 0.05)
    monkeypatch.setattr(committing, "transact", lambda *_: never.wait())
    with pytest.raises(Doubtful, match="no answer"):
        rig.commit()
    never.set()


def test_a_body_that_raises_asks_nothing_of_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    asked = list(rig.clients[0].calls)

    def changes_its_mind() -> None:
        with rig.producer.transaction() as tx:
            tx.send(Outgoing("topic", b"x"))
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        changes_its_mind()
    assert rig.clients[0].calls == asked


def test_a_caller_returns_raises_and_gives_up() -> None:
    caller = Caller("test")
    assert caller.run(lambda: 5, 10) == 5
    with pytest.raises(ZeroDivisionError):
        caller.run(lambda: 1 // 0, 10)
    never = threading.Event()
    with pytest.raises(Hung):
        caller.run(never.wait, 0.01)
    never.set()
