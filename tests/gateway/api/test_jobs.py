from __future__ import annotations

import pytest

from schemas.events import JobRetried, Published, ReprocessRequested
from tests.gateway.house import House, problem


def failed(house: House) -> tuple[str, str]:
    accepted = house.imported()
    house.separate(accepted["jobId"])
    house.fail(accepted["jobId"])
    return accepted["jobId"], accepted["trackId"]


class TestLook:
    def test_shows_each_step_with_its_limits(self, house: House) -> None:
        job = house.imported()["jobId"]
        house.progress(job, 0.5)
        house.clock.forward(10)
        answer = house.http.get(f"/v1/jobs/{job}")
        assert answer.headers["Cache-Control"] == "no-store"
        body = answer.json()
        assert (body["state"], body["step"], body["stage"]) == (
            "running",
            "separate",
            "separation",
        )
        assert (body["slaSeconds"], body["elapsedSeconds"], body["overdue"]) == (60, 15, False)
        assert [step["step"] for step in body["steps"]] == ["separate", "align", "qc", "publish"]
        house.clock.forward(60)
        assert house.http.get(f"/v1/jobs/{job}").json()["overdue"] is True
        assert house.http.head(f"/v1/jobs/{job}").status_code == 200

    def test_says_when_no_worker_takes_it(self, house: House) -> None:
        job = house.imported()["jobId"]
        assert "noWorkerForSeconds" not in house.http.get(f"/v1/jobs/{job}").json()
        house.clock.forward(30)
        assert house.http.get(f"/v1/jobs/{job}").json()["noWorkerForSeconds"] == 30
        house.progress(job, 0.1)
        assert "noWorkerForSeconds" not in house.http.get(f"/v1/jobs/{job}").json()

    def test_is_200_however_it_ended(self, house: House) -> None:
        job, _ = failed(house)
        body = house.http.get(f"/v1/jobs/{job}").json()
        assert body["state"] == "failed"
        assert body["error"] == {
            "step": "align",
            "code": "no_vocals",
            "message": "no singing was found in the song",
        }

    @pytest.mark.parametrize("job", ["job_unknown", "..%2F..%2Fetc", "%27%20OR%201=1", "%00"])
    def test_unknown_jobs(self, house: House, job: str) -> None:
        assert house.http.get(f"/v1/jobs/{job}").status_code == 404
        assert house.http.get(f"/v1/jobs/{job}/events").status_code == 404
        assert house.http.post(f"/v1/jobs/{job}/cancel").status_code == 404
        assert house.http.post(f"/v1/jobs/{job}/retry").status_code == 404


class TestList:
    def test_is_newest_first_in_pages(self, house: House) -> None:
        made = []
        for _ in range(3):
            made.append(house.imported()["jobId"])
            house.clock.forward(1)
        first = house.http.get("/v1/jobs?limit=2").json()
        assert [job["jobId"] for job in first["jobs"]] == [made[2], made[1]]
        second = house.http.get("/v1/jobs", params={"limit": 2, "cursor": first["cursor"]}).json()
        assert [job["jobId"] for job in second["jobs"]] == [made[0]]
        assert "cursor" not in second

    def test_can_be_narrowed(self, house: House) -> None:
        job, _ = failed(house)
        house.clock.forward(60)
        waiting = house.imported()["jobId"]

        def found(query: str) -> list[str]:
            return [each["jobId"] for each in house.http.get(f"/v1/jobs?{query}").json()["jobs"]]

        assert found("state=failed") == [job]
        assert found("state=queued") == [waiting]
        assert found("step=align") == [job]
        assert found("since=2026-01-01T00:00:30Z") == [waiting]

    @pytest.mark.parametrize(
        "query", ["state=lost", "step=dance", "limit=0", "limit=1000", "since=soon", "cursor=%00x"]
    )
    def test_refuses_unknown_filters(self, house: House, query: str) -> None:
        problem(house.http.get(f"/v1/jobs?{query}"), 422, "validation_failed")


