"""What a second try finds, whatever became of the first."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gateway.guard.idempotency import Attempt, fingerprint, once
from gateway.guard.problems import Code, Problem
from gateway.projection.reservations import Answer, Mine
from schemas.events import ImportRequested
from tests.gateway.house import House, problem
from topics.log import Doubtful


def try_once(house: House, work: Any, key: str | None = "key", print_: str = "p") -> Any:
    return once(
        house.reservations,
        "default",
        key,
        print_,
        work,
        new_seed=house.services.new_seed,
        clock_ms=house.clock.now_ms,
    )


def test_the_first_answer_is_replayed(house: House) -> None:
    calls: list[Attempt] = []

    def work(attempt: Attempt) -> Answer:
        calls.append(attempt)
        return Answer(202, {"n": len(calls)}, {"Location": "/x"})

    first, replayed = try_once(house, work)
    again, replayed_again = try_once(house, work)
    assert (first.body, replayed) == ({"n": 1}, False)
    assert (again, replayed_again) == (first, True)
    assert len(calls) == 1
    other, _ = try_once(house, work, key=None)
    assert other.body == {"n": 2}


def test_the_first_still_in_work_is_409_with_retry_after(house: House) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow(attempt: Attempt) -> Answer:
        inside.set()
        assert go.wait(10)
        return Answer(202, {})

    first = threading.Thread(target=try_once, args=(house, slow))
    first.start()
    assert inside.wait(10)
    try:
        with pytest.raises(Problem) as refused:
            try_once(house, slow)
    finally:
        go.set()
        first.join()
    assert refused.value.code is Code.IDEMPOTENCY_IN_FLIGHT
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    assert try_once(house, slow)[1] is True


def test_a_first_try_that_died_lapses_and_its_ids_go_on(house: House) -> None:
    begun = house.reservations.reserve(
        "default", "client:key", "p", {"seed": "first"}, house.clock.ms
    )
    assert isinstance(begun, Mine)
    house.clock.forward(59)
    with pytest.raises(Problem):
        try_once(house, lambda attempt: Answer(200, {}))
    house.clock.forward(2)
    answer, _ = try_once(house, lambda attempt: Answer(200, [attempt.seed, attempt.resumed]))
    assert answer.body == ["first", True]


def test_a_failed_try_frees_the_key_with_its_ids(house: House) -> None:
    seeds = []

    def fail(attempt: Attempt) -> Answer:
        seeds.append(attempt.seed)
        raise RuntimeError("lost")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            try_once(house, fail)
    assert seeds[0] == seeds[1]


def test_addresses_with_and_without_v1_are_one() -> None:
    assert fingerprint("POST", "/v1/uploads", "{}") == fingerprint("POST", "/uploads", "{}")
    assert fingerprint("POST", "/v1/uploads", "{}") != fingerprint("PUT", "/v1/uploads", "{}")


class TestThroughTheApi:
    """The gateway dies between the commit and the answer; the client asks again."""

    def die_after_commit(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        commit = house.services.publisher.__class__._commit

        def commit_and_die(publisher: Any, envelopes: Any) -> None:
            commit(publisher, envelopes)
            monkeypatch.undo()
            raise Doubtful("the connection broke behind the commit")

        monkeypatch.setattr(house.services.publisher.__class__, "_commit", commit_and_die)

    def ask_twice(self, house: House, method: str, path: str, **options: Any) -> Any:
        headers = options.pop("headers", {}) | {"Idempotency-Key": "k"}
        problem(house.http.request(method, path, headers=headers, **options), 503, "unavailable")
        answer = house.http.request(method, path, headers=headers, **options)
        assert answer.is_success, answer.text
        return answer.json()

    def test_an_import_is_one_job(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        body = {"assetId": house.upload(), "lyrics": "la la"}
        self.die_after_commit(house, monkeypatch)
        made = self.ask_twice(house, "POST", "/v1/tracks/import", json=body)
        envelopes = house.events("import-requested")
        assert len({envelope.id for envelope in envelopes}) == 1
        for envelope in envelopes:
            assert isinstance(envelope.event, ImportRequested)
            assert envelope.event.work.job_id == made["jobId"]
        assert len(house.http.get("/v1/jobs").json()["jobs"]) == 1

    def test_an_edit_is_one_draft(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        track = house.published()["trackId"]
        self.die_after_commit(house, monkeypatch)
        made = self.ask_twice(
            house,
            "PATCH",
            f"/v1/tracks/{track}/lyrics",
            json={"lyrics": "la la"},
            headers={"If-Match": '"1"'},
        )
        assert made["version"] == 2
        assert len({envelope.id for envelope in house.events("lyrics-edited")}) == 1

    def test_an_edit_that_was_folded_meanwhile_is_the_same_draft(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        track = house.published()["trackId"]
        headers = {"If-Match": '"1"', "Idempotency-Key": "k"}

        def no_answer(*args: object, **named: object) -> Answer:
            raise OSError("killed before the answer was kept")

        monkeypatch.setattr(house.reservations, "complete", no_answer)
        path = f"/v1/tracks/{track}/lyrics"
        problem(house.http.patch(path, json={"lyrics": "la"}, headers=headers), 500, "internal")
        monkeypatch.undo()
        house.clock.forward(61)
        answer = house.http.patch(path, json={"lyrics": "la"}, headers=headers)
        assert answer.json()["version"] == 2
        assert len(house.events("lyrics-edited")) == 1

    @pytest.mark.parametrize("what", ["reprocess", "cancel", "retry", "publish"])
    def test_work_that_was_folded_meanwhile_is_not_asked_twice(
        self, house: House, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        body = None
        if what in ("reprocess", "publish"):
            track = house.published()["trackId"]
            path = f"/v1/tracks/{track}/reprocess"
            body = {"steps": ["align"]}
            if what == "publish":
                path, body = f"/v1/tracks/{track}/versions/1/publish", None
        else:
            job = house.imported()["jobId"]
            path = f"/v1/jobs/{job}/{what}"
            if what == "retry":
                house.fail(job)

        def no_answer(*args: object, **named: object) -> Answer:
            raise OSError("killed before the answer was kept")

        monkeypatch.setattr(house.reservations, "complete", no_answer)
        headers = {"Idempotency-Key": "k"}
        problem(house.http.post(path, json=body, headers=headers), 500, "internal")
        monkeypatch.undo()
        house.clock.forward(61)
        before = house.count_events()
        answer = house.http.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        assert house.count_events() == before
