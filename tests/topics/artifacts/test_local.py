"""The store in a folder: the contract, then deaths, full disks and parts that don't end."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.topics.artifacts.contract import ArtifactContract, Receive
from tests.topics.artifacts.stores import HERE, Clock, make, request, send
from topics.artifacts import (
    ArtifactError,
    ArtifactMissing,
    LocalStore,
    New,
    PartTooLarge,
    StoreFull,
    files,
)
from topics.artifacts.serving import receive_part


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def local(tmp_path: Path, clock: Clock) -> LocalStore:
    return make(tmp_path / "store", clock)


class TestLocal(ArtifactContract):
    @pytest.fixture
    def store(self, tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
        return make(tmp_path_factory.mktemp("store"), Clock())

    @pytest.fixture
    def receive(self, store: LocalStore) -> Receive:
        return lambda url, data: send(store, url.url, data)


def left_behind(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


# -- objects on disk -------------------------------------------------------------------------


def test_a_store_elsewhere_reads_the_same_uris(tmp_path: Path, clock: Clock) -> None:
    uri = make(tmp_path / "a", clock).put("results/x/stem.flac", b"x", "audio/flac").uri
    assert uri == "local:///results/x/stem.flac"
    (tmp_path / "a").rename(tmp_path / "b")
    assert make(tmp_path / "b", clock).read(uri) == b"x"


def test_stat_knows_the_digest(local: LocalStore) -> None:
    stored = local.put("a", b"x", "text/plain")
    assert local.stat(stored.uri) == stored


def test_an_object_without_its_description_is_whole(local: LocalStore) -> None:
    uri = local.put("results/cover.png", b"x", "image/x-own").uri
    (name,) = os.listxattr(local.path(uri))
    os.removexattr(local.path(uri), name)
    stored = local.stat(uri)
    assert (stored.media_type, stored.bytes, stored.sha256) == ("image/png", 1, None)


@pytest.mark.parametrize("torn", [b"", b'{"mediaType": "ima'])
def test_a_description_that_a_power_cut_tore_is_none(local: LocalStore, torn: bytes) -> None:
    uri = local.put("results/cover.png", b"x", "image/x-own").uri
    (name,) = os.listxattr(local.path(uri))
    os.setxattr(local.path(uri), name, torn)
    stored = local.stat(uri)
    assert (stored.media_type, stored.bytes, stored.sha256) == ("image/png", 1, None)


def test_a_file_system_may_keep_no_attributes(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", unsupported)
    uri = local.put("results/cover.png", b"x", "image/x-own").uri
    assert local.put_if_absent("results/words.txt", b"y", "text/x-own")
    assert local.stat(uri).media_type == "image/png"
    monkeypatch.setattr(os, "getxattr", unsupported)
    assert local.stat(uri).media_type == "image/png"


def test_a_given_file_is_moved(local: LocalStore, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"x" * 5000)
    inode = made.stat().st_ino
    (stored,) = local.put_all([New("made", made, "audio/flac", given=True)])
    assert local.path(stored.uri).stat().st_ino == inode
    assert not made.exists()


def test_a_given_file_with_another_name_is_copied(local: LocalStore, tmp_path: Path) -> None:
    made, other = tmp_path / "made", tmp_path / "other"
    made.write_bytes(b"x" * 5000)
    other.hardlink_to(made)
    (stored,) = local.put_all([New("made", made, "audio/flac", given=True)])
    other.write_bytes(b"changed")
    assert local.read(stored.uri) == b"x" * 5000


def test_a_given_file_on_another_disk_is_copied(
    local: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made"
    made.write_bytes(b"x" * 5000)
    rename = Path.rename

    def elsewhere(path: Path, target: Path) -> Path:
        if path == made:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", elsewhere)
    (stored,) = local.put_all([New("made", made, "audio/flac", given=True)])
    assert local.read(stored.uri) == made.read_bytes()


def test_a_given_file_that_cannot_be_moved_is_still_there(
    local: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    made = tmp_path / "made"
    made.write_bytes(b"x" * 5000)
    monkeypatch.setattr(os, "fchmod", refused)
    (stored,) = local.put_all([New("made", made, "audio/flac", given=True)])
    assert local.read(stored.uri) == made.read_bytes()


def test_no_room_for_a_description_is_a_full_disk(
    tmp_path: Path, local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = left_behind(tmp_path / "store")
    monkeypatch.setattr(os, "setxattr", full)
    with pytest.raises(StoreFull, match="free disk space"):
        local.put("cover.png", b"x", "image/png")
    assert left_behind(tmp_path / "store") == before


def test_a_key_under_an_object_is_refused(local: LocalStore) -> None:
    local.put("a/b", b"x", "text/plain")
    with pytest.raises(ArtifactError, match="object itself"):
        local.put("a/b/c", b"x", "text/plain")
    with pytest.raises(ArtifactError, match="other keys"):
        local.put("a", b"x", "text/plain")
    with pytest.raises(ArtifactMissing):
        local.stat("local:///a")
    local.put("a/b.json/c", b"y", "text/plain")
    assert local.stat("local:///a/b").bytes == 1


def test_a_key_as_long_as_a_file_name_may_be(local: LocalStore) -> None:
    assert local.read(local.put("k" * 240, b"x", "text/plain").uri) == b"x"
    with pytest.raises(ArtifactError):
        local.put("K" * 121, b"x", "text/plain")


class Disk:
    """A disk with room for so many bytes, which takes them in short writes."""

    def __init__(self) -> None:
        self.room = 2**40

    def write_some(self, fd: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = os.write(fd, data[: min(self.room, 700)])
        self.room -= written
        return written


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(files, "write_some", disk.write_some)
    return disk


@pytest.mark.parametrize("room", [0, 1000])
def test_a_full_disk_keeps_nothing_and_says_so(
    tmp_path: Path, local: LocalStore, disk: Disk, room: int
) -> None:
    kept = local.put("kept", b"k" * 5000, "text/plain")
    upload = local.begin_upload("song", "audio/wav")
    url = local.sign_part("song", upload, 1, ttl_s=60, ip=HERE, max_bytes=5000).url
    tag = send(local, url, b"p" * 2000)
    source = tmp_path / "source"
    source.write_bytes(b"s" * 5000)
    before = left_behind(tmp_path / "store")
    for attempt in (
        lambda: local.put("kept", b"n" * 5000, "text/plain"),
        lambda: local.put("other", source, "text/plain"),
        lambda: local.put_if_absent("other", b"n" * 5000, "text/plain"),
        lambda: local.complete_upload("song", upload, [(1, tag)]),
        lambda: (
            local.fetch(kept.uri, tmp_path / "copy") if not room else local.put("o", source, "")
        ),
        lambda: send(local, url, b"q" * 5000),
    ):
        disk.room = room
        with pytest.raises(StoreFull, match="free disk space"):
            attempt()
        assert left_behind(tmp_path / "store") == before
    assert not (tmp_path / "copy").exists()
    assert local.read(kept.uri) == b"k" * 5000
    disk.room = 2**40
    assert local.complete_upload("song", upload, [(1, tag)]).bytes == 2000


def test_check_fails_where_nothing_can_be_written(local: LocalStore, disk: Disk) -> None:
    disk.room = 0
    with pytest.raises(ArtifactError, match="no room"):
        local.check()


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from topics.artifacts import LocalStore
store = LocalStore(Path(sys.argv[1]), secret=b"s" * 32, base_url="")
n = 0
while True:
    store.put("object", bytes([n % 256]) * 3_000_000, "audio/x" + str(n % 256))
    if n == 1:
        print("going", flush=True)
    n += 1
"""


