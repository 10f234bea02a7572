"""Mixes through the running product: uploaded, asked for, awaited, fetched, changed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from gateway.client import Client, Refused
from schemas.documents.analysis import Analysis
from schemas.documents.checks import Checks
from schemas.documents.decision import Decision
from schemas.documents.report import Report
from tests import programmes
from tests.e2e.product import LONG_S, Json, Running, until

pytestmark = pytest.mark.e2e


def mix(folder: Path, seed: int = 1, *, seconds: float = 6.0, **more: Any) -> Path:
    made = programmes.make(seed, genre="rock", seconds=seconds, rms_dbfs=-20, **more)
    path = folder / f"mix-{seed}.wav"
    soundfile.write(path, made.audio.samples.T, made.audio.rate, subtype="PCM_24")
    return path


def uploaded(client: Client, path: Path) -> str:
    return client.upload(path, content_type="audio/wav", purpose="mastering")


def done(client: Client, job_id: str) -> Json:
    client.wait_for_job(job_id, timeout_s=2 * LONG_S)
    job = client.mastering_job(job_id)
    assert job["status"] == "done", job.get("lastError")
    return job


def fetched(http: httpx.Client, job: Json, name: str) -> bytes:
    answer = http.get(job["artifacts"][name]["url"])
    assert answer.status_code == 200
    return answer.content


def test_a_mix_is_mastered_as_the_first_service_did_it(
    http: httpx.Client, client: Client, tmp_path: Path
) -> None:
    data = mix(tmp_path).read_bytes()
    presigned = http.post(
        "/uploads/presign",
        json={
            "filename": "mix.wav",
            "contentType": "audio/wav",
            "sizeBytes": len(data),
            "purpose": "mastering",
        },
    ).json()
    assert http.put(presigned["parts"][0]["url"], content=data).status_code == 200
    asked = http.post("/jobs", json={"objectKey": presigned["objectKey"], "target": {"lufs": -14}})
    assert asked.status_code == 202, asked.text
    job_id = asked.json()["jobId"]
    seen: list[str] = []

    def look() -> Json | None:
        job: Json = http.get(f"/jobs/{job_id}").json()
        seen.append(job["status"])
        return job if job["status"] in ("done", "failed") else None

    job = until(look, "the master", timeout_s=2 * LONG_S)
    assert job["status"] == "done", job.get("lastError")
    order = ["queued", "processing", "done"]
    assert [order.index(each) for each in seen] == sorted(order.index(each) for each in seen)
    assert job["attempts"] == 1
    assert job["result"]["lufs"] == pytest.approx(-14.0, abs=0.1)

    master, rate = soundfile.read(io.BytesIO(fetched(http, job, "master")), always_2d=True)
    source, given_rate = soundfile.read(io.BytesIO(data), always_2d=True)
    assert (master.shape, rate) == (source.shape, given_rate)
    assert not np.array_equal(master, source)
    after = Analysis.from_json(fetched(http, job, "analysis-after"))
    assert after.loudness.integrated_lufs == pytest.approx(job["result"]["lufs"])
    Analysis.from_json(fetched(http, job, "analysis-before"))
    decision = Decision.from_json(fetched(http, job, "decision"))
    assert decision.target.lufs == -14
    report = Report.from_json(fetched(http, job, "report"))
    assert report.summary.en in fetched(http, job, "words").decode()
    checks = Checks.from_json(fetched(http, job, "checks"))
    assert checks.length_kept
    for name in ("preview", "compare-before", "compare-after"):
        heard, _ = soundfile.read(io.BytesIO(fetched(http, job, name)), always_2d=True)
        assert heard.shape == source.shape, name


def test_a_changed_decision_is_a_new_version_and_the_old_one_stays(
    client: Client, http: httpx.Client, tmp_path: Path
) -> None:
    asset = uploaded(client, mix(tmp_path, 2))
    accepted = client.master({"assetId": asset, "preset": "gentle"})
    first = done(client, accepted["jobId"])
    decision = Decision.from_json(fetched(http, first, "decision"))
    goal = next(move.id for move in decision.moves if move.module == "loudness")

    changed = client.change_decision(
        accepted["jobId"], [{"move": goal, "parameters": {"lufs": -20.0}}]
    )
    assert (changed["version"], changed["masterId"]) == (2, accepted["masterId"])
    second = done(client, changed["jobId"])
    assert [step["step"] for step in second["steps"]] == ["decide", "render"]
    assert second["result"]["lufs"] == pytest.approx(-20.0, abs=0.1)
    again = client.mastering_job(accepted["jobId"])
    assert again["result"] == first["result"]
    assert again["artifacts"]["master"]["sha256"] == first["artifacts"]["master"]["sha256"]

    limiter = next(move.id for move in decision.moves if move.module == "limiter")
    refused = client.change_decision(changed["jobId"], [{"move": limiter, "drop": True}])
    client.wait_for_job(refused["jobId"], timeout_s=2 * LONG_S)
    failed = client.mastering_job(refused["jobId"])
    assert failed["status"] == "failed"
    assert failed["lastError"]["code"] == "override_needed"
    assert "limiter" in failed["lastError"]["message"]


def test_a_broken_mix_fails_in_words_and_can_be_tried_again(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.full((88_200, 2), np.nan), 44_100, subtype="FLOAT")
    accepted = client.master({"assetId": uploaded(client, path)})
    for attempt in (1, 2):
        job = client.wait_for_job(accepted["jobId"], timeout_s=LONG_S)
        assert (job["state"], job["attempt"], job["step"]) == ("failed", attempt, "analyze")
        seen = client.mastering_job(accepted["jobId"])
        assert (seen["status"], seen["attempts"]) == ("failed", attempt)
        assert seen["lastError"]["code"] == "not_finite"
        assert "NaN" in seen["lastError"]["message"]
        assert "/" not in seen["lastError"]["message"]
        if attempt == 1:
            client.retry(accepted["jobId"])


def test_a_cancel_stops_a_master_in_work(client: Client, tmp_path: Path) -> None:
    path = mix(tmp_path, 3, seconds=90)
    accepted = client.master({"assetId": uploaded(client, path)})

    def at_work() -> bool:
        steps = client.job(accepted["jobId"])["steps"]
        return any(step["state"] == "running" for step in steps)

    until(at_work, "the job at work")
    assert client.cancel(accepted["jobId"])["state"] == "canceled"
    seen = client.mastering_job(accepted["jobId"])
    assert (seen["status"], seen["lastError"]["code"]) == ("failed", "canceled")
    with pytest.raises(Refused) as refused:
        client.change_decision(accepted["jobId"], [{"move": "any", "drop": True}])
    assert refused.value.code == "master_unfinished"

    def left_alone() -> bool:
        job = client.job(accepted["jobId"])
        return not any(step["state"] == "running" for step in job["steps"])

    until(left_alone, "the step to stop")


def test_the_command_masters_a_song_into_a_folder(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = run(
        "master",
        mix(tmp_path, 4),
        "--reference",
        mix(tmp_path, 5, seconds=20),
        "--lufs",
        "-16",
        "--out",
        out,
    )
    assert command.wait(4 * LONG_S) == 0, command.stderr
    assert {path.name for path in out.iterdir()} == {
        "master.wav", "preview.mp3", "analysis.before.json", "analysis.after.json",
        "decision.json", "report.json", "report.txt", "checks.json", "compare.before.mp3",
        "compare.after.mp3", "picture.png",
    }  # fmt: skip
    assert (out / "picture.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    after = Analysis.from_json((out / "analysis.after.json").read_bytes())
    assert after.loudness.integrated_lufs == pytest.approx(-16.0, abs=0.1)
    decision = json.loads((out / "decision.json").read_bytes())
    assert decision["reference"]["used"] is True
    for word in ("before", "after", "loudness", "true peak"):
        assert word in command.stdout
    assert "Traceback" not in command.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("song.mp3", b"ID3" + bytes(200), "not WAV, AIFF or FLAC"), ("empty.wav", b"", "is empty")],
)
def test_the_command_says_what_it_cannot_master(
    run: Callable[..., Running], tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    command = run("master", tmp_path / name)
    assert command.wait() == 1
    assert said in command.stderr
