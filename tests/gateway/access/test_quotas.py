"""What a tenant may have: jobs at once, long songs, bytes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.access.quotas import allowance
from gateway.guard.clients import Caller
from gateway.settings import Quota
from schemas.work import SONG_SECONDS
from tests.gateway.access.conftest import Guarded, guarded_house
from tests.gateway.calls import Calls
from tests.gateway.house import WAV, House, problem, settings


def guarded_by(folder: Path, **quotas: Any) -> Guarded:
    return guarded_house(folder, quotas={"studio": Quota(**quotas)})


def begin(client: Calls, size: int = len(WAV)) -> Any:
    return client.post(
        "/v1/uploads",
        json={"filename": "song.wav", "contentType": "audio/wav", "sizeBytes": size},
    )


def complete(client: Calls, made: Mapping[str, Any], data: bytes = WAV) -> Any:
    put = client.put(made["parts"][0]["url"], content=data)
    parts = [{"partNumber": 1, "etag": put.headers["ETag"]}]
    return client.post(f"/v1/uploads/{made['uploadId']}/complete", json={"parts": parts})


def asset_of(client: Calls) -> str:
    done = complete(client, begin(client).json())
    assert done.status_code == 200, done.text
    return str(done.json()["assetId"])


def test_only_so_many_jobs_are_open_at_once(tmp_path: Path) -> None:
    guarded = guarded_by(tmp_path, concurrent_jobs=2)
    try:
        client = guarded.client("studio")
        body = {"assetId": asset_of(client), "lyrics": "la la", "language": "en"}
        jobs = [client.post("/v1/tracks/import", json=body).json()["jobId"] for _ in range(2)]
        events = guarded.house.count_events()
        refused = client.post("/v1/tracks/import", json=body)
        found = problem(refused, 429, "quota_concurrent_jobs")
        assert (found["quota"], found["limit"]) == ("concurrentJobs", 2)
        assert int(refused.headers["Retry-After"]) > 0
        master = {"assetId": body["assetId"]}
        problem(client.post("/v1/mastering/jobs", json=master), 429, "quota_concurrent_jobs")
        assert guarded.house.count_events() == events
        # others are not held up, and neither is an admin
        assert (
            guarded.client("studio", role="admin").post("/v1/tracks/import", json=body).status_code
            == 202
        )
        client.post(f"/v1/jobs/{jobs[0]}/cancel")
        client.post(f"/v1/jobs/{jobs[1]}/cancel")
        assert client.post("/v1/tracks/import", json=body).status_code == 202
    finally:
        guarded.house.close()


def test_requests_at_once_do_not_slip_past_together(tmp_path: Path) -> None:
    guarded = guarded_by(tmp_path, concurrent_jobs=1)
    try:
        body = {"assetId": asset_of(guarded.client("studio")), "lyrics": "la"}
        clients = [guarded.client("studio") for _ in range(4)]
        statuses: list[int] = []
        begun = threading.Barrier(4)

        def ask(client: Calls) -> None:
            begun.wait()
            statuses.append(client.post("/v1/tracks/import", json=body).status_code)

        threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [202, 429, 429, 429]
    finally:
        guarded.house.close()


def test_a_refused_request_may_be_sent_again_with_its_key(tmp_path: Path) -> None:
    guarded = guarded_by(tmp_path, concurrent_jobs=1)
    try:
        client = guarded.client("studio")
        body = {"assetId": asset_of(client), "lyrics": "la"}
        first = client.post("/v1/tracks/import", json=body).json()
        key = {"Idempotency-Key": "k"}
        for _ in range(2):
            refused = client.post("/v1/tracks/import", json=body, headers=key)
            problem(refused, 429, "quota_concurrent_jobs")
        client.post(f"/v1/jobs/{first['jobId']}/cancel")
        made = client.post("/v1/tracks/import", json=body, headers=key)
        again = client.post("/v1/tracks/import", json=body, headers=key)
        assert (made.status_code, again.status_code) == (202, 202)
        assert made.json() == again.json()
    finally:
        guarded.house.close()


def test_a_song_may_be_so_long(tmp_path: Path) -> None:
    seconds = 1000 / 8000
    guarded = guarded_by(tmp_path, song_seconds=seconds / 2)
    try:
        client = guarded.client("studio")
        made = begin(client).json()
        found = problem(complete(client, made), 413, "quota_song_length")
        assert (found["quota"], found["limit"]) == ("songSeconds", seconds / 2)
        assert guarded.house.reservations.charged("studio") == 0
        again = client.post(
            f"/v1/uploads/{made['uploadId']}/complete",
            json={"parts": [{"partNumber": 1, "etag": "x"}]},
        )
        problem(again, 413, "quota_song_length")
        assert asset_of(guarded.client("other"))
    finally:
        guarded.house.close()


def test_a_song_that_does_not_say_its_length_carries_the_quota_to_who_decodes_it(
    tmp_path: Path,
) -> None:
    guarded = guarded_by(tmp_path, song_seconds=60)
    try:
        for tenant, options in (("studio", {SONG_SECONDS: "60.0"}), ("other", {})):
            client = guarded.client(tenant)
            asset = asset_of(client)
            taken = client.post("/v1/tracks/import", json={"assetId": asset})
            assert taken.status_code == 202, taken.text
            job = guarded.house.store.job(tenant, taken.json()["jobId"])
            assert job is not None
            assert job.work is not None
            assert job.work.options == options
    finally:
        guarded.house.close()


def test_bytes_are_counted_until_they_are_given_back(tmp_path: Path) -> None:
    guarded = guarded_by(tmp_path, stored_bytes=100)
    rows = guarded.house.reservations
    try:
        client = guarded.client("studio")
        made = begin(client, 60).json()
        found = problem(begin(client, 41), 409, "quota_stored_bytes")
        assert (found["quota"], found["limit"], found["kept"]) == ("storedBytes", 100, 60)
        assert begin(client, 40).status_code == 201
        client.delete(f"/v1/uploads/{made['uploadId']}")
        client.delete(f"/v1/uploads/{made['uploadId']}")
        assert rows.charged("studio") == 40
        assert begin(client, 60).status_code == 201
        guarded.house.clock.forward(2 * 86_400)
        from gateway.uploading import sweep

        assert sweep(guarded.house.services) == 2
        assert rows.charged("studio") == 0
        # not audio: removed, and given back
        problem(complete(client, begin(client, 9).json(), b"x" * 9), 422, "upload_not_audio")
        assert rows.charged("studio") == 0
    finally:
        guarded.house.close()


def test_quotas_hold_for_everybody_without_access_control_too(tmp_path: Path) -> None:
    house = House(tmp_path, settings=settings(quota_stored_bytes=10))
    try:
        problem(begin(house.http, 11), 409, "quota_stored_bytes")
    finally:
        house.close()


@pytest.mark.parametrize("limited", [True, False])
def test_exceptions_replace_the_rule(limited: bool) -> None:
    rules = settings(quota_concurrent_jobs=3, quotas={"studio": {"song_seconds": 60}})
    caller = Caller("c", "studio", "", "", limited=limited)
    found = allowance(rules, caller)
    assert (found.jobs, found.song_s) == ((None, 60.0) if limited else (None, None))
    assert allowance(rules, Caller("c", "other", "", "")).jobs == 3
