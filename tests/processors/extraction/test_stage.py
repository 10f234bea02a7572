"""The stage on real files: what is kept, what is reused, what fails alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from processors.extraction import stage as stage_module
from processors.extraction.opening import Opened, opened
from processors.extraction.stage import extraction
from processors.gpu import GpuFailed
from processors.runtime import Reject, Retry
from processors.runtime.testing import StageEnvironment
from schemas.documents.audio_manifest import AudioManifest
from schemas.events import Artifact, Extraction, ExtractionAdmitted, FeaturesExtracted, Work
from tests.processors.extraction.troubled import install
from topics.inputs import InputSettings

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
SWIFT = ("loudness", "spectral")


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A laboratory that knows the troubled ones, warm from test to test; where they count."""
    folder = tmp_path_factory.mktemp("laboratory")
    with pytest.MonkeyPatch.context() as patch:
        packages = install(folder / "packages")
        patch.setenv("PYTHONPATH", f"{packages}{os.pathsep}{REPOSITORY}")
        patch.setenv("TROUBLED_COUNT", str(folder / "count"))
        patch.setattr(stage_module, "_laboratory", None)
        yield folder / "count"
        if stage_module._laboratory is not None:
            stage_module._laboratory.close()


@pytest.fixture
def laboratory(warm: Path) -> Path:
    """The file that the extractors count in, empty."""
    warm.unlink(missing_ok=True)
    return warm


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    seconds = np.arange(3 * 22050) / 22050
    soundfile.write(folder / "a.wav", 0.2 * np.sin(2 * np.pi * 440 * seconds), 22050)
    (folder / "text.wav").write_text("no sound in here, only words, and some more of them")
    return folder


@pytest.fixture
def environment(tmp_path: Path, media: Path, laboratory: Path) -> StageEnvironment:
    no_file: dict[str, Any] = {"_env_file": None}
    inputs = InputSettings(**no_file, extraction_roots=(str(media),))
    return StageEnvironment(
        tmp_path,
        inputs=inputs,
        extractor_timeout_seconds=1.0,
        extraction_memory_limit=600,
        use_gpu=False,
    )


def admitted(
    uri: str = "a.wav", *names: str, source: Artifact | None = None, attempt: int = 1, **more: Any
) -> ExtractionAdmitted:
    wanted: dict[str, Any] = {"task_id": "t", "video_id": "v", "input_uri": uri} | more
    return ExtractionAdmitted(
        work=Work(
            job_id="i",
            track_id="t",
            attempt=attempt,
            from_stage="extraction",
            artifacts=(source,) if source else (),
        ),
        extraction=Extraction(extractors=names or SWIFT, **wanted),
    )


def done(environment: StageEnvironment, event: ExtractionAdmitted) -> FeaturesExtracted:
    found = environment.run(extraction, event).event
    assert isinstance(found, FeaturesExtracted)
    return found


def manifest_of(environment: StageEnvironment, event: FeaturesExtracted) -> AudioManifest:
    uri = {each.name: each.uri for each in event.work.artifacts}["manifest"]
    return AudioManifest.from_json(environment.store.read(uri))


def statuses(event: FeaturesExtracted) -> dict[str, str]:
    return {each.name: each.code or each.status for each in event.extractors}


def test_a_file_under_a_root(environment: StageEnvironment) -> None:
    ran = environment.run(extraction, admitted("a.wav", "pitch_extractor", "loudness"))
    event = ran.event
    assert event.status == "completed"
    assert statuses(event) == {"pitch_extractor": "ok", "loudness": "ok"}
    assert ran.length_s == pytest.approx(3.0)
    assert event.work.duration_ms == 3000
    manifest = manifest_of(environment, event)
    assert (manifest.input.name, manifest.video_id) == ("a.wav", "v")
    assert [each.name for each in manifest.extractors] == ["pitch_extractor", "loudness"]
    places = {each.name: each for each in event.work.artifacts}
    for part in manifest.extractors:
        for file in part.artifacts:
            stored = places[part.name]
            assert (stored.sha256, stored.bytes) == (file.sha256, file.bytes)
            assert stored.uri.rpartition("/")[0] == places["manifest"].uri.rpartition("/")[0]


def change(path: Path, how: str) -> None:
    whole, times = path.read_bytes(), path.stat()
    if how == "longer":
        path.write_bytes(whole + b"more")
    elif how == "as long, with its old date":
        path.write_bytes(whole[:-1] + b"x")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif how == "replaced":
        other = path.with_name("other.wav")
        other.write_bytes(whole)
        other.rename(path)
    else:
        path.write_bytes(whole[:20])  # no sound any more; the rest is on its way


