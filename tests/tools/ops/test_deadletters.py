"""Dead letters on a real log: read, replayed once, dropped, never lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.runtime import records
from processors.runtime.control import Verdicts
from processors.runtime.records import turn_of
from schemas.events import Event, JobCanceled, JobRetried, Separated, Work
from schemas.work import STAGES
from tools.ops import difference, headers
from tools.ops.deadletters import (
    Filter,
    Left,
    Letter,
    Mark,
    Resend,
    drop,
    plan,
    read,
    resend,
    verdicts,
)
from topics.catalog import HANDLED, dead_letter_topic, partitions
from topics.codec import Codec, Envelope
from topics.log import Log, Outgoing, Record
from topics.log.embedded import EmbeddedLog

CODEC = Codec(prefix="studio.")
MARK = Mark("replayed", "the model is fixed", at_ms=1, by="ops", replay_id="rpl_1")
POISON = b"\x01\x02 no avro"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(EmbeddedLog(tmp_path / "log.db")) as made:
        names = partitions(STAGES) | {dead_letter_topic("projector"): 1}
        made.provision({CODEC.on_log(name): count for name, count in names.items()})
        yield made


def send(log: Log, *outgoing: Outgoing) -> None:
    with closing(log.producer("test")) as producer:
        producer.send(outgoing)


def happens(log: Log, event: Event, cause: str = "req_1") -> None:
    envelope = Envelope.caused(event, by=cause, source="test", time_ms=0, traceparent="")
    send(log, CODEC.encode(envelope))


def everything(log: Log, topic: str) -> list[Record]:
    with closing(log.reader([CODEC.on_log(topic)])) as reader:
        found: list[Record] = []
        while not reader.caught_up():
            found += reader.poll(0.05)
        return found


def die(log: Log, record: Record, stage: str, code: str = "poison") -> None:
    """What the runtime of a stage writes when it gives up on a record."""
    send(
        log,
        records.dead_letter(
            record,
            origin=turn_of(record).origin,
            tries=3,
            stage=stage,
            kind="Rejected",
            code=code,
            message=f"{stage}: this is wrong",
            codec=CODEC,
        ),
    )


def separated(job: str = "job_1", attempt: int = 1) -> Separated:
    return Separated(work=Work(job_id=job, track_id="trk_1", attempt=attempt))


def letters(log: Log, **wanted: object) -> list[Letter]:
    found = read(log, CODEC, Filter(**wanted))  # type: ignore[arg-type]
    return sorted(found, key=lambda each: each.id)


def planned(log: Log, again: bool = False, **wanted: object) -> tuple[list[Resend], list[Left]]:
    return plan(
        letters(log, **wanted),
        verdicts(log, CODEC),
        frozenset(log.topics()),
        max_replays=3,
        again=again,
    )


def replay(log: Log, resends: Collection[Resend]) -> None:
    with closing(log.producer("dead-letters")) as producer:
        resend(producer, CODEC, resends, MARK)


def test_a_letter_tells_what_happened(log: Log) -> None:
    happens(log, separated())
    die(log, everything(log, "separated")[0], "alignment", "no_vocals")
    [letter] = letters(log)
    assert letter.id == "alignment/0/0"
    assert letter.said("code") == "no_vocals"
    assert letter.said("message") == "alignment: this is wrong"
    assert letter.job_id == "job_1"
    assert letter.origin.startswith("studio.separated/")
    assert letter.event is not None
    assert letter.event.event == separated()


def test_letters_are_filtered(log: Log) -> None:
    happens(log, separated("job_1"))
    happens(log, separated("job_2"), "req_2")
    send(log, Outgoing(CODEC.on_log("aligned"), POISON, partition=0))
    for record in everything(log, "separated"):
        die(log, record, "alignment", "no_vocals")
    die(log, everything(log, "aligned")[0], "quality")
    assert [each.id for each in letters(log, owner="quality")] == ["quality/0/0"]
    assert [each.id for each in letters(log, code="poison")] == ["quality/0/0"]
    assert [each.job_id for each in letters(log, job_id="job_2")] == ["job_2"]
    assert [each.id for each in letters(log, ids=("alignment/0/1",))] == ["alignment/0/1"]
    [last] = letters(log, owner="quality")
    at = last.record.timestamp_ms
    assert letters(log, from_ms=at, to_ms=at + 1, owner="quality") == [last]
    assert not letters(log, to_ms=at, owner="quality")


def test_a_replay_writes_the_same_bytes_once_and_marks_the_letter(log: Log) -> None:
    foreign = Outgoing(
        CODEC.on_log("separated"), POISON, b"trk_1", (("x-team", b"\xff"), ("ce_id", b"1"))
    )
    send(log, foreign)
    die(log, everything(log, "separated")[0], "alignment")
    resends, left = planned(log)
    assert not left
    replay(log, resends)
    original, again = everything(log, "separated")
    assert (again.value, again.key) == (original.value, original.key)
    assert again.headers[:2] == original.headers
    assert headers.number(again.headers, headers.COUNT) == 1
    assert headers.text(again.headers, headers.REASON) == MARK.reason
    assert headers.text(again.headers, headers.OF) == "alignment/0/0"
    assert not [name for name, _ in again.headers if name.startswith("melisma.error.")]
    assert letters(log) == []
    [letter] = letters(log, handled=True)
    assert letter.mark == MARK
    assert planned(log) == ([], [])
    resends, [one] = planned(log, handled=True)
    assert not resends
    assert "replayed already" in one.why
    assert planned(log, again=True, handled=True)[0]


def test_one_record_in_two_queues_is_written_once(log: Log) -> None:
    send(log, Outgoing(CODEC.on_log("separated"), POISON, partition=0))
    [record] = everything(log, "separated")
    die(log, record, "alignment")
    die(log, record, "transcription")
    resends, left = planned(log)
    assert [len(each.letters) for each in resends] == [2]
    assert not left
    replay(log, resends)
    assert len(everything(log, "separated")) == 2
    assert letters(log) == []


def test_a_record_that_keeps_coming_back_is_left(log: Log) -> None:
    send(log, Outgoing(CODEC.on_log("separated"), POISON, partition=0))
    for number in range(3):
        die(log, everything(log, "separated")[-1], "alignment")
        resends, left = planned(log)
        assert (len(resends), left) == (1, []), number
        replay(log, resends)
    die(log, everything(log, "separated")[-1], "alignment")
    resends, [left_alone] = planned(log)
    assert not resends
    assert "3 times" in left_alone.why


def test_nothing_is_written_when_the_transaction_fails(log: Log) -> None:
    send(log, Outgoing(CODEC.on_log("separated"), POISON, partition=0))
    die(log, everything(log, "separated")[0], "alignment")
    resends, _ = planned(log)
    late = log.producer("dead-letters")
    log.producer("dead-letters").close()  # another operator began after us
    with pytest.raises(Exception, match="taken over"):
        resend(late, CODEC, resends, MARK)
    assert len(everything(log, "separated")) == 1
    assert len(letters(log)) == 1


def test_canceled_and_retried_jobs_are_left(log: Log) -> None:
    for job in ("job_1", "job_2", "job_3"):
        happens(log, separated(job), job)
    for record in everything(log, "separated"):
        die(log, record, "alignment", "crashed")
    happens(log, JobCanceled(job_id="job_1", track_id="trk_1", attempt=1))
    happens(log, JobRetried(job_id="job_2", track_id="trk_1", attempt=2))
    resends, left = planned(log)
    assert [each.letter.job_id for each in resends] == ["job_3"]
    assert {(each.letter.job_id, each.why) for each in left} == {
        ("job_1", "job_1 was canceled"),
        ("job_2", "job_2 was tried again since"),
    }


def test_what_the_projector_set_aside_is_not_given_to_the_stages(log: Log) -> None:
    send(log, Outgoing(CODEC.on_log("separated"), POISON, partition=0))
    die(log, everything(log, "separated")[0], "projector")
    resends, [left] = planned(log)
    assert not resends
    assert "rebuild" in left.why


def test_a_letter_that_says_nothing_of_itself_is_listed_and_left(log: Log) -> None:
    send(log, Outgoing(CODEC.on_log("alignment.dlq"), None))
    send(log, Outgoing(CODEC.on_log("alignment.dlq"), b"?", None, (("melisma.error.topic", b"x"),)))
    resends, left = planned(log)
    assert not resends
    assert len(left) == 2


def test_dropped_letters_leave_the_list_and_keep_their_bytes(log: Log) -> None:
    send(log, Outgoing(CODEC.on_log("separated"), POISON, partition=0))
    die(log, everything(log, "separated")[0], "alignment")
    with closing(log.producer("dead-letters")) as producer:
        drop(producer, CODEC, letters(log), replace(MARK, action="dropped"))
    assert letters(log) == []
    [letter] = letters(log, handled=True)
    assert letter.record.value == POISON
    assert letter.mark is not None
    assert letter.mark.action == "dropped"


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"action": 1, "who": 2}', b"\xff"])
def test_a_damaged_mark_leaves_the_letter_open(log: Log, value: bytes) -> None:
    send(log, Outgoing(CODEC.on_log("separated"), POISON, partition=0))
    die(log, everything(log, "separated")[0], "alignment")
    send(log, Outgoing(CODEC.on_log(HANDLED), value, b"alignment/0/0"))
    assert len(letters(log)) == 1


def test_a_letter_is_compared_with_its_neighbour(log: Log) -> None:
    happens(log, separated("job_1"), "a")
    send(log, Outgoing(CODEC.on_log("separated"), POISON, b"trk_1"))
    happens(log, separated("job_2"), "b")
    fine, poison, other = everything(log, "separated")
    die(log, poison, "alignment")
    die(log, other, "alignment", "crashed")
    of_bytes, of_event = letters(log)
    text = "\n".join(difference.compared(log, CODEC, of_bytes))
    assert f"separated/{fine.partition}/0" in text
    assert "+magic byte 1" in text
    assert "-magic byte 0" in text
    text = "\n".join(difference.compared(log, CODEC, of_event))
    assert '-    "jobId": "job_1"' in text
    assert '+    "jobId": "job_2"' in text


def test_without_a_neighbour_the_golden_example_is_compared(log: Log) -> None:
    send(log, Outgoing(CODEC.on_log("separated"), POISON, b"trk_1"))
    die(log, everything(log, "separated")[0], "alignment")
    [letter] = letters(log)
    assert any("golden example" in line for line in difference.compared(log, CODEC, letter))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["alignment", "transcription"]), st.integers(0, 3)), max_size=12
    ).flatmap(lambda places: st.tuples(st.just(places), st.permutations(places)))
)
def test_every_letter_is_resent_or_left_whatever_the_order(
    drawn: tuple[list[tuple[str, int]], list[tuple[str, int]]],
) -> None:
    def made(places: Collection[tuple[str, int]]) -> list[Letter]:
        return [
            Letter(
                owner,
                Record(
                    f"{owner}.dlq",
                    0,
                    at,
                    0,
                    None,
                    b"",
                    (
                        ("melisma.error.topic", b"separated"),
                        ("melisma.error.partition", b"0"),
                        ("melisma.error.offset", str(at).encode()),
                    ),
                ),
                None,
            )
            for owner, at in set(places)
        ]

    one, other = (plan(made(places), Verdicts(), {"separated"}, max_replays=3) for places in drawn)
    assert one == other
    resends, left = one
    told = [letter.id for each in resends for letter in each.letters]
    told += [each.letter.id for each in left]
    assert sorted(told) == sorted(letter.id for letter in made(drawn[0]))
    origins = [each.letter.origin for each in resends]
    assert len(set(origins)) == len(origins)
