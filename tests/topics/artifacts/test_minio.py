"""A server that keeps to STS policies: URLs work from their client's address alone.

The whole of 127.0.0.0/8 is this machine, so a client can come from several addresses.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping

import httpx
import pytest

from tests.topics.artifacts import minio, servers
from tests.topics.artifacts.contract import ArtifactContract, Receive
from topics.artifacts import ArtifactError
from topics.artifacts.s3 import S3Store
from topics.artifacts.s3_setup import allow_origins

pytestmark = pytest.mark.minio

if not minio.path().exists():
    pytest.skip(
        "IP binding on a real server is left out: MinIO is not built; `make minio` builds it "
        "(needs Go, takes some minutes)",
        allow_module_level=True,
    )

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with minio.running(tmp_path_factory.mktemp("minio")) as address:
        yield address


@pytest.fixture(scope="module")
def bound(address: Mapping[str, str]) -> S3Store:
    return servers.store(address, ip_binding="enforce")


@pytest.fixture
def prefix() -> str:
    return f"tests/{uuid.uuid4().hex}"


class TestMinio(ArtifactContract):
    """The contract, every URL bound to 127.0.0.1."""

    @pytest.fixture
    def store(self, bound: S3Store) -> S3Store:
        return bound

    @pytest.fixture
    def receive(self) -> Receive:
        return servers.put


def get(url: str, ip: str, **headers: str) -> int:
    with httpx.Client(transport=httpx.HTTPTransport(local_address=ip)) as client:
        return client.get(url, headers={"Range": "bytes=0-0", **headers}).status_code


@pytest.mark.parametrize(("ip", "other"), [(HERE, ELSEWHERE), (ELSEWHERE, HERE)])
def test_a_get_works_from_one_address(bound: S3Store, prefix: str, ip: str, other: str) -> None:
    uri = bound.put(f"{prefix}/song", b"song", "audio/flac").uri
    url = bound.sign_get(uri, ttl_s=300, ip=ip, filename="song.flac").url
    assert [get(url, ip), get(url, other)] == [206, 403]


def test_a_part_is_taken_from_one_address(bound: S3Store, prefix: str) -> None:
    upload = bound.begin_upload(f"{prefix}/song", "audio/wav")
    url = bound.sign_part(f"{prefix}/song", upload, 1, ttl_s=300, ip=ELSEWHERE, max_bytes=5).url
    assert httpx.put(url, content=b"12345").status_code == 403
    assert list(bound.parts(f"{prefix}/song", upload)) == []
    with httpx.Client(transport=httpx.HTTPTransport(local_address=ELSEWHERE)) as there:
        assert there.put(url, content=b"1234").status_code == 403
        assert there.put(url, content=b"12345").status_code == 200
    assert [part.bytes for part in bound.parts(f"{prefix}/song", upload)] == [5]


def test_an_address_has_its_own_session_for_all_its_urls(
    address: Mapping[str, str], prefix: str
) -> None:
    store = servers.store(address, ip_binding="enforce")
    uris = [store.put(f"{prefix}/{n}", b"x", "text/plain").uri for n in range(3)]
    urls = [store.sign_get(uri, ttl_s=300, ip=HERE).url for uri in uris]
    keys = {httpx.URL(url).params["X-Amz-Credential"] for url in urls}
    assert len(keys) == 1
    assert address["S3_ACCESS_KEY"] not in keys.pop()
    assert [get(url, HERE) for url in urls] == [206] * 3


@pytest.mark.parametrize(("binding", "elsewhere"), [("report", 206), ("off", 206)])
def test_unbound_urls_work_from_everywhere(
    address: Mapping[str, str], prefix: str, binding: str, elsewhere: int
) -> None:
    store = servers.store(address, ip_binding=binding)  # type: ignore[arg-type]
    uri = store.put(f"{prefix}/song", b"song", "audio/flac").uri
    assert get(store.sign_get(uri, ttl_s=300, ip=HERE).url, ELSEWHERE) == elsewhere


def test_minio_believes_whoever_says_where_he_comes_from(bound: S3Store, prefix: str) -> None:
    """Why MinIO must stand behind a proxy that sets X-Forwarded-For anew (s3_signing)."""
    uri = bound.put(f"{prefix}/song", b"song", "audio/flac").uri
    url = bound.sign_get(uri, ttl_s=300, ip=HERE).url
    assert get(url, ELSEWHERE, **{"X-Forwarded-For": HERE}) == 206
    assert get(url, HERE, **{"X-Forwarded-For": ELSEWHERE}) == 403


def test_a_wrong_sts_is_named(address: Mapping[str, str], prefix: str) -> None:
    away = servers.store(
        address, ip_binding="enforce", s3_sts_endpoint="http://127.0.0.1:1", s3_attempts=1
    )
    with pytest.raises(ArtifactError, match="S3_STS_ENDPOINT"):
        away.sign_get(away.uri(f"{prefix}/song"), ttl_s=300, ip=HERE)


def test_conditions_are_kept(bound: S3Store) -> None:
    assert bound._objects.has_conditional_writes()


def test_cors_is_the_servers_own_matter(bound: S3Store) -> None:
    with pytest.raises(ArtifactError, match="MINIO_API_CORS_ALLOW_ORIGIN"):
        allow_origins(bound, ["https://app.example"])


def test_no_credential_is_logged(
    address: Mapping[str, str], prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("melisma.test").debug("the log is open")
    store = servers.store(address, ip_binding="enforce")
    uri = store.put(f"{prefix}/song", b"song", "audio/flac").uri
    url = httpx.URL(store.sign_get(uri, ttl_s=300, ip=HERE).url)
    session = store._signer._sessions.credentials(HERE, f"{prefix}/song", 300)
    assert "the log is open" in caplog.text
    for secret in (
        address["S3_SECRET_KEY"],
        session.secret_key,
        url.params["X-Amz-Security-Token"],
        url.params["X-Amz-Signature"],
    ):
        assert secret not in caplog.text
