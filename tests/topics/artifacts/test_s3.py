"""The store in a bucket of a real server: the contract, then what only S3 has."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest
from botocore.compat import get_current_datetime

from tests.topics.artifacts import servers
from tests.topics.artifacts.contract import PART_BYTES, ArtifactContract, Receive
from tools.stack.stack import Stack
from topics.artifacts import ArtifactError, ArtifactMissing, UploadInvalid
from topics.artifacts.s3 import S3Store
from topics.artifacts.s3_setup import allow_origins, make_bucket
from topics.artifacts.s3_uploads import PART_BYTES as OWN_PART_BYTES

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with servers.s3proxy(tmp_path_factory.mktemp("s3")) as address:
        yield address


@pytest.fixture(scope="module")
def shared(address: Mapping[str, str]) -> S3Store:
    return servers.store(address)


@pytest.fixture(scope="module")
def unconditional(address: Mapping[str, str]) -> S3Store:
    return servers.store(address, s3_conditional_writes="off")


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"tests/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"


class TestS3(ArtifactContract):
    @pytest.fixture
    def store(self, shared: S3Store) -> S3Store:
        return shared

    @pytest.fixture
    def receive(self) -> Receive:
        return servers.put


class TestWithoutConditionalWrites(ArtifactContract):
    """The same, on a server whose PUT knows no condition."""

    @pytest.fixture
    def store(self, unconditional: S3Store) -> S3Store:
        return unconditional

    @pytest.fixture
    def receive(self) -> Receive:
        return servers.put


# -- objects -----------------------------------------------------------------------------------


def test_stat_knows_what_was_written(shared: S3Store, prefix: str) -> None:
    stored = shared.put(f"{prefix}/a", b"x", "text/plain")
    assert stored.uri == f"s3://{shared.bucket}/{prefix}/a"
    assert shared.stat(stored.uri) == stored


@pytest.mark.parametrize("kind", ["bytes", "path", "stream"])
def test_a_large_object_is_sent_in_parts(
    shared: S3Store, prefix: str, tmp_path: Path, kind: str
) -> None:
    data = bytes(range(251)) * (OWN_PART_BYTES // 251 + 1000)
    file = tmp_path / "source"
    file.write_bytes(data)
    sources: dict[str, bytes | Path | BinaryIO] = {
        "bytes": data,
        "path": file,
        "stream": io.BytesIO(data),
    }
    stored = shared.put(f"{prefix}/large", sources[kind], "audio/wav")
    assert (stored.bytes, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert shared.stat(stored.uri) == stored
    assert shared.fetch(stored.uri, tmp_path / "copy", sha256=stored.sha256) == stored.sha256
    assert [upload for key, upload in shared.stale_uploads(-60) if key.startswith(prefix)] == []


class Changing(io.BytesIO):
    """A file that is written while it is read: its second reading gives other bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.rewound = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.rewound += 1
        if self.rewound == 1:  # the digest has been read
            self.getbuffer()[-1] ^= 1
        return super().seek(offset, whence)


def test_a_file_that_changes_meanwhile_is_not_kept(shared: S3Store, prefix: str) -> None:
    file = Changing(bytes(OWN_PART_BYTES + 1))
    with pytest.raises(ArtifactError, match="changed while it was stored"):
        shared._uploads.send(f"{prefix}/a", file, "audio/wav")
    assert list(shared.keys(prefix)) == []
    assert [key for key, _ in shared.stale_uploads(-60) if key.startswith(prefix)] == []


def test_the_server_shows_that_it_keeps_conditions(shared: S3Store) -> None:
    assert shared._objects.has_conditional_writes()


def test_the_stores_notes_are_no_artifacts(shared: S3Store) -> None:
    shared.check()
    assert not [key for key in shared.keys("") if key.startswith("_")]


# -- uploads -----------------------------------------------------------------------------------


def test_a_part_of_another_length_is_refused(shared: S3Store, prefix: str) -> None:
    upload = shared.begin_upload(f"{prefix}/song", "audio/wav")
    url = shared.sign_part(f"{prefix}/song", upload, 1, ttl_s=60, ip=None, max_bytes=5).url
    assert [httpx.put(url, content=data).status_code for data in (b"1234", b"123456")] == [403] * 2
    assert list(shared.parts(f"{prefix}/song", upload)) == []
    assert httpx.put(url, content=b"12345").status_code == 200


