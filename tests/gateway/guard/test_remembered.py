"""Answers given again: only while nothing has changed, and only to whom they were given."""

from __future__ import annotations

import pytest

from gateway.guard.remembered import FRESH_MS
from tests.gateway.house import CLIENT, House


@pytest.fixture
def reads(house: House, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every time that a document is really read."""
    seen: list[str] = []
    job, track = house.store.job, house.store.track

    def read_job(tenant: str, job_id: str) -> object:
        seen.append(job_id)
        return job(tenant, job_id)

    def read_track(tenant: str, track_id: str) -> object:
        seen.append(track_id)
        return track(tenant, track_id)

    monkeypatch.setattr(house.store, "job", read_job)
    monkeypatch.setattr(house.store, "track", read_track)
    return seen


def test_a_poll_that_has_nothing_new_is_answered_from_memory(
    house: House, reads: list[str]
) -> None:
    accepted = house.published()
    for path in (f"/v1/jobs/{accepted['jobId']}", f"/v1/tracks/{accepted['trackId']}/ready"):
        first = house.http.get(path)
        reads.clear()
        again = house.http.get(path)
        assert reads == []
        assert again.content == first.content
        assert again.headers["traceparent"] != first.headers["traceparent"]
        assert set(again.headers) == set(first.headers)


def test_any_change_is_seen_at_once(house: House) -> None:
    accepted = house.imported()
    path = f"/v1/jobs/{accepted['jobId']}"
    assert house.http.get(path).json()["state"] == "queued"
    house.progress(accepted["jobId"], 0.5)
    assert house.http.get(path).json()["state"] == "running"
    house.publish(accepted["jobId"])
    assert house.http.get(path).json()["state"] == "succeeded"
    assert house.http.get(f"/v1/tracks/{accepted['trackId']}/ready").json()["version"] == 1
    house.http.patch(
        f"/v1/tracks/{accepted['trackId']}/lyrics?reprocess=auto",
        json={"lyrics": "la"},
        headers={"If-Match": '"1"'},
    )
    pending = house.http.get(f"/v1/tracks/{accepted['trackId']}/ready").json()["pending"]
    assert pending["version"] == 2


def test_what_a_clock_moves_is_not_old(house: House, reads: list[str]) -> None:
    path = f"/v1/jobs/{house.published()['jobId']}"
    house.http.get(path)
    reads.clear()
    house.clock.forward((FRESH_MS - 1) / 1000)
    house.http.get(path)
    assert reads == []
    house.clock.forward(0.002)
    house.http.get(path)
    assert reads != []


def test_links_stay_with_the_address_they_were_made_for(house: House) -> None:
    path = f"/v1/tracks/{house.published()['trackId']}/ready"
    here, there = house.client("10.0.0.1"), house.client("10.0.0.2")
    mine, theirs = here.get(path).json()["minusUrl"], there.get(path).json()["minusUrl"]
    assert here.get(mine).status_code == 200
    assert there.get(theirs).status_code == 200
    assert there.get(mine).status_code == 403


def test_refusals_are_not_kept(house: House) -> None:
    accepted = house.imported()
    path = f"/v1/tracks/{accepted['trackId']}/ready"
    assert house.http.get(path).status_code == 425
    assert house.client(headers={}).get(path).status_code == 400
    house.publish(accepted["jobId"])
    assert house.http.get(path).status_code == 200
    assert house.client(headers={}).get(path).status_code == 400
    spaced = CLIENT | {"X-Client-Id": "a b"}
    assert house.client(headers=spaced).get(path).status_code == 400


def test_another_query_is_another_question(house: House) -> None:
    path = f"/v1/tracks/{house.published()['trackId']}/ready"
    assert house.http.get(path).status_code == 200
    assert house.http.get(f"{path}?wait=nonsense").status_code == 422