class TestCancel:
    def test_ends_a_running_job_at_once(self, house: House) -> None:
        job = house.imported()["jobId"]
        house.progress(job, 0.2)
        answer = house.http.post(f"/v1/jobs/{job}/cancel", json={"reason": "wrong song"})
        assert answer.status_code == 200
        assert answer.json()["state"] == "canceled"
        (envelope,) = house.events("job-canceled")
        assert envelope.event.to_wire()["reason"] == "wrong song"
        problem(house.http.post(f"/v1/jobs/{job}/cancel"), 409, "job_ended")

    def test_needs_no_body(self, house: House) -> None:
        job = house.imported()["jobId"]
        assert house.http.post(f"/v1/jobs/{job}/cancel").json()["state"] == "canceled"

    def test_comes_too_late_for_a_published_version(self, house: House) -> None:
        job = house.published()["jobId"]
        found = problem(house.http.post(f"/v1/jobs/{job}/cancel"), 409, "job_ended")
        assert "version 1 was published before" in found["detail"]

    def test_a_publish_that_follows_wins(self, house: House) -> None:
        accepted = house.imported()
        work = house.work(accepted["jobId"])
        house.http.post(f"/v1/jobs/{accepted['jobId']}/cancel")
        house.happens(Published(work=work))
        assert house.job(accepted["jobId"]).state == "succeeded"

    def test_the_same_key_cancels_once(self, house: House) -> None:
        job = house.imported()["jobId"]
        key = {"Idempotency-Key": "stop"}
        answers = [house.http.post(f"/v1/jobs/{job}/cancel", headers=key) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert len(house.events("job-canceled")) == 1


class TestRetry:
    def test_starts_the_next_attempt_where_it_failed(self, house: House) -> None:
        job, track = failed(house)
        answer = house.http.post(f"/v1/jobs/{job}/retry")
        assert answer.status_code == 202
        assert answer.headers["Location"] == f"/v1/jobs/{job}"
        assert answer.json() == {"jobId": job, "trackId": track, "version": 1, "attempt": 2}
        (retried,) = (envelope.event for envelope in house.events("job-retried"))
        assert isinstance(retried, JobRetried)
        assert (retried.attempt, retried.from_stage) == (2, "alignment")
        (asked,) = (envelope.event for envelope in house.events("reprocess-requested"))
        assert isinstance(asked, ReprocessRequested)
        assert asked.reason == "retry"
        work = asked.work
        assert (work.job_id, work.attempt, work.from_stage) == (job, 2, "alignment")
        assert {"vocals", "minus", "mix"} <= {artifact.name for artifact in work.artifacts}
        assert house.http.get(f"/v1/jobs/{job}").json()["state"] == "running"
        assert house.http.get(f"/v1/tracks/{track}/ready").status_code == 425
        house.publish(job)
        assert house.http.get(f"/v1/tracks/{track}/ready").json()["version"] == 1

    def test_only_failed_jobs(self, house: House) -> None:
        job = house.imported()["jobId"]
        assert problem(house.http.post(f"/v1/jobs/{job}/retry"), 409, "job_not_failed")[
            "state"
        ] == ("queued")
        house.http.post(f"/v1/jobs/{job}/cancel")
        problem(house.http.post(f"/v1/jobs/{job}/retry"), 409, "job_not_failed")

    def test_the_same_key_retries_once(self, house: House) -> None:
        job, _ = failed(house)
        key = {"Idempotency-Key": "again"}
        answers = [house.http.post(f"/v1/jobs/{job}/retry", headers=key) for _ in range(2)]
        assert [answer.json()["attempt"] for answer in answers] == [2, 2]
        assert len(house.events("job-retried")) == 1

    def test_not_of_a_version_that_another_job_published(self, house: House) -> None:
        track = house.published()["trackId"]
        house.http.patch(
            f"/v1/tracks/{track}/lyrics", json={"lyrics": "la la"}, headers={"If-Match": '"1"'}
        )
        path = f"/v1/tracks/{track}/reprocess"
        lost = house.http.post(path, json={"steps": ["align"]}).json()["jobId"]
        house.fail(lost)
        won = house.http.post(path, json={"steps": ["align"]}).json()
        assert won["version"] == 2
        problem(house.http.post(f"/v1/jobs/{lost}/retry"), 409, "reprocess_in_work")
        house.publish(won["jobId"])
        found = problem(house.http.post(f"/v1/jobs/{lost}/retry"), 409, "job_not_failed")
        assert "was published by job" in found["detail"]
