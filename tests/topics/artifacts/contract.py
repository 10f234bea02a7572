"""What every artifact store keeps: one suite, run over each implementation.

A subclass gives ``store`` and ``receive``, which sends bytes to a presigned PUT URL the way a
client would. Keys are unique to a test, so that a shared bucket will do.
"""

from __future__ import annotations

import hashlib
import io
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from topics.artifacts import (
    ArtifactCorrupt,
    ArtifactError,
    ArtifactMissing,
    ArtifactStore,
    New,
    SignedUrl,
    UploadInvalid,
)

PART_BYTES = 5 * 2**20  # S3's least, for all parts but the last

Receive = Callable[[SignedUrl, bytes], str]
"""PUT the bytes to the URL and return the ETag of the answer."""


class ArtifactContract:
    """The suite. Subclass it and give ``store`` and ``receive``."""

    @pytest.fixture
    def store(self) -> ArtifactStore:
        raise NotImplementedError

    @pytest.fixture
    def receive(self) -> Receive:
        raise NotImplementedError

    @pytest.fixture
    def prefix(self) -> str:
        return f"tests/{uuid.uuid4().hex}"

    # -- objects -------------------------------------------------------------------------------

    def test_every_kind_of_source_comes_back(
        self, store: ArtifactStore, prefix: str, tmp_path: Path
    ) -> None:
        data = bytes(range(256)) * 9000  # more than a chunk, and no multiple of one
        file = tmp_path / "source"
        file.write_bytes(data)
        sources: dict[str, bytes | Path | BinaryIO] = {
            "bytes": data,
            "path": file,
            "stream": io.BytesIO(data),
        }
        for name, source in sources.items():
            key = f"{prefix}/{name}"
            stored = store.put(key, source, "audio/flac")
            assert stored.uri == store.uri(key)
            assert (stored.bytes, stored.media_type) == (len(data), "audio/flac")
            assert stored.sha256 == hashlib.sha256(data).hexdigest()
            assert store.read(stored.uri) == data
            found = store.stat(stored.uri)
            assert (found.uri, found.bytes, found.media_type) == (
                stored.uri, len(data), "audio/flac"
            )  # fmt: skip

    def test_several_are_written_as_one_after_the_other(
        self, store: ArtifactStore, prefix: str, tmp_path: Path
    ) -> None:
        file = tmp_path / "source"
        file.write_bytes(b"0123456789" * 200_000)
        store.put(f"{prefix}/a/0", b"older", "audio/wav")
        new = [New(f"{prefix}/a/{n}", b"%d" % n, f"text/x-{n}") for n in range(20)]
        new.append(New(f"{prefix}/b/file", file, "audio/flac"))
        stored = store.put_all(new)
        for (key, source, media_type, _), each in zip(new, stored, strict=True):
            data = source if isinstance(source, bytes) else file.read_bytes()
            assert store.read(store.uri(key)) == data
            assert (each.uri, each.bytes, each.media_type) == (
                store.uri(key), len(data), media_type
            )  # fmt: skip
            assert each.sha256 == hashlib.sha256(data).hexdigest()
            assert store.stat(each.uri).media_type == media_type
        assert sorted(store.keys(f"{prefix}/")) == sorted(each.key for each in new)
        assert list(store.put_all([])) == []

    def test_a_given_file_is_stored_as_any_other(
        self, store: ArtifactStore, prefix: str, tmp_path: Path
    ) -> None:
        made, link = tmp_path / "made", tmp_path / "link"
        link.symlink_to(made)
        uri = store.uri(f"{prefix}/made")
        store.put(f"{prefix}/made", b"older", "audio/wav")
        for source, data in ((made, b"01234567" * 200_000), (link, b"89"), (made, b"")):
            made.write_bytes(data)
            (stored,) = store.put_all([New(f"{prefix}/made", source, "audio/flac", given=True)])
            assert store.read(uri) == data
            assert stored.sha256 == hashlib.sha256(data).hexdigest()
            assert store.stat(uri).media_type == "audio/flac"
            made.write_bytes(b"its name, used again")
            assert store.read(uri) == data
        (bare,) = store.put_all([New(f"{prefix}/bare", b"x", "text/plain", given=True)])
        assert store.read(bare.uri) == b"x"
        missing = New(f"{prefix}/made", tmp_path / "missing", "audio/flac", given=True)
        with pytest.raises(FileNotFoundError):
            store.put_all([missing])
        assert store.read(uri) == b""

    def test_the_same_several_from_many_threads_are_whole(
        self, store: ArtifactStore, prefix: str
    ) -> None:
        keys = [f"{prefix}/{n}" for n in range(8)]

        def write(who: int) -> None:
            in_their_order = keys if who % 2 else keys[::-1]
            store.put_all([New(key, b"%d" % who * 50_000, "text/plain") for key in in_their_order])

        threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        for key in keys:
            found = store.stat(store.uri(key))
            data = store.read(found.uri)
            assert data in [b"%d" % who * 50_000 for who in range(4)]
            assert found.sha256 in (None, hashlib.sha256(data).hexdigest())

    def test_an_empty_object_is_one(self, store: ArtifactStore, prefix: str) -> None:
        stored = store.put(f"{prefix}/empty", b"", "text/plain")
        assert store.read(stored.uri) == b""
        assert store.stat(stored.uri).bytes == 0

    def test_put_replaces(self, store: ArtifactStore, prefix: str) -> None:
        store.put(f"{prefix}/a", b"one", "text/plain")
        stored = store.put(f"{prefix}/a", b"other", "application/json")
        assert store.read(stored.uri) == b"other"
        assert store.stat(stored.uri).media_type == "application/json"

    def test_read_stops_at_a_limit(self, store: ArtifactStore, prefix: str) -> None:
        uri = store.put(f"{prefix}/a", b"RIFF....WAVE", "audio/wav").uri
        assert store.read(uri, limit=4) == b"RIFF"
        assert store.read(uri, limit=99) == b"RIFF....WAVE"

    def test_put_if_absent_takes_a_key_once(self, store: ArtifactStore, prefix: str) -> None:
        key = f"{prefix}/manifest.json"
        assert store.put_if_absent(key, b"{}", "application/json")
        assert not store.put_if_absent(key, b"[]", "application/json")
        assert store.read(store.uri(key)) == b"{}"
        assert store.stat(store.uri(key)).media_type == "application/json"

    def test_one_of_many_racers_wins(self, store: ArtifactStore, prefix: str) -> None:
        start = threading.Barrier(8)
        won: list[bytes] = []

        def race(who: int) -> None:
            mine = f"racer {who}".encode()
            start.wait()
            if store.put_if_absent(f"{prefix}/prize", mine, "text/plain"):
                won.append(mine)

        racers = [threading.Thread(target=race, args=(who,)) for who in range(8)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert won == [store.read(store.uri(f"{prefix}/prize"))]

    def test_fetch_copies_and_checks(
        self, store: ArtifactStore, prefix: str, tmp_path: Path
    ) -> None:
        stored = store.put(f"{prefix}/a", b"bytes", "text/plain")
        target = tmp_path / "work" / "copy"
        assert store.fetch(stored.uri, target) == hashlib.sha256(b"bytes").hexdigest()
        assert store.fetch(stored.uri, target, sha256=stored.sha256) == stored.sha256
        assert target.read_bytes() == b"bytes"
        refused = tmp_path / "refused"
        with pytest.raises(ArtifactCorrupt, match="sha256"):
            store.fetch(stored.uri, refused, sha256="0" * 64)
        assert not refused.exists()
        assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["copy"]

    def test_what_is_missing_is_named(
        self, store: ArtifactStore, prefix: str, tmp_path: Path
    ) -> None:
        uri = store.uri(f"{prefix}/missing")
        for ask in (
            lambda: store.read(uri),
            lambda: store.stat(uri),
            lambda: store.fetch(uri, tmp_path / "target"),
        ):
            with pytest.raises(ArtifactMissing, match="missing"):
                ask()
        assert list(tmp_path.iterdir()) == []
        store.delete(uri)

    def test_delete_removes(self, store: ArtifactStore, prefix: str) -> None:
        uri = store.put(f"{prefix}/a", b"x", "text/plain").uri
        store.delete(uri)
        with pytest.raises(ArtifactMissing):
            store.stat(uri)
        assert store.put_if_absent(f"{prefix}/a", b"y", "text/plain")

    def test_keys_are_listed_in_order_by_prefix(self, store: ArtifactStore, prefix: str) -> None:
        written = {f"{prefix}/{name}" for name in ("b/2", "b/10", "a", "b-1", "bc/x", "B/1")}
        for key in written:
            store.put(key, b"x", "text/plain")
        assert list(store.keys(prefix)) == sorted(written)
        assert list(store.keys(f"{prefix}/b/")) == [f"{prefix}/b/10", f"{prefix}/b/2"]
        assert set(store.keys(f"{prefix}/b")) == {k for k in written if k[len(prefix) + 1] == "b"}
        assert list(store.keys(f"{prefix}/none")) == []

    def test_keys_that_differ_in_case_are_two(self, store: ArtifactStore, prefix: str) -> None:
        upper = store.put(f"{prefix}/Song.WAV", b"upper", "audio/wav").uri
        lower = store.put(f"{prefix}/song.wav", b"lower", "audio/wav").uri
        assert [store.read(upper), store.read(lower)] == [b"upper", b"lower"]

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "/etc/passwd",
            "a/../b",
            "..",
            ".",
            "a//b",
            "a/",
            "a\\b",
            "a\nb",
            "a\0b",
            "a b?c",
            ".x",
        ],
    )
    def test_what_cannot_be_a_key_is_refused(self, store: ArtifactStore, key: str) -> None:
        with pytest.raises(ArtifactError):
            store.put(key, b"x", "text/plain")
        with pytest.raises(ArtifactError):
            store.begin_upload(key, "text/plain")

    @pytest.mark.parametrize("uri", ["file:///etc/passwd", "/etc/passwd", "other://bucket/a", ""])
    def test_uris_of_elsewhere_are_refused(self, store: ArtifactStore, uri: str) -> None:
        with pytest.raises(ArtifactError):
            store.read(uri)

    # -- multipart uploads ---------------------------------------------------------------------

    @staticmethod
    def put_part(
        store: ArtifactStore, receive: Receive, key: str, upload: str, number: int, data: bytes
    ) -> tuple[int, str]:
        url = store.sign_part(
            key, upload, number, ttl_s=60, ip="127.0.0.1", max_bytes=len(data) or 1
        )
        return number, receive(url, data)

    def test_parts_become_the_object(
        self, store: ArtifactStore, receive: Receive, prefix: str
    ) -> None:
        key = f"{prefix}/song"
        upload = store.begin_upload(key, "audio/wav")
        assert list(store.parts(key, upload)) == []
        first, last = b"a" * PART_BYTES, b"z" * 1000
        tags = [self.put_part(store, receive, key, upload, 2, last)]
        tags.insert(0, self.put_part(store, receive, key, upload, 1, first))
        received = store.parts(key, upload)
        assert [(p.number, p.bytes) for p in received] == [(1, PART_BYTES), (2, 1000)]
        assert [p.etag for p in received] == [etag.strip('"') for _, etag in tags]
        with pytest.raises(ArtifactMissing):
            store.stat(store.uri(key))
        stored = store.complete_upload(key, upload, tags)
        assert (stored.uri, stored.bytes) == (store.uri(key), PART_BYTES + 1000)
        assert store.read(stored.uri) == first + last
        assert store.stat(stored.uri).media_type == "audio/wav"
        # The client did not get the answer and asks again, with the ETags as the list has them.
        again = store.complete_upload(key, upload, [(p.number, p.etag) for p in received])
        assert (again.uri, again.bytes) == (stored.uri, stored.bytes)

    def test_a_part_may_have_any_size_up_to_a_limit(
        self, store: ArtifactStore, receive: Receive, prefix: str
    ) -> None:
        key = f"{prefix}/song"
        upload = store.begin_upload(key, "audio/wav")
        url = store.sign_part(
            key, upload, 1, ttl_s=60, ip="127.0.0.1", max_bytes=PART_BYTES, exact=False
        )
        tag = receive(url, b"nobody knew how long")
        assert store.complete_upload(key, upload, [(1, tag)]).bytes == 20

    def test_a_part_may_be_sent_again(
        self, store: ArtifactStore, receive: Receive, prefix: str
    ) -> None:
        key = f"{prefix}/song"
        upload = store.begin_upload(key, "audio/wav")
        old = self.put_part(store, receive, key, upload, 1, b"old")
        new = self.put_part(store, receive, key, upload, 1, b"newer")
        assert [(p.number, p.bytes) for p in store.parts(key, upload)] == [(1, 5)]
        with pytest.raises(UploadInvalid):
            store.complete_upload(key, upload, [old])
        assert store.complete_upload(key, upload, [new]).bytes == 5

    def test_wrong_part_lists_are_refused(
        self, store: ArtifactStore, receive: Receive, prefix: str
    ) -> None:
        key = f"{prefix}/song"
        upload = store.begin_upload(key, "audio/wav")
        one = self.put_part(store, receive, key, upload, 1, b"1" * PART_BYTES)
        two = self.put_part(store, receive, key, upload, 2, b"2")
        for wrong in ([], [one, (3, two[1])], [two, one], [one, one], [one, (2, "0" * 32)]):
            with pytest.raises(UploadInvalid):
                store.complete_upload(key, upload, wrong)
        assert store.complete_upload(key, upload, [one, two]).bytes == PART_BYTES + 1

    def test_an_aborted_upload_is_gone(
        self, store: ArtifactStore, receive: Receive, prefix: str
    ) -> None:
        key = f"{prefix}/song"
        upload = store.begin_upload(key, "audio/wav")
        tag = self.put_part(store, receive, key, upload, 1, b"x")
        store.abort_upload(key, upload)
        store.abort_upload(key, upload)
        with pytest.raises(ArtifactMissing):
            store.parts(key, upload)
        with pytest.raises(ArtifactError):
            store.complete_upload(key, upload, [tag])
        with pytest.raises(ArtifactMissing):
            store.stat(store.uri(key))

    def test_unknown_uploads_are_missing(self, store: ArtifactStore, prefix: str) -> None:
        for upload in ("0" * 32, "../../etc", ""):
            with pytest.raises(ArtifactMissing):
                store.parts(f"{prefix}/song", upload)

    def test_check_passes_where_all_is_well(self, store: ArtifactStore) -> None:
        store.check()
