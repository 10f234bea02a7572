"""Bytes that are no event, on every topic: dead letters unchanged, and the partition goes on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest
from fastavro.utils import generate_one

from gateway.projection.projector import GROUP as PROJECTOR
from processors.runtime import find
from schemas import avsc
from schemas.events import EVENTS
from schemas.work import DELIVERY, STAGES
from tests.e2e.product import Json, until
from tests.faults.real.audit import Seen, audit, open_codec, open_log, read
from tests.faults.real.parts import PATIENCE_S, SEED, Parts, accept_all, ended
from topics.catalog import CATALOG, PROJECTED
from topics.codec import Envelope
from topics.log import Outgoing, Record

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(1800, func_only=True)]

Mark = str
"""Topic and number of a value."""

_BIG = 2_000_000 - 64  # of the value; a request takes 2 MB with its headers


def spoiled(chance: random.Random, good: bytes) -> list[bytes]:
    """Values that are no events."""
    return [
        chance.randbytes(200),
        b"\0" + (999_999).to_bytes(4, "big") + chance.randbytes(60),  # unknown schema id
        good[: 5 + (len(good) - 5) // 2],  # truncated Avro
        b"",
        chance.randbytes(_BIG),
    ]


def test_poison_on_every_topic_is_kept_and_passed(parts: Callable[..., Parts]) -> None:
    chance = random.Random(SEED)
    product = parts().start().start(DELIVERY)
    with product.client() as client:
        jobs: list[Json] = accept_all(client, [50])
        ended(client, jobs)
    told = product.environment
    codec, log = open_codec(told), open_log(told)
    values: dict[Mark, bytes] = {}
    sent: Counter[Mark] = Counter()
    try:
        producer = log.producer("poison")
        for name in CATALOG:
            sound = EVENTS[name].from_wire(generate_one(avsc.current(name)))
            good = codec.encode(
                Envelope.caused(sound, by="poison", source="poison", time_ms=1, traceparent="")
            ).value
            assert good is not None
            for number, value in enumerate(spoiled(chance, good)):
                mark = f"{name} {number}"
                values[mark] = value
                count = CATALOG[name].partitions
                everywhere = range(count) if len(value) < _BIG else [chance.randrange(count)]
                headers = (("ce_id", b"poison"), ("mark", mark.encode()))
                for partition in everywhere:
                    producer.send(
                        [Outgoing(codec.on_log(name), value, b"key", headers, partition=partition)]
                    )
                    sent[mark] += 1
        producer.close()
    finally:
        log.close()
        codec.close()

    with product.client() as client:  # behind the poison, on the same partitions
        jobs += accept_all(client, range(51, 55))
        ended(client, jobs)

    # A stage buries what it consumes. The projector reads every topic that says something of jobs,
    # those too that no stage does: the control topics, and what the last stages make. Deliveries
    # are a log of their own.
    consumed = {stage: {kind.topic for kind in find(stage).consumes} for stage in STAGES}
    consumed[PROJECTOR] = set(PROJECTED)
    consumed[DELIVERY] = {"notified", "webhook-attempted"}
    wanted = {
        owner: Counter({mark: count for mark, count in sent.items() if mark.split()[0] in topics})
        for owner, topics in consumed.items()
    }
    totals = {owner: marks.total() for owner, marks in wanted.items()}

    def buried() -> Seen | None:
        seen = read(told)
        return seen if {owner: len(seen.dead[owner]) for owner in totals} == totals else None

    seen = until(buried, f"dead letters: {totals}", pause_s=2.0, timeout_s=PATIENCE_S)
    for owner, letters in seen.dead.items():
        assert Counter(mark_of(letter) for letter in letters) == wanted[owner], owner
        for letter in letters:
            said = dict(letter.headers)
            assert letter.value == values[mark_of(letter)], (owner, mark_of(letter))
            assert letter.key == b"key"
            assert said["ce_id"] == b"poison"
            assert said["melisma.error.stage"] == owner.encode()
            topic = codec.in_catalog(said["melisma.error.topic"].decode())
            assert topic == mark_of(letter).split()[0]
    for stage in STAGES:
        for letter in seen.dead[stage]:
            said = dict(letter.headers)
            assert said["melisma.error.code"] == b"poison"
            assert said["melisma.error.attempts"] == b"0"  # nobody worked on it
    with product.client() as client:
        print(audit(product, client, jobs, poisoned=True))
    print(f"dead letters, bytes unchanged: {totals}")
    product.stop()


def mark_of(letter: Record) -> Mark:
    """Which value it was."""
    return dict(letter.headers)["mark"].decode()
