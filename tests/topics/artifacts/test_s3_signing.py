"""Sessions bound to addresses, and the URLs that they sign. MinIO enforces them in test_binding."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError
from pydantic import ValidationError

from tests.topics.artifacts import servers
from topics.artifacts import ArtifactError
from topics.artifacts.s3 import S3Store
from topics.artifacts.s3_settings import S3Settings
from topics.artifacts.s3_signing import Origin, Sessions
from topics.artifacts.signing import IpBinding

MINE = {
    "S3_BUCKET": "songs",
    "S3_ENDPOINT": "http://s3.test:9000",
    "S3_ACCESS_KEY": "key",
    "S3_SECRET_KEY": "the-secret-itself",
}
NOW_S = 1_800_000_000.0


class Sts:
    """A service that hands out sessions and remembers what for."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.asked: list[dict[str, Any]] = []
        self.refuses = ""

    def assume_role(self, **asked: Any) -> dict[str, Any]:
        if self.refuses:
            raise ClientError({"Error": {"Code": self.refuses}}, "AssumeRole")
        self.asked.append(asked)
        number = len(self.asked)
        return {
            "Credentials": {
                "AccessKeyId": f"session{number}",
                "SecretAccessKey": "secret",
                "SessionToken": "token",
                "Expiration": datetime.fromtimestamp(self.now_s + asked["DurationSeconds"], UTC),
            }
        }


def sessions(sts: Sts, **more: Any) -> Sessions:
    return Sessions(servers.settings(MINE, **more), lambda: cast(Any, sts), lambda: sts.now_s)


def test_a_session_allows_one_folder_from_one_address() -> None:
    sts = Sts()
    made = sessions(sts).credentials("::ffff:192.0.2.1", "uploads/default/u1", 900)
    assert (made.access_key, made.token) == ("session1", "token")
    (asked,) = sts.asked
    assert json.loads(asked["Policy"])["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": ["arn:aws:s3:::songs/uploads/*"],
            "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.1/32"}},
        }
    ]
    assert len(asked["Policy"]) <= 2048  # STS's limit
    assert 900 <= asked["DurationSeconds"] <= 3600


@pytest.mark.parametrize(
    ("ip", "network"), [("2001:DB8:0::1", "2001:db8::1/128"), ("fe80::1%eth0", "fe80::1/128")]
)
def test_ipv6_is_bound_whole(ip: str, network: str) -> None:
    sts = Sts()
    sessions(sts).credentials(ip, "a", 60)
    (statement,) = json.loads(sts.asked[0]["Policy"])["Statement"]
    assert statement["Condition"] == {"IpAddress": {"aws:SourceIp": network}}
    assert statement["Resource"] == ["arn:aws:s3:::songs/a"]


def test_a_role_of_another_partition_names_its_buckets() -> None:
    sts = Sts()
    role = "arn:aws-cn:iam::123456789012:role/songs"
    sessions(sts, s3_sts_role_arn=role).credentials("192.0.2.1", "a/b", 60)
    assert sts.asked[0]["RoleArn"] == role
    assert "arn:aws-cn:s3:::songs/a/*" in sts.asked[0]["Policy"]


def test_sessions_are_kept_until_they_end_too_soon() -> None:
    sts = Sts()
    kept = sessions(sts)
    for key in ("uploads/a", "uploads/b"):
        assert kept.credentials("192.0.2.1", key, 900).access_key == "session1"
    assert kept.credentials("192.0.2.2", "uploads/a", 900).access_key == "session2"
    assert kept.credentials("192.0.2.1", "results/a", 900).access_key == "session3"
    sts.now_s += 3600 - 900 - 60
    assert kept.credentials("192.0.2.1", "uploads/a", 900).access_key == "session1"
    sts.now_s += 1  # a URL of 900 s would outlive it now, one of 300 s would not
    assert kept.credentials("192.0.2.1", "uploads/a", 300).access_key == "session1"
    assert kept.credentials("192.0.2.1", "uploads/a", 900).access_key == "session4"


def test_a_session_outlives_every_url() -> None:
    sts = Sts()
    sessions(sts).credentials("192.0.2.1", "a", 86_400)
    assert sts.asked[0]["DurationSeconds"] > 86_400


