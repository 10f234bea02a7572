"""Records that are no events of ours are named as poison; good ones keep all they carry."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import avsc
from schemas.events import EVENTS, JobCanceled
from topics import trace
from topics.catalog import CATALOG, RETRY_TIERS_MS, partitions
from topics.codec import Codec, Envelope, Poison, event_id
from topics.log import Record

EVENT = JobCanceled(job_id="job_1", track_id="trk_1", reason="wrong file")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def envelope() -> Envelope:
    return Envelope.caused(
        EVENT, by="req_1", source="gateway", time_ms=1_700_000_000_123, traceparent=TRACE
    )


def record(codec: Codec | None = None, **changes: Any) -> Record:
    out = (codec or Codec()).encode(envelope())
    fields: dict[str, Any] = {
        "topic": out.topic,
        "partition": 0,
        "offset": 0,
        "timestamp_ms": 0,
        "key": out.key,
        "value": out.value,
        "headers": out.headers,
    }
    return Record(**{**fields, **changes})


def test_the_prefix_is_put_on_the_log_and_taken_off_again() -> None:
    codec = Codec(prefix="studio.")
    assert record(codec).topic == "studio.job-canceled"
    assert codec.decode(record(codec)) == envelope()


def test_headers_follow_the_cloudevents_kafka_binding() -> None:
    headers = dict(record().headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == b"melisma.job-canceled"
    assert headers["ce_time"] == b"2023-11-14T22:13:20.123Z"
    assert headers["traceparent"] == TRACE.encode()
    assert headers["content-type"] == b"application/avro"


def test_foreign_headers_come_through() -> None:
    codec = Codec()
    foreign = (("x-team", b"\xff\x00"),)
    assert codec.decode(record(headers=record().headers + foreign)).headers == foreign


def test_a_retry_topic_is_read_as_the_topic_it_came_from() -> None:
    moved = record(topic="separation.retry.5s")
    assert Codec().decode(moved, topic="job-canceled") == envelope()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"value": None}, "too short"),
        ({"value": b""}, "too short"),
        ({"value": b"\x01\x00\x00\x00\x01abc"}, "begins with byte 1"),
        ({"value": b"\x00" + struct.pack(">I", 77) + b"abc"}, "schema id 77"),
        ({"topic": "unheard-of"}, "no event of the catalog"),
        ({"headers": ()}, "ce_id is missing"),
        ({"headers": (("ce_id", b"\xff"),)}, "not UTF-8"),
        ({"headers": (("ce_id", b"1"), ("ce_source", b"x"), ("ce_time", b"noon"))}, "noon"),
    ],
)
def test_poison_says_what_is_wrong(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Poison, match=reason):
        Codec().decode(record(**changes))


def test_truncated_and_overlong_values_are_poison() -> None:
    value = record().value
    assert value is not None
    for broken in (value[:-1], value + b"!"):
        with pytest.raises(Poison):
            Codec().decode(record(value=broken))


@given(st.binary(max_size=200))
def test_random_bytes_never_raise_anything_but_poison(junk: bytes) -> None:
    head = b"\x00" + avsc.local_id(avsc.current("job-canceled")).to_bytes(4)
    for value in (junk, head + junk):
        try:
            Codec().decode(record(value=value))
        except Poison:
            continue


def test_ids_are_the_same_for_the_same_cause_and_differ_otherwise() -> None:
    ids = {event_id(c, s, t, p) for c in "ab" for s in "xy" for t in "mn" for p in ("", "1")}
    assert len(ids) == 16
    assert event_id("a", "x", "m") == event_id("a", "x", "m", "")


@pytest.mark.parametrize("topic", sorted(CATALOG))
def test_the_key_is_the_field_that_the_catalog_names(topic: str) -> None:
    event = EVENTS[topic].from_wire(avsc.golden(topic))
    song = "job_1703616000000_abc123"  # of the first service's document
    songs = {"trk_01J0", "ast_01J0", "mas_01J0", "whk_01J0", song}
    assert CATALOG[topic].key_of(event) in songs | {"itm_01J0", "admission"}


def test_a_stage_needs_its_retry_tiers_and_a_dead_letter_topic() -> None:
    wanted = partitions(["separation"])
    assert {f"separation.retry.{tier}" for tier in RETRY_TIERS_MS} < set(wanted)
    assert wanted["separation.dlq"] == 1
    assert set(CATALOG) < set(wanted)


def test_a_trace_goes_on_and_malformed_ones_begin_anew() -> None:
    assert trace.trace_id(trace.continued(TRACE)) == trace.trace_id(TRACE)
    assert trace.continued(TRACE) != TRACE
    for malformed in (None, "", "00-zz", TRACE.upper(), "00-" + "0" * 32 + TRACE[35:]):
        assert trace.trace_id(malformed) == ""
        assert len(trace.trace_id(trace.continued(malformed))) == 32