def test_small_parts_cannot_be_joined(shared: S3Store, prefix: str) -> None:
    key = f"{prefix}/song"
    upload = shared.begin_upload(key, "audio/wav")
    tags = [ArtifactContract.put_part(shared, servers.put, key, upload, n, b"x") for n in (1, 2)]
    with pytest.raises(UploadInvalid, match="5 MiB"):
        shared.complete_upload(key, upload, tags)


def test_what_another_upload_became_is_not_mine(shared: S3Store, prefix: str) -> None:
    key = f"{prefix}/song"
    mine, other = (shared.begin_upload(key, "audio/wav") for _ in range(2))
    tag = ArtifactContract.put_part(shared, servers.put, key, other, 1, b"other")
    shared.complete_upload(key, other, [tag])
    shared.abort_upload(key, mine)
    with pytest.raises(ArtifactMissing):
        shared.complete_upload(key, mine, [tag])
    shared.delete(shared.uri(key))
    with pytest.raises(ArtifactMissing):
        shared.complete_upload(key, other, [tag])


def test_racing_completions_agree(shared: S3Store, prefix: str) -> None:
    key = f"{prefix}/song"
    upload = shared.begin_upload(key, "audio/wav")
    data = [b"a" * PART_BYTES, b"z"]
    tags = [
        ArtifactContract.put_part(shared, servers.put, key, upload, n, d)
        for n, d in enumerate(data, 1)
    ]
    start, sizes = threading.Barrier(4), []

    def race() -> None:
        start.wait()
        sizes.append(shared.complete_upload(key, upload, tags).bytes)

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sizes == [PART_BYTES + 1] * 4
    assert shared.read(shared.uri(key)) == b"".join(data)


def test_stale_uploads_are_listed_and_swept(shared: S3Store, prefix: str) -> None:
    key = f"{prefix}/song"
    upload = shared.begin_upload(key, "audio/wav")
    ArtifactContract.put_part(shared, servers.put, key, upload, 1, b"x")
    assert key not in [found for found, _ in shared.stale_uploads(3600)]
    # The server's clock tells ages: -1 s is sure to be over.
    assert key in [found for found, _ in shared.stale_uploads(-1)]
    assert shared.sweep(-1) >= 1
    assert key not in [found for found, _ in shared.stale_uploads(-1)]
    with pytest.raises(ArtifactMissing):
        shared.parts(key, upload)


# -- signed URLs -------------------------------------------------------------------------------


def test_a_signed_get_ranges_and_names_the_file(shared: S3Store, prefix: str) -> None:
    uri = shared.put(f"{prefix}/Song.flac", b"0123456789", "audio/flac").uri
    url = shared.sign_get(uri, ttl_s=60, ip=None, filename="Моя песня & co.flac").url
    answer = httpx.get(url, headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (206, b"234")
    assert answer.headers["Content-Range"] == "bytes 2-4/10"
    assert answer.headers["Content-Type"] == "audio/flac"
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename*=UTF-8''"
        "%D0%9C%D0%BE%D1%8F%20%D0%BF%D0%B5%D1%81%D0%BD%D1%8F%20%26%20co.flac"
    )


def test_a_url_is_for_one_method_and_key(shared: S3Store, prefix: str) -> None:
    uri = shared.put(f"{prefix}/a+b=c@d", b"x", "text/plain").uri
    shared.put(f"{prefix}/b", b"secret", "text/plain")
    url = shared.sign_get(uri, ttl_s=60, ip=None).url
    assert httpx.put(url, content=b"y").status_code == 403
    assert httpx.get(url.replace("/a%2Bb%3Dc%40d?", "/b?")).status_code == 403
    assert httpx.get(url).content == b"x"


