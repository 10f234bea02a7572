"""Files and batches through the running product: asked for, followed, what was found fetched."""

from __future__ import annotations

import io
import os
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
import numpy as np
import pytest

from schemas.documents.audio_manifest import AudioManifest
from tests.e2e.product import LONG_S, Json, Product, until
from tests.processors.extraction.troubled import install

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).parents[2]
RATE = 22_050
ENDED = ("completed", "failed")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that can be used, and some that can't."""
    folder = tmp_path_factory.mktemp("inputs") / "media"
    folder.mkdir()
    for number in range(4):
        clicks(folder / f"{number}.wav", bpm=90 + 10 * number)
    (folder / "text.wav").write_text("no sound in here, only words, and some more of them")
    (folder.parent / "secret.wav").write_bytes((folder / "0.wav").read_bytes())
    (folder / "out.wav").symlink_to(folder.parent / "secret.wav")
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi"]
    picture = ["-i", "color=size=64x36:duration=2:rate=10"]
    mute = [*program, *picture, str(folder / "mute.mp4")]
    sound = ["-i", str(folder / "1.wav"), "-shortest", str(folder / "film.mp4")]
    for command in (mute, [*program, *picture, *sound]):
        subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[Product]:
    """A product that may read the files, and has extractors that misbehave."""
    folder = tmp_path_factory.mktemp("studio")
    packages = install(folder / "packages")
    with Product(folder) as made:
        made.start(
            EXTRACTION_ROOTS=str(media),
            EXTRACTION_S3_BUCKETS="open",
            S3_ENDPOINT="http://127.0.0.1:1",
            S3_ACCESS_KEY="nobody",
            S3_SECRET_KEY="nothing",
            EXTRACTOR_TIMEOUT_SECONDS="1",
            EXTRACTION_MEMORY_LIMIT="600",
            PYTHONPATH=f"{packages}{os.pathsep}{REPOSITORY}",
        )
        yield made
        made.stop()


@pytest.fixture
def http(studio: Product) -> Iterator[httpx.Client]:
    with studio.http() as made:
        yield made


def clicks(path: Path, *, bpm: float, seconds: float = 6.0) -> None:
    """A click on every beat over a tone."""
    times = np.arange(round(seconds * RATE)) / RATE
    beat = np.mod(times, 60 / bpm)
    sound = 0.6 * np.exp(-beat * 60) * np.sin(2 * np.pi * 1000 * beat)
    sound += 0.05 * np.sin(2 * np.pi * 220 * times)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())


def ask(http: httpx.Client, path: str, body: Json) -> str:
    answer = http.post(path, json=body)
    assert answer.status_code == 202, answer.text
    task: str = answer.json()["task_id"]
    return task


def done(http: httpx.Client, task: str) -> Json:
    """The task once all of it has ended."""

    def look() -> Json | None:
        shown: Json = http.get(f"/v1/status/{task}").json()
        counts = shown.get("counts", {})
        left = counts.get("pending", 0) + counts.get("processing", 0)
        return shown if shown["status"] in ENDED and not left else None

    return until(look, f"the end of {task}", timeout_s=2 * LONG_S, pause_s=0.1)


def manifest(http: httpx.Client, task: str) -> AudioManifest:
    answer = http.get(f"/v1/manifests/{task}")
    assert answer.status_code == 200, answer.text
    return AudioManifest.model_validate(answer.json())


def test_a_batch_is_asked_for_followed_and_fetched(http: httpx.Client) -> None:
    names = ["tempo_extractor", "pitch_extractor", "loudness"]
    items: list[Json] = [
        {"input_uri": f"{number}.wav", "video_id": f"clip {number}", "extractors": names}
        for number in range(4)
    ]
    items.append({"input_uri": "text.wav", "video_id": "words"})
    items.append({"input_uri": "film.mp4", "video_id": "film", "extractors": ["loudness"]})
    task = ask(http, "/v1/batch", {"items": items, "concurrency": 2})
    seen: list[float] = []

    def look() -> Json | None:
        shown: Json = http.get(f"/v1/status/{task}").json()
        seen.append(shown["progress"])
        assert shown["counts"]["processing"] <= 2
        return shown if shown["status"] in ENDED else None

    shown = until(look, "the batch", timeout_s=2 * LONG_S, pause_s=0.05)
    assert seen == sorted(seen)
    assert shown["status"] == "completed"
    assert (shown["counts"]["completed"], shown["counts"]["failed"]) == (5, 1)
    broken = shown["items"][4]
    assert (broken["video_id"], broken["status"]) == ("words", "failed")
    assert broken["error_code"] == "not_audio"
    for number in range(4):
        found = manifest(http, shown["items"][number]["task_id"])
        assert found.video_id == f"clip {number}"
        tempo = found.result("tempo_extractor")
        assert tempo.features["tempo_bpm"] == pytest.approx(90 + 10 * number, abs=0.5)
        (file,) = tempo.artifacts
        with np.load(io.BytesIO(http.get(file.uri).content)) as arrays:
            assert set(arrays) == set(file.arrays)
            for name, facts in file.arrays.items():
                assert arrays[name].shape == facts.shape
    film = manifest(http, shown["items"][5]["task_id"])
    assert film.result("loudness").status == "ok"
    assert film.input.name == "film.mp4"


