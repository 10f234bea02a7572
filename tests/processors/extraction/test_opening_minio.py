"""Inputs of S3 on a server that keeps to rights: what they allow is read, the rest is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from processors.extraction.opening import opened
from processors.extraction.stage import extraction
from processors.runtime import Reject
from processors.runtime.task import Task
from schemas.events import Extraction, Work
from tests.processors.runtime.rig import settings_in
from tests.topics.artifacts import minio, servers
from topics.inputs import InputSettings

pytestmark = pytest.mark.minio

if not minio.path().exists():
    pytest.skip(
        "rights on a real S3 server are left out: MinIO is not built; `make minio` builds it",
        allow_module_level=True,
    )

BUCKET = "melisma"
CONTENT = b"fLaC" + bytes(2 << 20)
READ_OPEN = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": [f"arn:aws:s3:::{BUCKET}/open/*", "arn:aws:s3:::elsewhere/*"],
        },
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": [f"arn:aws:s3:::{BUCKET}", "arn:aws:s3:::elsewhere"],
        },
    ],
}


@pytest.fixture(scope="module")
def rights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an installation that may read ``open/`` and nothing else."""
    with minio.running(tmp_path_factory.mktemp("minio")) as address:
        store = servers.store(address)
        for key in ("open/song.flac", "closed/song.flac"):
            store.put(key, CONTENT, "audio/flac")
        sts = boto3.client(
            "sts",
            endpoint_url=address["S3_STS_ENDPOINT"],
            region_name="us-east-1",
            aws_access_key_id=address["S3_ACCESS_KEY"],
            aws_secret_access_key=address["S3_SECRET_KEY"],
        )
        session = sts.assume_role(
            RoleArn="arn:minio:iam:::role/none",
            RoleSessionName="reader",
            Policy=json.dumps(READ_OPEN),
        )["Credentials"]
        sts.close()
        yield {
            "S3_ENDPOINT": address["S3_ENDPOINT"],
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }


@pytest.fixture
def task(rights: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in rights.items():
        monkeypatch.setenv(name, value)
    no_file: dict[str, Any] = {"_env_file": None}
    inputs = InputSettings(**no_file, extraction_s3_buckets=(f"{BUCKET}/", "elsewhere/"))
    return Task(
        stage=extraction,
        job=None,
        settings=settings_in(tmp_path, inputs=inputs),
        store=None,
        folder=tmp_path,
        tell=print,
    )


def read(task: Task, uri: str) -> bytes:
    work = Work(job_id="i", track_id="t")
    wanted = Extraction(task_id="t", video_id="", input_uri=uri)
    return opened(work, wanted, task).path.read_bytes()


def test_what_the_rights_allow_is_read(task: Task) -> None:
    assert read(task, f"s3://{BUCKET}/open/song.flac") == CONTENT


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        (f"s3://{BUCKET}/closed/song.flac", "input_forbidden"),
        (f"s3://{BUCKET}/closed/none.flac", "input_forbidden"),  # not even whether it is there
        (f"s3://{BUCKET}/open/none.flac", "input_missing"),
        ("s3://elsewhere/song.flac", "input_missing"),
    ],
)
def test_what_they_do_not_is_refused_and_named(
    task: Task, rights: dict[str, str], uri: str, code: str
) -> None:
    with pytest.raises(Reject) as refused:
        read(task, uri)
    assert refused.value.code == code
    assert uri in refused.value.message
    assert rights["AWS_ACCESS_KEY_ID"] not in refused.value.message
