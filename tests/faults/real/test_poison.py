"""Bytes that are no event, on every topic: dead letters unchanged, and the partition goes on."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from fastavro.utils import generate_one

from processors.runtime import find
from schemas import avsc
from schemas.events import EVENTS
from schemas.work import STAGES
from tests.e2e.product import Json, until
from tests.faults.real.audit import Seen, audit, open_codec, open_log, read
from tests.faults.real.parts import SEED, Parts, accept_all, ended
from topics.catalog import CATALOG, PARTITIONS
from topics.codec import Envelope
from topics.log import Outgoing

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(1800, func_only=True)]

_BIG = 2_000_000 - 64  # of the value; a request takes 2 MB with its headers


def test_poison_on_every_topic_is_kept_and_passed(parts: Callable[..., Parts]) -> None:
    chance = random.Random(SEED)
    product = parts().start()
    with product.client() as client:
        jobs: list[Json] = accept_all(client, [50])
        ended(client, jobs)
    told = product.environment
    codec, log = open_codec(told), open_log(told)
    values: dict[str, list[bytes]] = {}
    try:
        producer = log.producer("poison")
        for name in CATALOG:
            sound = EVENTS[name].from_wire(generate_one(avsc.current(name)))
            good = codec.encode(
                Envelope.caused(sound, by="poison", source="poison", time_ms=1, traceparent="")
            ).value
            assert good is not None
            values[name] = [
                chance.randbytes(200),
                b"\0" + (999_999).to_bytes(4, "big") + chance.randbytes(60),  # unknown schema id
                good[: 5 + (len(good) - 5) // 2],  # truncated Avro
                chance.randbytes(_BIG),
                b"",
            ]
            headers = (("ce_id", b"poison"), ("mark", name.encode()))
            for number, value in enumerate(values[name]):
                topic = codec.on_log(name)
                producer.send(
                    [
                        Outgoing(topic, value, f"{name} {number}".encode(), headers, partition=p)
                        for p in range(PARTITIONS)
                    ]
                )
        producer.close()
    finally:
        log.close()
        codec.close()

    with product.client() as client:  # behind the poison, on the same partitions
        jobs += accept_all(client, range(51, 55))
        ended(client, jobs)

    # A stage buries what it consumes; control topics and those that nobody works on have no owner.
    wanted: dict[str, int] = {}
    for stage in STAGES:
        for kind in find(stage).consumes:
            wanted[stage] = wanted.get(stage, 0) + PARTITIONS * len(values[kind.topic])

    def buried() -> Seen | None:
        seen = read(told)
        return seen if {s: len(seen.dead[s]) for s in STAGES} == wanted else None

    seen = until(buried, f"dead letters: {wanted}", pause_s=1.0)
    for stage in STAGES:
        for letter in seen.dead[stage]:
            said = dict(letter.headers)
            name = codec.in_catalog(said["melisma.error.topic"].decode())
            number = int((letter.key or b"").split()[1])
            assert letter.value == values[name][number], (stage, name, number)
            assert said["mark"] == name.encode()
            assert said["melisma.error.code"] == b"poison"
            assert said["melisma.error.attempts"] == b"0"  # nobody worked on it
    with product.client() as client:
        print(audit(product, client, jobs, poisoned=True))
    print(f"dead letters, bytes unchanged: {wanted}")
    product.stop()
