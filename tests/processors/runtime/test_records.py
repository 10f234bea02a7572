import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.runtime import records
from processors.runtime.records import Origin, Turn
from topics.codec import Codec, Poison
from topics.log import Outgoing, Record

CODEC = Codec(prefix="p.")
names = st.text(max_size=20).filter(lambda name: not name.startswith("melisma."))
originals = st.builds(
    Record,
    topic=st.just("p.import-requested"),
    partition=st.integers(0, 7),
    offset=st.integers(0, 2**40),
    timestamp_ms=st.integers(0, 2**40),
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=200),
    headers=st.lists(st.tuples(names, st.binary(max_size=20)), max_size=5).map(tuple),
)


def read_back(outgoing: Outgoing) -> Record:
    return Record(outgoing.topic, 3, 17, 1, outgoing.key, outgoing.value, outgoing.headers)


def again(record: Record, next_try: int, due_ms: int) -> Record:
    turn = records.turn_of(record)
    return read_back(
        records.retry(
            record,
            turn,
            stage="trial",
            tier="5s",
            next_try=next_try,
            due_ms=due_ms,
            codec=CODEC,
        )
    )


@given(originals, st.integers(2, 100), st.integers(0, 2**45))
def test_a_record_that_waits_keeps_its_bytes_and_its_origin(
    record: Record, next_try: int, due_ms: int
) -> None:
    waiting = again(again(record, 2, 5), next_try, due_ms)
    assert waiting.topic == "p.trial.retry.5s"
    assert (waiting.key, waiting.value) == (record.key, record.value)
    assert waiting.headers[: len(record.headers)] == record.headers
    origin = Origin(record.topic, record.partition, record.offset, record.timestamp_ms)
    assert records.turn_of(waiting) == Turn(origin, next_try, due_ms)
    assert records.turn_of(record) == Turn(origin, 1, 0)


@given(originals, st.booleans())
def test_a_dead_letter_is_the_record_as_it_was(record: Record, waited: bool) -> None:
    died = again(record, 2, 5) if waited else record
    letter = records.dead_letter(
        died,
        origin=records.turn_of(died).origin,
        tries=2,
        stage="trial",
        kind="ValueError",
        code="crashed",
        message="Bearer 0123456789abcdef; " + "x" * 10_000,
        codec=CODEC,
    )
    assert letter.topic == "p.trial.dlq"
    assert (letter.key, letter.value) == (record.key, record.value)
    assert letter.headers[: len(record.headers)] == record.headers
    said = dict(letter.headers[len(record.headers) :])
    assert said["melisma.error.topic"] == b"p.import-requested"
    assert said["melisma.error.offset"] == str(record.offset).encode()
    assert b"0123456789abcdef" not in said["melisma.error.message"]
    assert len(said["melisma.error.message"]) <= 4000


@given(
    st.dictionaries(
        st.sampled_from(["melisma.retry.try", "melisma.retry.due-ms", "melisma.retry.origin"]),
        st.binary(max_size=20),
        min_size=1,
    )
)
def test_damaged_headers_are_poison(headers: dict[str, bytes]) -> None:
    with pytest.raises(Poison):
        records.turn_of(Record("t", 0, 0, 0, None, b"", tuple(headers.items())))
