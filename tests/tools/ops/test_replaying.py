"""A replay on a real log, with a real gateway beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.projection.fold import fold
from schemas.events import ReprocessRequested, Work
from tests.gateway.house import House
from tools.ops import headers
from tools.ops.replay import Order
from tools.ops.replaying import Plan, Selection, plan_all, publish, survey
from topics.log import Fenced, Outgoing

ALIGN = Order(replay_id="rpl_1", stage="alignment")
SEPARATED = Selection(topic="separated")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(House(tmp_path)) as made:
        yield made


def planned(house: House, selection: Selection = SEPARATED, order: Order = ALIGN) -> Plan:
    found = survey(house.log, house.codec, selection, order.replay_id)
    return plan_all(found, house.store, order)


def written(house: House, plan: Plan, order: Order = ALIGN, batch: int = 100) -> list[Work]:
    works = publish(
        plan.requests,
        log=house.log,
        codec=house.codec,
        reservations=house.reservations,
        replay_id=order.replay_id,
        now_ms=house.clock.now_ms,
        batch=batch,
    )
    return list(works)


def project(house: House) -> None:
    """What the projector would do with the requests."""
    for envelope in house.events("reprocess-requested"):
        house.store.apply(fold(envelope))


def test_replaying_separated_makes_new_versions_without_separating(house: House) -> None:
    first, second = house.published(), house.published()
    plan = planned(house)
    assert {each.work.track_id for each in plan.requests} == {first["trackId"], second["trackId"]}
    works = written(house, plan)
    assert [work.version for work in works] == [2, 2]
    project(house)
    for work in works:
        shown = house.http.get(f"/v1/jobs/{work.job_id}").json()
        assert (shown["kind"], shown["state"], shown["step"]) == ("replay", "queued", "align")
        assert [step["step"] for step in shown["steps"]] == ["align", "qc", "publish"]
        house.publish(work.job_id)
    assert len(house.events("separated")) == 2
    for track in (first["trackId"], second["trackId"]):
        ready = house.http.get(f"/v1/tracks/{track}/ready").json()
        assert ready["version"] == 2
        assert house.http.get(f"/v1/tracks/{track}/versions/1").status_code == 200


def test_the_requests_say_where_they_come_from(house: House) -> None:
    house.published()
    written(house, planned(house))
    [envelope] = house.events("reprocess-requested")
    assert isinstance(envelope.event, ReprocessRequested)
    assert envelope.event.reason == "replay"
    assert envelope.source == "replay"
    assert headers.text(envelope.headers, headers.ID) == "rpl_1"
    assert headers.number(envelope.headers, headers.COUNT) == 1
    assert headers.text(envelope.headers, headers.OF).startswith("separated/")


def test_an_interrupted_replay_goes_on_without_doubling(house: House) -> None:
    tracks = {house.published()["trackId"] for _ in range(3)}
    plan = planned(house)

    def dies_at_the_third() -> Iterator[object]:
        yield from plan.requests[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(house, replace(plan, requests=dies_at_the_third()), batch=1)  # type: ignore[arg-type]
    assert len(house.events("reprocess-requested")) == 2
    # whether the projector has seen them or not
    again = planned(house)
    assert [each.reason for each in again.skipped] == ["requested", "requested"]
    written(house, again)
    project(house)
    last = planned(house)
    assert not last.requests
    envelopes = house.events("reprocess-requested")
    assert len({each.id for each in envelopes}) == len(envelopes) == 3
    assert {each.event.work.track_id for each in envelopes} == tracks  # type: ignore[union-attr]


def test_a_version_reserved_by_a_try_that_died_is_the_next_tries(house: House) -> None:
    accepted = house.published()
    [request] = planned(house).requests
    reserved = house.reservations.reserve_version(
        "default", accepted["trackId"], request.work.job_id, floor=request.floor
    )
    [work] = written(house, planned(house))
    assert work.version == reserved == 2


def test_two_runs_of_one_replay_do_not_write_beside_each_other(house: House) -> None:
    house.published()
    house.published()
    plan = planned(house)
    works = publish(
        plan.requests,
        log=house.log,
        codec=house.codec,
        reservations=house.reservations,
        replay_id="rpl_1",
        now_ms=house.clock.now_ms,
        batch=1,
    )
    next(works)
    written(house, planned(house))
    with pytest.raises(Fenced):
        next(works)
    assert len(house.events("reprocess-requested")) == 2


def test_replays_are_counted_along_their_jobs(house: House) -> None:
    house.published()
    for number in range(1, 4):
        order = replace(ALIGN, replay_id=f"rpl_{number}", stage="quality")
        [request] = planned(house, Selection(topic="aligned"), order).requests
        assert request.replays == number
        # what a replay from alignment on makes is fed to the next one
        align = replace(order, stage="alignment")
        [work] = written(house, planned(house, Selection(topic="aligned"), align), align)
        project(house)
        house.publish(work.job_id)
    order = replace(ALIGN, replay_id="rpl_last")
    [left] = planned(house, Selection(topic="aligned"), order).skipped
    assert left.reason == "loop"
    # the separation was of no replay, so it can be replayed for ever
    assert planned(house, SEPARATED, order).requests


def test_one_job_or_track_can_be_chosen(house: House) -> None:
    house.published()
    accepted = house.published()
    job, track = accepted["jobId"], accepted["trackId"]
    for selection in (Selection(job_id=job), Selection(track_id=track)):
        assert [each.work.track_id for each in planned(house, selection).requests] == [track]
    for selection in (Selection(job_id=track), Selection(track_id=job)):
        assert planned(house, selection) == Plan([], [])


def test_only_what_the_log_took_in_the_time_is_chosen(house: House) -> None:
    house.published()
    reader = house.log.reader(["separated"])
    [record] = [one for _ in range(2) for one in reader.poll(0.5)]
    at = record.timestamp_ms
    reader.close()
    assert planned(house, replace(SEPARATED, from_ms=at, to_ms=at + 1)).requests
    assert not planned(house, replace(SEPARATED, from_ms=at + 1)).requests
    assert not planned(house, replace(SEPARATED, to_ms=at)).requests


def test_poison_is_counted_and_passed_over(house: House) -> None:
    house.published()
    producer = house.log.producer("test")
    producer.send([Outgoing("separated", b"not avro", partition=n) for n in range(4)])
    producer.close()
    plan = planned(house)
    assert plan.poisoned == 4
    assert len(plan.requests) == 1


def test_an_edit_since_is_kept(house: House) -> None:
    accepted = house.published()
    track = accepted["trackId"]
    edited = house.http.patch(
        f"/v1/tracks/{track}/lyrics",
        json={"lyrics": "Twinkle twinkle\nlittle cat"},
        params={"reprocess": "auto"},
        headers={"If-Match": '"1"'},
    ).json()
    [left] = planned(house).skipped
    assert left.reason == "in_work"
    house.publish(edited["jobId"])
    [work] = written(house, planned(house))
    assert (work.version, work.parent) == (3, 2)
    project(house)
    house.publish(work.job_id)
    ready = house.http.get(f"/v1/tracks/{track}/ready").json()
    assert ready["version"] == 3
    assert [line["text"] for line in ready["lyrics"]["lines"]] == ["Twinkle twinkle", "little cat"]


def test_nothing_is_written_by_planning(house: House) -> None:
    house.published()
    before = house.count_events()
    planned(house)
    assert house.count_events() == before