def test_a_url_expires(shared: S3Store, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = shared.put(f"{prefix}/a", b"x", "text/plain").uri
    monkeypatch.setattr(
        "botocore.auth.get_current_datetime", lambda: servers.minutes_ago(2), raising=True
    )
    assert httpx.get(shared.sign_get(uri, ttl_s=180, ip=None).url).status_code == 200
    assert httpx.get(shared.sign_get(uri, ttl_s=60, ip=None).url).status_code == 403


def test_a_reported_address_is_signed_and_harmless(address: Mapping[str, str], prefix: str) -> None:
    store = servers.store(address, ip_binding="report")
    uri = store.put(f"{prefix}/a", b"x", "text/plain").uri
    url = store.sign_get(uri, ttl_s=60, ip="::ffff:192.0.2.1").url
    assert "x-melisma-address=192.0.2.1" in url
    assert httpx.get(url).content == b"x"
    assert httpx.get(url.replace("192.0.2.1", "192.0.2.2")).status_code == 403


def test_clients_may_know_the_server_by_another_name(
    address: Mapping[str, str], prefix: str
) -> None:
    public = address["S3_ENDPOINT"].replace("127.0.0.1", "localhost")
    store = servers.store(address, s3_public_endpoint=public)
    uri = store.put(f"{prefix}/a", b"x", "text/plain").uri
    url = store.sign_get(uri, ttl_s=60, ip=None).url
    assert url.startswith(public)
    assert httpx.get(url).content == b"x"


# -- what operators get wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"s3_endpoint": "http://127.0.0.1:1"}, "S3_ENDPOINT"),
        ({"s3_endpoint": "no address"}, "S3_ENDPOINT"),
        ({"s3_access_key": "nobody"}, "S3_ACCESS_KEY and S3_SECRET_KEY"),
        ({"s3_secret_key": "wrong-secret"}, "S3_ACCESS_KEY and S3_SECRET_KEY"),
        ({"s3_bucket": "nothing-here"}, "S3_BUCKET"),
    ],
)
def test_wrong_settings_are_named(
    address: Mapping[str, str], prefix: str, wrong: dict[str, Any], names: str
) -> None:
    with pytest.raises(ArtifactError, match=names) as checked:
        servers.store(address, s3_attempts=1, **wrong).check()
    with pytest.raises(ArtifactError, match=names):
        servers.store(address, s3_attempts=1, **wrong).put(f"{prefix}/a", b"x", "text/plain")
    with pytest.raises(ArtifactError, match=names):
        servers.store(address, s3_attempts=1, **wrong).put_if_absent(f"{prefix}/a", b"x", "a/b")
    assert "wrong-secret" not in str(checked.value)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_off_is_named(
    shared: S3Store, prefix: str, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = shared.put(f"{prefix}/a", b"x", "text/plain").uri
    true = get_current_datetime

    def wrong(remove_tzinfo: bool = True) -> datetime:  # as botocore has it
        return true(remove_tzinfo) + timedelta(hours=hours)

    for module in ("botocore.auth", "topics.artifacts.s3_client"):
        monkeypatch.setattr(f"{module}.get_current_datetime", wrong)
    for ask in (
        shared.check,
        lambda: shared.put(f"{prefix}/b", b"x", "text/plain"),
        lambda: shared.read(uri),
        lambda: shared.stat(uri),  # a HEAD: refused without a word
    ):
        with pytest.raises(ArtifactError, match=r"clock .* differ too much .* set the clock"):
            ask()
    monkeypatch.undo()
    assert shared.read(uri) == b"x"


def test_a_bucket_is_made_once(address: Mapping[str, str]) -> None:
    store = servers.store(address, s3_bucket="made-by-a-test")
    assert make_bucket(store)
    assert not make_bucket(store)
    store.check()


def test_a_server_without_cors_rules_says_what_to_do(shared: S3Store) -> None:
    with pytest.raises(ArtifactError, match=r"s3proxy\.cors-allow-origins"):
        allow_origins(shared, ["https://app.example"])


def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    with Stack(tmp_path, services=["s3"]) as stack:
        store = servers.store(
            {n: v for n, v in stack.addresses.items() if n.startswith("S3_")}, s3_attempts=2
        )
        upload = store.begin_upload("a/song", "audio/wav")
        tag = ArtifactContract.put_part(store, servers.put, "a/song", upload, 1, b"song")
        store.put("a/kept", b"kept", "text/plain")
        stack.kill9("s3")
        for ask in (
            store.check,
            lambda: store.put("a/kept", b"other", "text/plain"),
            lambda: store.put_if_absent("a/once", b"x", "text/plain"),
            lambda: store.read(store.uri("a/kept")),
            lambda: store.parts("a/song", upload),
            lambda: store.complete_upload("a/song", upload, [tag]),
        ):
            with pytest.raises(ArtifactError, match=r"does not answer.*S3_ENDPOINT") as raised:
                ask()
            assert not isinstance(raised.value, ArtifactMissing)
        stack.restart("s3")
        assert store.read(store.uri("a/kept")) == b"kept"
        assert store.complete_upload("a/song", upload, [tag]).bytes == 4
        store.check()