@pytest.mark.faults
def test_a_writer_killed_at_any_moment_leaves_a_whole_object(tmp_path: Path, clock: Clock) -> None:
    store = make(tmp_path / "store", clock)
    for attempt in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"going\n"
            time.sleep(attempt * 0.003)  # a different moment each time
            child.kill()
        data = store.read("local:///object")
        assert len(data) == 3_000_000
        assert len(set(data)) == 1
        stored = store.stat("local:///object")
        assert stored.sha256 == hashlib.sha256(data).hexdigest()
        assert stored.media_type == f"audio/x{data[0]}"
    clock.now_s = 4e9  # long after: what was being written is swept
    store.sweep(3600)
    assert list((tmp_path / "store" / "new").iterdir()) == []


# -- uploads -----------------------------------------------------------------------------------


def test_etags_are_those_of_s3(local: LocalStore) -> None:
    upload = local.begin_upload("song", "audio/wav")
    url = local.sign_part("song", upload, 1, ttl_s=60, ip=HERE, max_bytes=10).url
    assert send(local, url, b"he", b"llo") == f'"{hashlib.md5(b"hello").hexdigest()}"'


def test_a_part_over_its_limit_is_not_kept(tmp_path: Path, local: LocalStore) -> None:
    upload = local.begin_upload("song", "audio/wav")
    url = local.sign_part("song", upload, 1, ttl_s=60, ip=HERE, max_bytes=10).url
    before = left_behind(tmp_path / "store")
    with pytest.raises(PartTooLarge):
        send(local, url, b"123456", b"123456")
    key, pairs = request(url)

    async def never() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""  # type: ignore[unreachable]

    with pytest.raises(PartTooLarge, match="11 bytes"):
        asyncio.run(receive_part(local, key, pairs, HERE, never(), content_length=11))
    assert left_behind(tmp_path / "store") == before
    assert send(local, url, b"1234567890") == f'"{hashlib.md5(b"1234567890").hexdigest()}"'


