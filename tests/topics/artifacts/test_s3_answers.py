"""What the store makes of a server's answers: refusals, lost answers, cut connections."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError, SSLError

from tests.topics.artifacts import servers
from tests.topics.artifacts.test_s3_signing import MINE
from topics.artifacts import ArtifactError, ArtifactMissing, StoreFull, UploadInvalid
from topics.artifacts.s3 import S3Store

DATA = bytes(range(256)) * 40_000  # 10 MB: several chunks
ETAG = '"0123"'


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Any",
    )


class Body:
    """An answer's body that breaks off after some bytes."""

    def __init__(self, data: bytes, breaks_after: int | None) -> None:
        self.data, self.breaks_after = data, breaks_after

    def iter_chunks(self, size: int) -> Any:
        given = self.data if self.breaks_after is None else self.data[: self.breaks_after]
        yield from (given[at : at + size] for at in range(0, len(given), size))
        if self.breaks_after is not None:
            raise ReadTimeoutError(endpoint_url="http://s3.test")

    def close(self) -> None:
        self.data = b""


class Server:
    """Stands in for the client: answers from a list, in order; exceptions are raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**given: Any) -> Any:
            self.asked.append((operation, given))
            answer = self.answers.pop(0)
            if callable(answer):
                answer = answer(given)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def store_on(server: Server, **more: Any) -> S3Store:
    store = servers.store(MINE, s3_conditional_writes="on", **more)
    store._objects._client = cast(Any, server)
    return store


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (refusal("AccessDenied", 403), "S3_ACCESS_KEY and S3_SECRET_KEY"),
        (refusal("403", 403), "S3_ACCESS_KEY and S3_SECRET_KEY"),
        (refusal("NoSuchBucket", 404), "no bucket 'songs'.*S3_BUCKET"),
        (refusal("RequestTimeTooSkewed", 403), "set the clock"),
        (refusal("AuthorizationHeaderMalformed"), "'us-east-1'.*S3_REGION"),
        (refusal("SlowDown", 503), "SlowDown"),
        (SSLError(endpoint_url="https://s3.test", error=OSError("x")), "S3_CA_FILE"),
        (ReadTimeoutError(endpoint_url="https://s3.test"), "http://s3.test:9000 does not answer"),
    ],
)
def test_errors_name_what_to_look_at(error: Exception, says: str) -> None:
    with pytest.raises(ArtifactError, match=says) as raised:
        store_on(Server(error)).put("a", b"x", "text/plain")
    assert not isinstance(raised.value, StoreFull | ArtifactMissing)


@pytest.mark.parametrize(
    "error", [refusal("XMinioStorageFull", 507), refusal("QuotaExceeded"), refusal("Other", 507)]
)
def test_a_full_store_is_told_apart(error: Exception) -> None:
    with pytest.raises(StoreFull, match="full"):
        store_on(Server(error)).put("a", b"x", "text/plain")


def test_a_password_in_the_address_is_not_repeated() -> None:
    server = Server(ReadTimeoutError(endpoint_url="https://s3.test"))
    store = store_on(server, s3_endpoint="http://user:hush@s3.test:9000")
    with pytest.raises(ArtifactError) as raised:
        store.put("a", b"x", "text/plain")
    assert "hush" not in str(raised.value)
    assert "http://s3.test:9000" in str(raised.value)


# -- put_if_absent -----------------------------------------------------------------------------


def test_a_write_whose_answer_was_lost_is_known_for_ours() -> None:
    written: dict[str, str] = {}

    def lost(given: dict[str, Any]) -> Exception:
        written.update(given["Metadata"])
        return refusal("PreconditionFailed", 412)  # of the client's own second try

    server = Server(lost, lambda _: {"Metadata": written})
    assert store_on(server).put_if_absent("a", b"x", "text/plain")


def test_a_taken_key_is_somebody_elses() -> None:
    taken = refusal("PreconditionFailed", 412)
    assert not store_on(Server(taken, {"Metadata": {"writer": "other"}})).put_if_absent(
        "a", b"x", "text/plain"
    )
    assert not store_on(Server(taken, refusal("404", 404))).put_if_absent("a", b"x", "text/plain")


def test_a_conflict_is_tried_again() -> None:
    conflict = refusal("ConditionalRequestConflict", 409)
    assert store_on(Server(conflict, conflict, {})).put_if_absent("a", b"x", "text/plain")
    with pytest.raises(ArtifactError, match="kept writing"):
        store_on(Server(*[conflict] * 10)).put_if_absent("a", b"x", "text/plain")


@pytest.mark.parametrize(
    ("answers", "keeps"),
    [
        ([{}, refusal("PreconditionFailed", 412)], True),  # the note was not there yet
        ([refusal("PreconditionFailed", 412)], True),
        ([{}, {}], False),  # it ignores the condition
        ([refusal("NotImplemented", 501)], False),
    ],
)
def test_whether_conditions_are_kept_is_tried_once(answers: list[Any], keeps: bool) -> None:
    store = servers.store(MINE)
    store._objects._client = cast(Any, Server(*answers))
    assert [store._objects.has_conditional_writes() for _ in range(2)] == [keeps] * 2


# -- downloads that break ----------------------------------------------------------------------


def part_of(given: dict[str, Any], breaks_after: int | None) -> dict[str, Any]:
    start = int(given.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
    assert start == 0 or given["IfMatch"] == ETAG
    rest = DATA[start:]
    return {"ETag": ETAG, "ContentLength": len(rest), "Body": Body(rest, breaks_after)}


def test_a_broken_download_goes_on_where_it_broke(tmp_path: Path) -> None:
    cuts: list[int | None] = [0, 3_000_000, 1, 0, 0, 2_500_000, None]
    server = Server(*(lambda given, cut=cut: part_of(given, cut) for cut in cuts))
    target = tmp_path / "copy"
    digest = store_on(server).fetch("s3://songs/a", target)
    assert digest == hashlib.sha256(DATA).hexdigest()
    assert target.read_bytes() == DATA
    starts = [given.get("Range") for _, given in server.asked]
    assert starts[-1] == "bytes=5500001-"


def test_a_download_that_gets_nowhere_ends_and_leaves_nothing(tmp_path: Path) -> None:
    cuts = [1_000_000, *[0] * 6]
    server = Server(*(lambda given, cut=cut: part_of(given, cut) for cut in cuts))
    with pytest.raises(ArtifactError, match="does not answer"):
        store_on(server).fetch("s3://songs/a", tmp_path / "copy")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_an_object_replaced_meanwhile_is_not_mixed(tmp_path: Path) -> None:
    server = Server(lambda given: part_of(given, 1_000_000), refusal("PreconditionFailed", 412))
    with pytest.raises(ArtifactError, match="PreconditionFailed"):
        store_on(server).fetch("s3://songs/a", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


# -- completions that race ---------------------------------------------------------------------


@pytest.mark.parametrize(("nonce", "mine"), [("n1", True), ("n2", False)])
def test_parts_that_a_faster_completion_took_are_no_mistake(
    nonce: str, mine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = {"Metadata": {"upload": nonce}, "ContentLength": 3, "ContentType": "audio/wav"}
    store = store_on(Server(head, head))

    def refuse(*given: object) -> None:
        raise UploadInvalid("parts 1 were not received")

    monkeypatch.setattr(store._uploads, "_join", refuse)
    if mine:
        assert store.complete_upload("song", "n1:id", [(1, "e")]).bytes == 3
    else:
        with pytest.raises(UploadInvalid, match="parts 1"):
            store.complete_upload("song", "n1:id", [(1, "e")])
