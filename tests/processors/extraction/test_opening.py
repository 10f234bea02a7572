"""Inputs of S3, by a client whose server is scripted."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from processors.extraction.opening import Opened, opened
from processors.extraction.stage import extraction
from processors.runtime import Reject
from processors.runtime.task import Task
from processors.settings import StageSettings
from schemas.events import Extraction, Work
from tests.processors.runtime.rig import settings_in
from topics.artifacts import ArtifactError, s3_client
from topics.inputs import InputSettings

URI = "s3://media/studio/song.flac"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Stubber:
    client = boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="id", aws_secret_access_key="secret"
    )
    monkeypatch.setattr(s3_client, "s3_client", lambda settings, session: client)
    stub = Stubber(client)
    stub.activate()
    return stub


@pytest.fixture
def settings(tmp_path: Path) -> StageSettings:
    no_file: dict[str, Any] = {"_env_file": None}
    inputs = InputSettings(**no_file, extraction_s3_buckets=("media/{tenant}/",))
    return settings_in(tmp_path, inputs=inputs)


def opening(
    settings: StageSettings, folder: Path, uri: str = URI, tenant: str = "studio"
) -> Opened:
    task = Task(
        stage=extraction, job=None, settings=settings, store=None, folder=folder, tell=print
    )
    return opened(
        Work(job_id="i", track_id="t", tenant=tenant),
        Extraction(task_id="t", video_id="", input_uri=uri),
        task,
    )


def test_an_object_is_fetched(server: Stubber, settings: StageSettings, tmp_path: Path) -> None:
    content = b"fLaC" + bytes(3 << 20)
    body = StreamingBody(io.BytesIO(content), len(content))
    server.add_response(
        "get_object", {"Body": body}, {"Bucket": "media", "Key": "studio/song.flac"}
    )
    found = opening(settings, tmp_path)
    assert found.path.read_bytes() == content
    assert (found.sha256, found.name) == (hashlib.sha256(content).hexdigest(), "song.flac")


@pytest.mark.parametrize(
    ("code", "status", "refusal"),
    [
        ("NoSuchKey", 404, "input_missing"),
        ("NoSuchBucket", 404, "input_missing"),
        ("AccessDenied", 403, "input_forbidden"),
    ],
)
def test_what_is_not_there_or_not_allowed_is_refused(
    server: Stubber,
    settings: StageSettings,
    tmp_path: Path,
    code: str,
    status: int,
    refusal: str,
) -> None:
    server.add_client_error("get_object", code, http_status_code=status)
    with pytest.raises(Reject) as refused:
        opening(settings, tmp_path)
    assert refused.value.code == refusal
    assert URI in refused.value.message


def test_a_server_that_is_not_well_is_tried_again(
    server: Stubber, settings: StageSettings, tmp_path: Path
) -> None:
    server.add_client_error("get_object", "InternalError", http_status_code=500)
    with pytest.raises(ArtifactError):
        opening(settings, tmp_path)


def test_anothers_beginning_is_not_even_asked_for(
    server: Stubber, settings: StageSettings, tmp_path: Path
) -> None:
    with pytest.raises(Reject) as refused:
        opening(settings, tmp_path, tenant="other")
    assert refused.value.code == "input_forbidden"


def test_a_file_that_is_gone_is_not_the_same(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(b"RIFF")
    no_file: dict[str, Any] = {"_env_file": None}
    inputs = InputSettings(**no_file, extraction_roots=(str(tmp_path),))
    found = opening(settings_in(tmp_path, inputs=inputs), tmp_path, uri="song.wav")
    assert found.unchanged()
    path.unlink()
    assert not found.unchanged()


def test_ones_own_copy_stays_the_same(
    server: Stubber, settings: StageSettings, tmp_path: Path
) -> None:
    body = StreamingBody(io.BytesIO(b"fLaC"), 4)
    server.add_response("get_object", {"Body": body})
    found = opening(settings, tmp_path)
    assert found.stamp is None
    assert found.unchanged()