@pytest.mark.parametrize("how", ["longer", "as long, with its old date", "replaced", "cut"])
def test_a_file_that_changes_meanwhile_is_read_again(
    environment: StageEnvironment, media: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    whole = (media / "a.wav").read_bytes()

    def and_then(*given: Any) -> Opened:
        found = opened(*given)
        change(found.path, how)
        return found

    monkeypatch.setattr(stage_module, "opened", and_then)
    with pytest.raises(Retry) as again:
        environment.run(extraction, admitted())
    assert again.value.code == "input_changed"
    monkeypatch.setattr(stage_module, "opened", opened)
    (media / "a.wav").write_bytes(whole)
    ended = done(environment, admitted())
    assert (ended.status, ended.reused) == ("completed", False)
    assert manifest_of(environment, ended).input.sha256 == hashlib.sha256(whole).hexdigest()


def test_an_upload(environment: StageEnvironment, media: Path) -> None:
    source = environment.put("source", media / "a.wav")
    event = done(environment, admitted("asset:ast_1", source=source))
    assert event.status == "completed"
    assert event.input_sha256 == source.sha256


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("nothing.wav", "input_missing"),
        ("../secret.wav", "input_forbidden"),
        ("s3://bucket/key", "input_forbidden"),
        ("ftp://host/file", "input_scheme_unknown"),
        ("text.wav", "not_audio"),
        ("asset:ast_1", "input_missing"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    environment: StageEnvironment, uri: str, code: str
) -> None:
    with pytest.raises(Reject) as refused:
        environment.run(extraction, admitted(uri))
    assert refused.value.code == code
    assert str(environment.settings.scratch_dir) not in refused.value.message


def test_a_folder_is_no_file(environment: StageEnvironment, media: Path) -> None:
    (media / "folder").mkdir()
    with pytest.raises(Reject) as refused:
        environment.run(extraction, admitted("folder"))
    assert refused.value.code == "input_not_a_file"


def test_parameters_that_are_no_object_are_refused(environment: StageEnvironment) -> None:
    for wrong in ("[1]", "{", "1"):
        with pytest.raises(Reject) as refused:
            environment.run(extraction, admitted(parameters={"loudness": wrong}))
        assert refused.value.code == "parameters_invalid"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("hangs", "timed_out"),
        ("spins", "timed_out"),
        ("dies", "crashed"),
        ("raises", "raised"),
        ("nan", "not_finite"),
        ("eats", "out_of_memory"),
        ("nobody", "unknown_extractor"),
    ],
)
def test_one_that_misbehaves_fails_alone(
    environment: StageEnvironment, name: str, code: str
) -> None:
    event = done(environment, admitted("a.wav", "loudness", name, "spectral"))
    assert statuses(event) == {"loudness": "ok", name: code, "spectral": "ok"}
    assert event.status == "completed"
    manifest = manifest_of(environment, event)
    assert [each.name for each in manifest.extractors] == ["loudness", name, "spectral"]
    assert manifest.result("loudness").features


def test_a_gpu_that_fails_is_nobodys_fault_and_its_process_is_replaced(
    environment: StageEnvironment,
) -> None:
    done(environment, admitted("a.wav", "loudness"))
    assert stage_module._laboratory is not None
    before = stage_module._laboratory.pid
    with pytest.raises(GpuFailed, match="illegal memory access"):
        environment.run(extraction, admitted("a.wav", "gpu", "spectral"))
    assert statuses(done(environment, admitted("a.wav", "spectral"))) == {"spectral": "ok"}
    assert stage_module._laboratory.pid != before


def test_several_that_misbehave(environment: StageEnvironment) -> None:
    event = done(environment, admitted("a.wav", "dies", "hangs", "loudness"))
    assert statuses(event) == {"dies": "crashed", "hangs": "timed_out", "loudness": "ok"}


def test_when_none_has_a_result_the_item_failed_and_says_why(
    environment: StageEnvironment,
) -> None:
    event = done(environment, admitted("a.wav", "dies", "raises"))
    assert (event.status, event.code) == ("failed", "crashed")
    assert "dies" in event.message


def test_nothing_is_computed_twice(environment: StageEnvironment, laboratory: Path) -> None:
    def counted() -> Counter[str]:
        return Counter(laboratory.read_text().split()) if laboratory.exists() else Counter()

    first = done(environment, admitted("a.wav", "fine", "loudness"))
    again = done(environment, admitted("a.wav", "fine", "loudness"))
    assert (first.reused, again.reused) == (False, True)
    assert manifest_of(environment, first) == manifest_of(environment, again)
    other = done(environment, admitted("a.wav", "fine", "chroma_key", video_id="w"))
    assert statuses(other) == {"fine": "ok", "chroma_key": "ok"}
    assert counted() == {"fine": 1}, "another request takes the part that is there"
    manifest = manifest_of(environment, other)
    assert manifest.video_id == "w"
    assert manifest.result("fine").features == {"value": 1.0}
    done(environment, admitted("a.wav", "fine", parameters={"fine": '{"x": 1}'}))
    assert counted() == {"fine": 2}, "other parameters, another result"


def test_arrays_that_lie_elsewhere_are_the_works_artifacts(environment: StageEnvironment) -> None:
    first = done(environment, admitted("a.wav", "pitch_extractor"))
    other = done(environment, admitted("a.wav", "pitch_extractor", "loudness"))
    arrays = [
        {each.name: each.uri for each in event.work.artifacts}["pitch_extractor"]
        for event in (first, other)
    ]
    assert arrays[0] == arrays[1]
    (file,) = manifest_of(environment, other).result("pitch_extractor").artifacts
    assert file.uri == arrays[1]


def test_a_retry_tries_again_what_failed_and_nothing_else(
    environment: StageEnvironment, laboratory: Path
) -> None:
    done(environment, admitted("a.wav", "fine", "hangs"))
    event = done(environment, admitted("a.wav", "fine", "hangs", attempt=2))
    assert statuses(event) == {"fine": "ok", "hangs": "timed_out"}
    assert Counter(laboratory.read_text().split()) == {"fine": 1}


def test_a_gpu_that_is_not_there_is_said(environment: StageEnvironment) -> None:
    event = done(environment, admitted("a.wav", "mfcc", device="gpu"))
    (found,) = event.extractors
    assert (found.status, found.fallback) == ("ok", True)
    fallback = manifest_of(environment, event).analysis.fallback
    assert fallback is not None
    assert fallback.used == "cpu"


def test_weights_of_clap_are_not_the_clients_to_name(environment: StageEnvironment) -> None:
    wanted = {"clap": json.dumps({"model": "/etc"})}
    event = done(environment, admitted("a.wav", "clap", "loudness", parameters=wanted))
    assert statuses(event) == {"clap": "not_available", "loudness": "ok"}
    assert "/etc" not in manifest_of(environment, event).to_json().decode()
