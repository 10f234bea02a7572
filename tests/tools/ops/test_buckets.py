"""`melisma topics apply` makes the bucket where it may, and says what it may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from tests.topics.artifacts import servers
from tools.ops.buckets import bucket_findings
from topics.artifacts.protocol import ArtifactError
from topics.artifacts.s3 import S3Store
from topics.artifacts.s3_settings import S3Settings

ORIGINS = ("https://app.example",)
ADDRESS = {
    "S3_ENDPOINT": "http://127.0.0.1:1",
    "S3_BUCKET": "songs",
    "S3_ACCESS_KEY": "key",
    "S3_SECRET_KEY": "secret",
}
RULE = {
    "AllowedMethods": ["GET", "PUT"],
    "AllowedOrigins": ["*"],
    "ExposeHeaders": ["ETag"],
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """What the server answers, in order."""
    store = servers.store(ADDRESS)
    monkeypatch.setattr("topics.artifacts.s3.S3Store", lambda *_, **__: store)
    with Stubber(store.client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def refuse(answers: Stubber, method: str, code: str, status: int = 403) -> None:
    answers.add_client_error(method, code, http_status_code=status)


def found(*, repair: bool, origins: tuple[str, ...] = ORIGINS) -> dict[str, tuple[str, bool]]:
    findings = bucket_findings(servers.settings(ADDRESS), origins, repair=repair)
    return {each.what: (each.verdict, each.bad) for each in findings}


def test_without_a_bucket_there_is_nothing_to_prepare() -> None:
    assert bucket_findings(servers.settings({}), ORIGINS, repair=True) == []


def test_a_bucket_that_is_missing_is_told_and_made_with_its_rules(answers: Stubber) -> None:
    refuse(answers, "list_objects_v2", "NoSuchBucket", 404)
    assert found(repair=False) == {"bucket": ("missing", True)}
    for _ in range(2):
        refuse(answers, "list_objects_v2", "NoSuchBucket", 404)
    answers.add_response("create_bucket", {})
    refuse(answers, "get_bucket_cors", "NoSuchCORSConfiguration", 404)
    answers.add_response("put_bucket_cors", {})
    assert found(repair=True) == {"bucket": ("ok", False), "cors": ("ok", False)}


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "ok"),
        ({"AllowedOrigins": ["https://app.example", "https://b.example"]}, "ok"),
        ({"AllowedOrigins": ["https://other.example"]}, "different"),
        ({"ExposeHeaders": []}, "different"),
        ({"AllowedMethods": ["GET"]}, "different"),
    ],
)
def test_rules_are_compared(answers: Stubber, changed: dict[str, Any], verdict: str) -> None:
    answers.add_response("list_objects_v2", {})
    answers.add_response("get_bucket_cors", {"CORSRules": [RULE | changed]})
    assert found(repair=False)["cors"] == (verdict, verdict != "ok")


def test_keys_that_may_not_look_are_no_failure(answers: Stubber) -> None:
    refuse(answers, "list_objects_v2", "AccessDenied")
    assert found(repair=True) == {"bucket": ("forbidden", False)}


def test_keys_that_may_not_set_rules_are_no_failure(answers: Stubber) -> None:
    answers.add_response("list_objects_v2", {})
    refuse(answers, "get_bucket_cors", "AccessDenied")
    assert found(repair=True) == {"bucket": ("ok", False), "cors": ("forbidden", False)}


def test_wrong_keys_are_one(answers: Stubber) -> None:
    refuse(answers, "list_objects_v2", "InvalidAccessKeyId")
    [finding] = bucket_findings(servers.settings(ADDRESS), ORIGINS, repair=True)
    assert finding.bad
    assert "check S3_ACCESS_KEY and S3_SECRET_KEY" in finding.detail


def test_without_origins_no_rules_are_touched(answers: Stubber) -> None:
    answers.add_response("list_objects_v2", {})
    assert found(repair=True, origins=()) == {"bucket": ("ok", False)}


@pytest.mark.stack
def test_on_a_server_without_rules_the_bucket_is_made_and_the_rest_said(tmp_path: Path) -> None:
    with servers.s3proxy(tmp_path) as address:
        settings = servers.settings(address, s3_bucket="made-by-a-test")
        assert _verdicts(settings, repair=False) == {"bucket": "missing"}
        for _ in range(2):
            assert _verdicts(settings, repair=True) == {"bucket": "ok", "cors": "forbidden"}
        S3Store(settings, ip_binding="off").put("a", b"x", "text/plain")


def _verdicts(settings: S3Settings, *, repair: bool) -> Mapping[str, str]:
    try:
        findings = bucket_findings(settings, ORIGINS, repair=repair)
    except ArtifactError as error:
        pytest.fail(str(error))
    return {each.what: each.verdict for each in findings}