def test_a_client_that_hangs_up_leaves_nothing(tmp_path: Path, local: LocalStore) -> None:
    upload = local.begin_upload("song", "audio/wav")
    key, pairs = request(local.sign_part("song", upload, 1, ttl_s=9, ip=HERE, max_bytes=9).url)
    before = left_behind(tmp_path / "store")

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(receive_part(local, key, pairs, HERE, broken()))
    assert left_behind(tmp_path / "store") == before


def test_a_part_that_ends_after_the_abort_is_not_kept(tmp_path: Path, local: LocalStore) -> None:
    upload = local.begin_upload("song", "audio/wav")
    writer = local.part_writer("song", upload, 1, None)
    writer.write(b"x")
    local.abort_upload("song", upload)
    with pytest.raises(ArtifactMissing):
        writer.finish()
    assert left_behind(tmp_path / "store") == set()


def test_an_upload_belongs_to_its_key(local: LocalStore) -> None:
    upload = local.begin_upload("song", "audio/wav")
    with pytest.raises(ArtifactMissing):
        local.parts("other", upload)
    local.abort_upload("other", upload)
    assert list(local.parts("song", upload)) == []


def test_stale_uploads_are_listed_and_swept(
    tmp_path: Path, local: LocalStore, clock: Clock
) -> None:
    old = local.begin_upload("old", "audio/wav")
    send(local, local.sign_part("old", old, 1, ttl_s=9, ip=None, max_bytes=9).url, b"x")
    done = local.begin_upload("done", "audio/wav")
    tag = send(local, local.sign_part("done", done, 1, ttl_s=9, ip=None, max_bytes=9).url, b"x")
    local.complete_upload("done", done, [(1, tag)])
    clock.now_s += 3600
    young = local.begin_upload("young", "audio/wav")
    assert local.stale_uploads(1800) == [("old", old)]
    assert local.sweep(1800) == 2
    assert local.stale_uploads(0) == []
    clock.now_s += 1
    assert local.stale_uploads(0) == [("young", young)]
    assert local.read(local.uri("done")) == b"x"