def test_a_refused_session_names_the_settings() -> None:
    sts = Sts()
    sts.refuses = "AccessDenied"
    with pytest.raises(ArtifactError, match="S3_STS_ROLE_ARN, S3_ACCESS_KEY"):
        sessions(sts).credentials("192.0.2.1", "a", 60)


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        sessions(Sts()).credentials("nowhere", "a", 60)


# -- URLs --------------------------------------------------------------------------------------


def query(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)


@pytest.mark.parametrize(
    ("path_style", "public", "start"),
    [
        (True, "", "http://s3.test:9000/songs/a/b.flac?"),
        (False, "", "http://songs.s3.test:9000/a/b.flac?"),
        (True, "https://media.example/s3/", "https://media.example/s3/songs/a/b.flac?"),
    ],
)
def test_a_url_begins_where_clients_find_the_bucket(
    path_style: bool, public: str, start: str
) -> None:
    store = servers.store(MINE, s3_path_style=path_style, s3_public_endpoint=public)
    url = store.sign_get(store.uri("a/b.flac"), ttl_s=300, ip="192.0.2.1").url
    assert url.startswith(start)
    assert query(url)["X-Amz-Expires"] == ["300"]
    assert "the-secret-itself" not in url


def test_aws_needs_no_endpoint() -> None:
    store = servers.store(MINE | {"S3_ENDPOINT": "", "S3_REGION": "eu-central-1"})
    url = store.sign_get(store.uri("a"), ttl_s=300, ip=None).url
    assert urlsplit(url).hostname == "s3.eu-central-1.amazonaws.com"
    assert "/eu-central-1/s3/aws4_request" in query(url)["X-Amz-Credential"][0]


def test_an_enforced_url_carries_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    sts = Sts()
    monkeypatch.setattr("topics.artifacts.s3_signing.sts_client", lambda *_: sts)
    store = S3Store(
        servers.settings(MINE, s3_sts_endpoint="http://s3.test:9000"),
        ip_binding="enforce",
        clock=lambda: NOW_S,
    )
    signed = store.sign_get(store.uri("results/a"), ttl_s=300, ip="192.0.2.1")
    assert signed.expires_at_ms == (NOW_S + 300) * 1000
    assert query(signed.url)["X-Amz-Security-Token"] == ["token"]
    assert query(signed.url)["X-Amz-Credential"][0].startswith("session1/")
    unbound = store.sign_get(store.uri("results/a"), ttl_s=300, ip=None).url
    assert query(unbound)["X-Amz-Credential"][0].startswith("key/")


@pytest.mark.parametrize(("binding", "carried"), [("report", ["192.0.2.1"]), ("off", None)])
def test_only_report_shows_the_address(binding: IpBinding, carried: list[str] | None) -> None:
    store = servers.store(MINE, ip_binding=binding)
    url = store.sign_get(store.uri("a"), ttl_s=300, ip="192.0.2.1").url
    assert query(url).get("x-melisma-address") == carried


def test_keys_in_a_url_are_spelled_as_the_server_signs_them() -> None:
    origin = Origin("https://s3.test", "songs", "us-east-1", True)
    assert origin.url_of("a/b+c=d@e.wav") == "https://s3.test/songs/a/b%2Bc%3Dd%40e.wav"


# -- settings ----------------------------------------------------------------------------------


def test_binding_that_cannot_be_enforced_is_refused() -> None:
    with pytest.raises(ArtifactError, match=r"S3_STS_ENDPOINT.*IP_BINDING=report or off"):
        servers.store(MINE, ip_binding="enforce")
    servers.store(MINE, ip_binding="enforce", s3_sts_role_arn="arn:aws:iam::1:role/x")


@pytest.mark.parametrize("missing", ["S3_ACCESS_KEY", "S3_SECRET_KEY"])
def test_half_a_credential_is_refused(missing: str) -> None:
    with pytest.raises(ValidationError, match=f"{missing} is missing"):
        servers.settings(MINE | {missing: ""})


def test_the_secret_is_not_shown_and_reaches_a_child() -> None:
    mine = servers.settings(MINE)
    assert "the-secret-itself" not in repr(mine) + str(mine) + mine.model_dump_json()
    there: S3Settings = pickle.loads(pickle.dumps(mine))
    assert there.s3_secret_key.get_secret_value() == "the-secret-itself"