def test_a_file_that_is_waited_for(http: httpx.Client) -> None:
    body = {"input_uri": "0.wav", "extractors": ["loudness"], "wait": True}
    answer = http.post("/process", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    found = AudioManifest.model_validate(answer.json()["manifest"])
    assert found.result("loudness").features["integrated_lufs"] is not None


def test_the_extractors_are_listed(http: httpx.Client) -> None:
    def look() -> Any:
        return http.get("/extractors").json()["available"]

    listed = {each["name"]: each for each in until(look, "the extractors")}
    assert {"tempo_extractor", "pitch_extractor", "raises"} <= set(listed)
    assert listed["tempo_extractor"]["description"]


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        (".", "input_not_a_file"),
        ("../secret.wav", "input_forbidden"),
        ("out.wav", "input_forbidden"),
        ("s3://private/a.wav", "input_forbidden"),
        ("nothing.wav", "input_missing"),
        ("asset:ast_nobody", "input_missing"),
        ("mute.mp4", "no_audio_stream"),
        ("text.wav", "not_audio"),
    ],
)
def test_bad_inputs_fail_alone(http: httpx.Client, media: Path, uri: str, code: str) -> None:
    items = [{"input_uri": uri}, {"input_uri": "0.wav", "extractors": ["loudness"]}]
    shown = done(http, ask(http, "/v1/batch", {"items": items}))
    broken, whole = shown["items"]
    assert (broken["status"], broken["error_code"]) == ("failed", code), broken
    assert str(media) not in broken["error"]
    assert whole["status"] == "completed"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nosuch", "unknown_extractor"),
        ("raises", "raised"),
        ("hangs", "timed_out"),
        ("eats", "out_of_memory"),
        ("nan", "not_finite"),
        ("dies", "crashed"),
    ],
)
def test_bad_extractors_fail_alone(http: httpx.Client, name: str, code: str) -> None:
    task = ask(http, "/v1/process", {"input_uri": "2.wav", "extractors": [name, "loudness"]})
    shown = done(http, task)
    assert (shown["status"], shown["failed_extractors"]) == ("completed", {name: code}), shown
    found = manifest(http, task)
    error = found.result(name).error
    assert error is not None
    assert error.code == code
    assert found.result("loudness").status == "ok"


def test_a_gpu_that_is_not_there_is_told(http: httpx.Client) -> None:
    body = {"input_uri": "3.wav", "extractors": ["spectral"], "use_gpu": True}
    task = ask(http, "/v1/process", body)
    assert done(http, task)["status"] == "completed"
    found = manifest(http, task)
    if found.analysis.device == "cpu":  # a machine with a GPU has nothing to tell
        fallback = found.analysis.fallback
        assert fallback is not None
        assert fallback.used == "cpu"
        assert fallback.reason


def test_a_canceled_batch_ends(http: httpx.Client) -> None:
    items = [{"input_uri": "1.wav", "extractors": ["hangs", "loudness"], "video_id": str(n)}
             for n in range(30)]  # fmt: skip
    task = ask(http, "/v1/batch", {"items": items, "concurrency": 1})
    until(lambda: http.get(f"/v1/status/{task}").json()["counts"]["processing"], "work")
    answer = http.post(f"/v1/status/{task}/cancel", json={"reason": "enough"})
    assert answer.status_code == 200, answer.text
    shown = done(http, task)
    assert shown["error_code"] == "canceled"
    assert shown["counts"]["canceled"] >= 25
