"""Which store the settings open, and what they say when they cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from topics.artifacts import ArtifactError, ArtifactStore, LocalStore
from topics.artifacts.s3 import S3Store
from topics.settings import BusSettings

GIVEN = {
    "S3_BUCKET": "songs",
    "S3_ENDPOINT": "http://127.0.0.1:1",
    "S3_ACCESS_KEY": "key",
    "S3_SECRET_KEY": "the-secret-itself",
}


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no .env
    for name in list(os.environ):
        if name.startswith(("S3_", "AWS_", "IP_BINDING")):
            monkeypatch.delenv(name)


def opened(monkeypatch: pytest.MonkeyPatch, **given: str) -> ArtifactStore:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return BusSettings().open_artifacts()


def test_a_bucket_is_where_artifacts_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(opened(monkeypatch), LocalStore)
    store = opened(monkeypatch, **GIVEN, IP_BINDING="report")
    assert isinstance(store, S3Store)
    assert store.uri("a") == "s3://songs/a"


def test_urls_are_bound_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArtifactError, match="IP_BINDING=enforce on S3 needs"):
        opened(monkeypatch, **GIVEN)
    assert isinstance(opened(monkeypatch, S3_STS_ENDPOINT="http://127.0.0.1:1"), S3Store)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"S3_SECRET_KEY": ""}, "S3_SECRET_KEY is missing"),
        ({"S3_ATTEMPTS": "none"}, "S3_ATTEMPTS: Input should be a valid integer"),
        ({"S3_ENDPOINT": "nowhere"}, "S3_ENDPOINT"),
    ],
)
def test_wrong_settings_are_named(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str], says: str
) -> None:
    with pytest.raises(ArtifactError, match=says) as raised:
        opened(monkeypatch, **(GIVEN | {"IP_BINDING": "off"} | wrong))
    assert "the-secret-itself" not in str(raised.value)


def test_the_embedded_product_needs_no_boto3(tmp_path: Path) -> None:
    """In a process where boto3 cannot be imported."""
    script = (
        "import sys; sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        "from topics.settings import BusSettings\n"
        "from topics.artifacts import ArtifactError\n"
        "print(type(BusSettings().open_artifacts()).__name__)\n"
        "import os; os.environ['S3_BUCKET'] = 'songs'\n"
        "try: BusSettings().open_artifacts()\n"
        "except ArtifactError as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    local, missing = said.stdout.splitlines()
    assert local == "LocalStore"
    assert missing.endswith("boto3 is not installed: pip install 'melisma[s3]'")
