"""Extraction over REST: what is taken, what is refused and how, where it stands, what comes out."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.documents.audio_manifest import AudioManifest
from schemas.events import (
    AdmissionReported,
    Extraction,
    ExtractionRequested,
    ExtractorOutcome,
    FeaturesExtracted,
    JobCanceled,
    JobFailed,
    Notified,
    StepProgressed,
    Work,
)
from schemas.work import extend
from tests.gateway.access.conftest import guarded_house
from tests.gateway.house import House, NoInputs, problem, settings
from topics.codec import Envelope
from topics.log import LogError

ALIASES = ("/v1", "")


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"RIFF" + bytes(176_396))
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture
def house(tmp_path: Path, media: Path) -> Iterator[House]:
    inputs = NoInputs(extraction_roots=(str(media),), extraction_s3_buckets=("open",))
    built = House(tmp_path, inputs=inputs, settings=settings(process_wait_seconds=20.0))
    yield built
    built.close()


def asked(house: House) -> list[ExtractionRequested]:
    events = [each.event for each in house.events(ExtractionRequested.topic)]
    return [each for each in events if isinstance(each, ExtractionRequested)]


def wanted(house: House, item_id: str) -> ExtractionRequested:
    return next(each for each in asked(house) if each.work.job_id == item_id)


def extract(house: House, item_id: str, *, status: str = "completed") -> Work:
    """What the stage does with an item."""
    request = wanted(house, item_id)
    arrays = house.artifact("tempo_extractor", b"PK arrays", "application/x-npz")
    document = _manifest(request.extraction, arrays.sha256, failed=status == "failed")
    made = house.artifact("manifest", json.dumps(document).encode(), "application/json")
    work = extend(request.work, made, arrays)
    house.happens(
        FeaturesExtracted(
            work=work,
            extraction=request.extraction,
            status=status,
            extractors=(ExtractorOutcome(name="nosuch", status="failed", code="unknown_extractor"),)
            if request.extraction.extractors
            else (),
            code="no_features" if status == "failed" else "",
            message="No extractor has a result." if status == "failed" else "",
        ),
        source="extraction",
    )  # fmt: skip
    return work


def _manifest(extraction: Extraction, sha256: str, *, failed: bool) -> dict[str, Any]:
    part: dict[str, Any] = {"name": "tempo_extractor", "status": "ok", "features": {"bpm": 120.0}}
    part["artifacts"] = [
        {
            "name": "tempo_extractor.npz",
            "uri": "tempo_extractor.npz",
            "media_type": "application/x-npz",
            "bytes": 9,
            "sha256": sha256,
            "arrays": {"beats": {"shape": [4], "dtype": "float64", "unit": "s"}},
        }
    ]
    if failed:
        part = {
            "name": "tempo_extractor",
            "status": "failed",
            "error": {"code": "raised", "message": "it raised"},
        }
    document = AudioManifest.model_validate(
        {
            "video_id": extraction.video_id or None,
            "input": {
                "name": "a.wav", "sha256": "0" * 64, "bytes": 9, "container": "wav",
                "encoding": "PCM_16", "rate_hz": 44100, "channels": 2, "frames": 44100,
                "duration_s": 1.0,
            },
            "analysis": {
                "decoder": "libsndfile", "rate_hz": 22050, "window": 2048, "hop": 512,
                "device": "cpu", "seconds": 0.1, "versions": {},
            },
            "extractors": [part],
            "seconds": 0.2,
        }
    )  # fmt: skip
    found: dict[str, Any] = json.loads(document.to_json())
    return found


def process(house: House, **body: Any) -> str:
    answer = house.http.post("/v1/process", json={"input_uri": "a.wav"} | body)
    assert answer.status_code == 202, answer.text
    task: str = answer.json()["task_id"]
    return task


def batch(house: House, count: int = 3, **more: Any) -> str:
    items = [{"input_uri": "a.wav", "video_id": f"v{n}"} for n in range(count)]
    answer = house.http.post("/v1/batch", json={"items": items, **more})
    assert answer.status_code == 202, answer.text
    task: str = answer.json()["task_id"]
    return task


def status(house: House, task_id: str, **query: Any) -> dict[str, Any]:
    answer = house.http.get(f"/v1/status/{task_id}", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    body: dict[str, Any] = answer.json()
    return body


# -- one file --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ALIASES)
def test_a_file_from_the_request_to_its_arrays(house: House, prefix: str) -> None:
    body = {
        "input_uri": "a.wav",
        "video_id": "clip 7",
        "extractors": ["tempo_extractor", "nosuch"],
        "use_gpu": True,
        "parameters": {"tempo_extractor": {"lowest_bpm": 50}},
    }
    answer = house.http.post(f"{prefix}/process", json=body)
    assert answer.status_code == 202
    task = answer.json()["task_id"]
    assert answer.json() == {"task_id": task}
    assert task.startswith("ext_")
    assert answer.headers["Location"] == f"/v1/status/{task}"
    event = wanted(house, task)
    assert (event.work.track_id, event.work.from_stage) == (task, "extraction")
    assert event.extraction.extractors == ("tempo_extractor", "nosuch")
    assert event.extraction.device == "gpu"
    assert json.loads(event.extraction.parameters["tempo_extractor"]) == {"lowest_bpm": 50}
    assert event.extraction.expected_seconds == pytest.approx(1 / 25)

    shown = house.http.get(f"{prefix}/status/{task}").json()
    assert shown == {
        "task_id": task, "status": "pending", "progress": 0.0,
        "video_id": "clip 7", "input_uri": "a.wav",
    }  # fmt: skip
    problem(house.http.get(f"{prefix}/manifests/{task}"), 409, "manifest_not_ready")
    house.happens(
        StepProgressed(
            job_id=task, track_id=task, stage="extraction", sequence=3, state="progress",
            progress=0.5,
        )
    )  # fmt: skip
    shown = house.http.get(f"{prefix}/status/{task}").json()
    assert (shown["status"], shown["progress"]) == ("processing", 0.5)
    extract(house, task)
    shown = house.http.get(f"{prefix}/status/{task}").json()
    assert (shown["status"], shown["progress"]) == ("completed", 1.0)
    assert shown["failed_extractors"] == {"nosuch": "unknown_extractor"}

    found = house.http.get(f"{prefix}/manifests/{task}")
    assert found.status_code == 200
    manifest = AudioManifest.model_validate(found.json())
    assert manifest.video_id == "clip 7"
    assert manifest.manifest_uri is not None
    assert manifest.manifest_uri.endswith(f"/v1/manifests/{task}")
    (file,) = manifest.result("tempo_extractor").artifacts
    got = house.http.get(file.uri)
    assert (got.status_code, got.content) == (200, b"PK arrays")
    job = house.http.get(f"/v1/jobs/{task}").json()
    assert (job["kind"], job["state"]) == ("extraction", "succeeded")


def test_an_upload_is_named_as_an_asset(house: House) -> None:
    asset = house.upload()
    task = process(house, input_uri=f"asset:{asset}")
    (source,) = wanted(house, task).work.artifacts
    assert source.name == "source"
    assert len(source.sha256) == 64
    task = process(house, input_uri="s3://open/songs/a.wav")
    assert wanted(house, task).work.artifacts == ()


def test_the_same_request_is_done_once(house: House) -> None:
    headers = {"Idempotency-Key": "one"}
    first = house.http.post("/v1/process", json={"input_uri": "a.wav"}, headers=headers)
    again = house.http.post("/process", json={"input_uri": "a.wav"}, headers=headers)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    other = house.http.post("/v1/process", json={"input_uri": "./a.wav"}, headers=headers)
    problem(other, 422, "idempotency_key_reused")
    assert len(asked(house)) == 1


def test_waiting_gets_the_manifest(house: House) -> None:
    def work() -> None:
        while not asked(house):
            time.sleep(0.01)
        extract(house, asked(house)[0].work.job_id)

    worker = threading.Thread(target=work)
    worker.start()
    answer = house.http.post("/v1/process", json={"input_uri": "a.wav", "wait": True})
    worker.join()
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"task_id", "manifest"}
    assert AudioManifest.model_validate(answer.json()["manifest"]).schema_ == "audio_manifest_v1"


def test_waiting_tells_of_a_failure(house: House) -> None:
    def work() -> None:
        while not asked(house):
            time.sleep(0.01)
        fail(house, asked(house)[0].work.job_id, "no_audio_stream", "It holds no sound.")

    worker = threading.Thread(target=work)
    worker.start()
    answer = house.http.post("/v1/process", json={"input_uri": "a.wav", "wait": True})
    worker.join()
    found = problem(answer, 409, "extraction_failed")
    assert found["reason"] == {"code": "no_audio_stream", "message": "It holds no sound."}
    assert found["task_id"].startswith("ext_")


@pytest.mark.parametrize("changes", [{"process_wait_seconds": 0.05}, {"process_waiting": 0}])
def test_waiting_has_an_end(tmp_path: Path, media: Path, changes: dict[str, Any]) -> None:
    inputs = NoInputs(extraction_roots=(str(media),))
    house = House(tmp_path, inputs=inputs, settings=settings(**changes))
    try:
        answer = house.http.post("/v1/process", json={"input_uri": "a.wav", "wait": True})
        assert answer.status_code == 202
        assert status(house, answer.json()["task_id"])["status"] == "pending"
    finally:
        house.close()


def fail(house: House, item_id: str, code: str, message: str) -> None:
    work = wanted(house, item_id).work
    house.happens(
        JobFailed(
            job_id=item_id, track_id=work.track_id, tenant=work.tenant, attempt=work.attempt,
            stage="extraction", code=code, message=message,
        ),
        source="extraction",
    )  # fmt: skip


def test_a_failed_file_says_why_and_can_be_tried_again(house: House) -> None:
    task = process(house)
    fail(house, task, "no_audio_stream", "'a.wav' holds no sound.")
    shown = status(house, task)
    assert (shown["status"], shown["error"]) == ("failed", "'a.wav' holds no sound.")
    assert shown["error_code"] == "no_audio_stream"
    found = problem(house.http.get(f"/v1/manifests/{task}"), 409, "extraction_failed")
    assert found["reason"]["code"] == "no_audio_stream"
    again = house.http.post(f"/v1/jobs/{task}/retry")
    assert again.status_code == 202, again.text
    request = asked(house)[-1]
    assert (request.reason, request.work.attempt) == ("retry", 2)
    assert status(house, task)["status"] == "processing"
    extract_again(house, request)
    assert status(house, task)["status"] == "completed"


def extract_again(house: House, request: ExtractionRequested) -> None:
    house.happens(
        FeaturesExtracted(work=request.work, extraction=request.extraction), source="extraction"
    )


def test_a_file_in_which_every_extractor_fails_has_a_manifest_that_tells(house: House) -> None:
    task = process(house)
    extract(house, task, status="failed")
    shown = status(house, task)
    assert (shown["status"], shown["error_code"]) == ("failed", "no_features")
    manifest = AudioManifest.model_validate(house.http.get(f"/v1/manifests/{task}").json())
    error = manifest.result("tempo_extractor").error
    assert error is not None
    assert error.code == "raised"


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "code", "word"),
    [
        (".", 422, "input_not_a_file"),
        ("../secret.wav", 403, "input_forbidden"),
        ("/etc/passwd", 403, "input_forbidden"),
        ("file:///etc/passwd", 403, "input_forbidden"),
        ("file:///%2e%2e/etc/passwd", 403, "input_forbidden"),
        ("s3://private/a.wav", 403, "input_forbidden"),
        ("s3://open", 422, "input_scheme_unknown"),
        ("nothing.wav", 404, "input_not_found"),
        ("asset:ast_nobody", 404, "asset_not_found"),
        ("http://example.com/a.wav", 422, "input_scheme_unknown"),
        ("concat:a.wav|b.wav", 422, "input_scheme_unknown"),
    ],
)
def test_inputs_that_are_refused(house: House, uri: str, code: int, word: str) -> None:
    answer = house.http.post("/v1/process", json={"input_uri": uri})
    found = problem(answer, code, word)
    assert found["errors"][0]["pointer"] == "#/input_uri"
    assert str(house.folder) not in answer.text
    assert not asked(house)


def test_a_link_out_of_the_folder_is_refused(house: House, media: Path) -> None:
    (media / "out.wav").symlink_to(media.parent / "secret.wav")
    answer = house.http.post("/v1/process", json={"input_uri": "out.wav"})
    problem(answer, 403, "input_forbidden")


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/batch", {"items": []}, "#/items"),
        ("/v1/batch", {"items": [{"input_uri": "a.wav"}] * 10_001}, "#/items"),
        ("/v1/batch", {"items": [{"input_uri": "a.wav"}], "concurrency": -1}, "#/concurrency"),
        ("/v1/batch", {"items": [{"input_uri": "a.wav"}], "concurrency": 0}, "#/concurrency"),
        ("/v1/batch", {"items": [{"input_uri": ""}]}, "#/items/0/input_uri"),
        ("/v1/batch", {"items": [{"video_id": "x"}]}, "#/items/0/input_uri"),
        ("/v1/batch", {"items": [{"input_uri": "a.wav", "wait": True}]}, "#/items/0/wait"),
        ("/v1/process", {"video_id": "x"}, "#/input_uri"),
        ("/v1/process", {"input_uri": "a" * 2049}, "#/input_uri"),
        ("/v1/process", {"input_uri": "a.wav", "use_gpu": "perhaps"}, "#/use_gpu"),
        ("/v1/process", {"input_uri": "a.wav", "extractors": [""]}, "#/extractors/0"),
        ("/v1/process", {"input_uri": "a.wav", "inputUri": "b.wav"}, "#/inputUri"),
    ],
)
def test_shapes_that_are_refused(
    house: House, path: str, body: dict[str, Any], pointer: str
) -> None:
    found = problem(house.http.post(path, json=body), 422, "validation_failed")
    assert found["errors"][0]["pointer"] == pointer
    assert not asked(house)


def test_a_batch_may_be_larger_than_other_bodies(house: House) -> None:
    item = {"input_uri": "a.wav", "video_id": "x" * 180}
    body = json.dumps({"items": [item] * 10_001, "concurrency": 4}).encode()
    assert len(body) > house.settings.max_body_bytes
    headers = {"Content-Type": "application/json"}
    problem(house.http.post("/v1/batch", content=body, headers=headers), 422, "validation_failed")
    problem(house.http.post("/v1/process", content=body, headers=headers), 413, "body_too_large")


# -- batches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ALIASES)
def test_a_batch_from_the_request_to_its_last_item(house: House, prefix: str) -> None:
    items = [
        {"input_uri": "a.wav", "video_id": "first"},
        {"input_uri": "../secret.wav"},  # fails alone, when a worker comes to it
        {"input_uri": "asset:ast_nobody", "use_gpu": False},
    ]
    answer = house.http.post(
        f"{prefix}/batch", json={"items": items, "concurrency": 2, "use_gpu": True}
    )
    assert answer.status_code == 202, answer.text
    task = answer.json()["task_id"]
    assert task.startswith("bat_")
    events = asked(house)
    assert [each.extraction.index for each in events] == [0, 1, 2]
    assert [each.extraction.device for each in events] == ["gpu", "gpu", "cpu"]
    assert {(e.extraction.count, e.extraction.concurrency, e.work.track_id) for e in events} == {
        (3, 2, task)
    }
    shown = house.http.get(f"{prefix}/status/{task}").json()
    assert (shown["status"], shown["progress"]) == ("pending", 0.0)
    assert shown["counts"] == {
        "total": 3, "pending": 3, "processing": 0, "completed": 0, "failed": 0, "canceled": 0,
    }  # fmt: skip
    ids = [item["task_id"] for item in shown["items"]]
    assert ids == [each.work.job_id for each in events]
    assert shown["items"][0]["video_id"] == "first"

    extract(house, ids[0])
    shown = status(house, task)
    assert (shown["status"], shown["progress"]) == ("processing", pytest.approx(1 / 3, abs=1e-4))
    fail(house, ids[1], "input_forbidden", "It may not be used.")
    fail(house, ids[2], "input_missing", "There is no asset.")
    shown = status(house, task)
    assert (shown["status"], shown["progress"]) == ("completed", 1.0)
    assert [item["status"] for item in shown["items"]] == ["completed", "failed", "failed"]
    assert shown["items"][1]["error_code"] == "input_forbidden"
    failed = status(house, task, status="failed", limit=1)
    assert [item["task_id"] for item in failed["items"]] == [ids[1]]
    failed = status(house, task, status="failed", limit=1, cursor=failed["cursor"])
    assert [item["task_id"] for item in failed["items"]] == [ids[2]]
    assert "cursor" not in failed
    assert "items" not in status(house, task, limit=0)
    assert house.http.get(f"{prefix}/manifests/{ids[0]}").status_code == 200
    assert status(house, ids[1])["error"] == "It may not be used."
    problem(house.http.get(f"{prefix}/manifests/{task}"), 409, "manifest_of_batch")
    problem(house.http.get(f"/v1/status/{task}?cursor=x"), 422, "validation_failed")
    listed = house.http.get("/v1/jobs").json()["jobs"]
    assert listed == []  # items are listed in their batch


def test_a_batch_of_which_nothing_could_be_used_has_failed(house: House) -> None:
    task = batch(house, 2)
    for event in asked(house):
        fail(house, event.work.job_id, "not_audio", "It is no sound.")
    shown = status(house, task)
    assert (shown["status"], shown["progress"], shown["error_code"]) == (
        "failed", 1.0, "nothing_completed",
    )  # fmt: skip


def test_the_progress_of_a_batch_counts_what_is_in_work(house: House) -> None:
    task = batch(house, 2)
    first = asked(house)[0].work.job_id
    house.happens(
        StepProgressed(
            job_id=first, track_id=task, stage="extraction", sequence=1, state="progress",
            progress=0.5,
        )
    )  # fmt: skip
    shown = status(house, task)
    assert (shown["status"], shown["progress"]) == ("processing", 0.25)
    assert shown["counts"]["processing"] == 1


def test_the_same_batch_is_accepted_once(house: House) -> None:
    headers = {"Idempotency-Key": "b"}
    body = {"items": [{"input_uri": "a.wav"}] * 5}
    first = house.http.post("/v1/batch", json=body, headers=headers)
    assert house.http.post("/v1/batch", json=body, headers=headers).json() == first.json()
    assert len(asked(house)) == 5


def test_cancel_of_a_batch_is_one_event(house: House) -> None:
    task = batch(house, 3)
    ids = [each.work.job_id for each in asked(house)]
    extract(house, ids[0])
    answer = house.http.post(f"/v1/status/{task}/cancel", json={"reason": "wrong files"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["error_code"] == "canceled"
    assert answer.json()["error"] == "wrong files"
    (event,) = [each.event for each in house.events(JobCanceled.topic)]
    assert isinstance(event, JobCanceled)
    assert (event.job_id, event.track_id, event.reason) == (task, task, "wrong files")
    for item in ids[1:]:  # as admission does
        house.happens(JobCanceled(job_id=item, track_id=task, reason="wrong files"))
    shown = status(house, task)
    assert shown["counts"] == {
        "total": 3, "pending": 0, "processing": 0, "completed": 1, "failed": 2, "canceled": 2,
    }  # fmt: skip
    assert shown["items"][1]["error_code"] == "canceled"
    problem(house.http.post(f"/v1/status/{task}/cancel"), 409, "job_ended")


def test_cancel_of_a_file_and_of_an_item(house: House) -> None:
    task, whole = process(house), batch(house, 2)
    item = asked(house)[1].work.job_id
    for each in (task, item):
        answer = house.http.post(f"/v1/status/{each}/cancel")
        assert (answer.json()["status"], answer.json()["error_code"]) == ("failed", "canceled")
        problem(house.http.post(f"/v1/status/{each}/cancel"), 409, "job_ended")
    assert status(house, whole)["counts"]["canceled"] == 1
    problem(house.http.post("/v1/status/bat_no/cancel"), 404, "task_not_found")


@pytest.mark.parametrize("task", ["ext_no", "bat_no", "itm_no", "no"])
def test_unknown_tasks(house: House, task: str) -> None:
    problem(house.http.get(f"/v1/status/{task}"), 404, "task_not_found")
    problem(house.http.get(f"/v1/manifests/{task}"), 404, "task_not_found")


def test_other_jobs_have_a_status_and_no_manifest(house: House) -> None:
    job = house.imported()["jobId"]
    assert status(house, job) == {"task_id": job, "status": "pending", "progress": 0.0}
    problem(house.http.get(f"/v1/manifests/{job}"), 409, "manifest_not_ready")
    house.publish(job)
    problem(house.http.get(f"/v1/manifests/{job}"), 409, "manifest_missing")


# -- tenants, bounds, quotas -----------------------------------------------------------------------


def test_a_tenant_sees_and_names_its_own_alone(tmp_path: Path) -> None:
    guarded = guarded_house(tmp_path)
    try:
        house = guarded.house
        asset = house.upload()
        body = {"items": [{"input_uri": f"asset:{asset}"}]}
        task = house.http.post("/v1/batch", json=body).json()["task_id"]
        item = asked(house)[0].work.job_id
        other = guarded.client("other")
        for each in (task, item):
            problem(other.get(f"/v1/status/{each}"), 404, "task_not_found")
            problem(other.get(f"/v1/manifests/{each}"), 404, "task_not_found")
            problem(other.post(f"/v1/status/{each}/cancel"), 404, "task_not_found")
        answer = other.post("/v1/process", json={"input_uri": f"asset:{asset}"})
        problem(answer, 404, "asset_not_found")
        assert other.post("/v1/batch", json=body).status_code == 202
        assert asked(house)[-1].work.artifacts == ()  # nothing of another tenant goes along
    finally:
        guarded.house.close()


def report(house: House, **facts: Any) -> None:
    """What admission says of the waiting room."""
    event = AdmissionReported(reporter_id="admission", reported_ms=house.clock.ms, **facts)
    envelope = Envelope.caused(
        event, by=f"report-{house.clock.ms}", source="admission", time_ms=house.clock.ms,
        traceparent="",
    )  # fmt: skip
    producer = house.log.producer("admission")
    producer.send([house.codec.encode(envelope)])
    producer.close()


def test_a_client_with_too_many_waiting_is_told_when_to_come_back(tmp_path: Path) -> None:
    house = House(
        tmp_path, settings=settings(extraction_backlog_per_client=10, extraction_backlog=25)
    )
    try:
        asset = house.upload()

        def send(count: int, client: str = "tests") -> Any:
            body = {"items": [{"input_uri": f"asset:{asset}"}] * count}
            return house.http.post("/v1/batch", json=body, headers={"X-Client-Id": client})

        assert send(8).status_code == 202
        answer = send(3)
        found = problem(answer, 429, "backlog_of_client")
        assert (found["limit"], found["waiting"]) == (10, 8)
        assert int(answer.headers["Retry-After"]) == 30  # nobody knows yet
        assert send(10, "second").status_code == 202
        answer = send(8, "third")
        found = problem(answer, 503, "backlog_full")
        assert found["waiting"] == 18
        house.clock.forward(2)
        report(
            house, waiting=5, items_per_second=0.5,
            clients={"client tests": 1, "client second": 4},
        )  # fmt: skip
        assert send(9).status_code == 202
        answer = send(4)
        problem(answer, 429, "backlog_of_client")
        assert int(answer.headers["Retry-After"]) == 8  # four too many at one in two seconds
        house.clock.forward(2)
        report(house, waiting=0, items_per_second=0.5, clients={})
        assert send(10).status_code == 202
    finally:
        house.close()


def test_a_log_that_is_away_is_a_503(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise LogError("away")

    monkeypatch.setattr(house.services.room._waiting, "refresh", away)
    problem(house.http.post("/v1/process", json={"input_uri": "a.wav"}), 503, "unavailable")


# -- extractors, webhooks --------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ALIASES)
def test_extractors_are_what_the_workers_told(house: House, prefix: str) -> None:
    assert house.http.get(f"{prefix}/extractors").json() == {"available": []}
    told = {
        "available": [
            {"name": "tempo_extractor", "version": "1", "device": "cpu", "description": "Tempo."}
        ]
    }
    house.artifacts.put("extraction/extractors.json", json.dumps(told).encode(), "application/json")
    assert house.http.get(f"{prefix}/extractors").json() == told


def notices(house: House, events: list[Any]) -> list[Notified]:
    """What the projector tells of events that it has folded."""
    from gateway.projection.notices import Notices

    envelopes = [
        Envelope.caused(event, by=f"n{number}", source="x", time_ms=1, traceparent="")
        for number, event in enumerate(events)
    ]
    told = Notices(house.codec, house.store, house.reservations).of(envelopes)
    found = []
    for out in told:
        producer = house.log.producer("projector")
        producer.send([out])
        producer.close()
        found.append(out)
    decoded = [each.event for each in house.events(Notified.topic)[-len(found) or None :]]
    return [each for each in decoded if isinstance(each, Notified)] if found else []


def test_a_batch_tells_once_when_its_last_item_has_ended(house: House) -> None:
    task = batch(house, 2, callback_url="https://example.com/done")
    first, second = (each.work for each in asked(house))
    assert first.callback_id == second.callback_id != ""
    extract(house, first.job_id)
    done = FeaturesExtracted(work=first, extraction=asked(house)[0].extraction)
    assert notices(house, [done]) == []
    fail(house, second.job_id, "not_audio", "It is no sound.")
    failed = JobFailed(job_id=second.job_id, track_id=task, stage="extraction", code="not_audio")
    (told,) = notices(house, [done, failed])
    assert (told.type, told.track_id, told.job_id) == ("extraction.completed", task, task)
    assert told.callback_id == first.callback_id
    (again,) = notices(house, [failed])
    assert (again.notification_id, again.sequence) == (told.notification_id, told.sequence)


def test_a_file_tells_that_its_features_are_there_or_why_not(house: House) -> None:
    task = process(house)
    extract(house, task)
    event = wanted(house, task)
    done = FeaturesExtracted(work=event.work, extraction=event.extraction)
    (told,) = notices(house, [done])
    assert (told.type, told.job_id) == ("extraction.completed", task)
    other = process(house)
    event = wanted(house, other)
    failed = FeaturesExtracted(
        work=event.work, extraction=event.extraction, status="failed", code="no_features"
    )
    (told,) = notices(house, [failed])
    assert (told.type, told.code) == ("job.failed", "no_features")
