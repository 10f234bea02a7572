from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.client import Backoff, Client, NotInTime, Refused, Unreachable
from gateway.server import serve
from tests.gateway.house import WAV, House, settings


class Live:
    """A gateway on a socket and a client of it that sleeps by moving on."""

    def __init__(self, folder: Path) -> None:
        self.house = House(folder, settings=settings(part_size=5 * 1024 * 1024))
        self.server = serve(self.house.services, port=0)
        self.house.base_url = self.server.url
        self.slept: list[float] = []
        self.on_sleep: Any = lambda: None
        self.now = 0.0
        self.client = Client(
            self.server.url, sleep=self._sleep, clock=lambda: self.now, jitter=lambda: 0.5
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.on_sleep()

    def close(self) -> None:
        self.client.close()
        self.server.stop()
        self.house.close()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    built = Live(tmp_path / "house")
    yield built
    built.close()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    path.write_bytes(WAV + bytes(range(256)) * 4 * 6000)  # 6.1 MB: two parts
    return path


def test_a_song_goes_in_and_karaoke_comes_out(live: Live, song: Path, tmp_path: Path) -> None:
    sent: list[tuple[int, int]] = []
    asset = live.client.upload(song, progress=lambda done, total: sent.append((done, total)))
    size = song.stat().st_size
    assert sent == [(5 * 1024 * 1024, size), (size, size)]
    kept = live.house.reservations.asset("default", asset)
    assert kept is not None
    assert kept.artifact.sha256 == hashlib.sha256(song.read_bytes()).hexdigest()

    made = live.client.import_track(asset, lyrics="Twinkle twinkle\nlittle star", language="en")
    seen: list[str] = []
    live.on_sleep = lambda: live.house.publish(made["jobId"])
    ready = live.client.wait_until_ready(
        made["trackId"], timeout_s=60, progress=lambda problem: seen.append(problem["state"])
    )
    live.on_sleep = lambda: None
    assert seen == ["queued"]
    assert ready["version"] == 1
    job = live.client.wait_for_job(made["jobId"], timeout_s=60)
    assert job["state"] == "succeeded"
    target = tmp_path / "minus.flac"
    live.client.download(ready["minusUrl"], target)
    assert target.read_bytes() == b"minus" * 100
    assert "Twinkle" in live.client.lyrics(made["trackId"], format="lrc")

    draft = live.client.edit_lyrics(made["trackId"], version=1, lyrics="la la", align=True)
    live.house.publish(draft["jobId"])
    back = live.client.roll_back(made["trackId"], 1)
    live.house.publish(back["jobId"])
    again = live.client.reprocess(made["trackId"], ["align"])
    assert live.client.cancel(again["jobId"], "enough")["state"] == "canceled"
    assert [v["version"] for v in live.client.versions(made["trackId"])["versions"]] == [1, 2, 3]
    assert live.client.track(made["trackId"])["version"] == 3


def test_a_refusal_is_raised_with_its_words(live: Live) -> None:
    with pytest.raises(Refused, match=r"no asset 'ast_x'.*Upload the song") as refused:
        live.client.import_track("ast_x")
    assert (refused.value.code, refused.value.status) == ("asset_not_found", 404)
    assert len(refused.value.trace_id) == 32


def test_waiting_ends(live: Live) -> None:
    made = live.house.imported()
    with pytest.raises(NotInTime):
        live.client.wait_for_job(made["jobId"], timeout_s=5)
    with pytest.raises(NotInTime, match="is not ready"):
        live.client.wait_until_ready(made["trackId"], timeout_s=5)
    assert live.slept[:3] == sorted(live.slept[:3])
    live.house.fail(made["jobId"])
    with pytest.raises(Refused, match="no singing was found"):
        live.client.wait_until_ready(made["trackId"], timeout_s=5)
    assert live.client.retry(made["jobId"])["attempt"] == 2


def test_expired_part_urls_are_signed_again(live: Live, song: Path) -> None:
    def expire(done: int, total: int) -> None:
        live.house.clock.forward(1000)

    assert live.client.upload(song, progress=expire).startswith("ast_")


def test_a_gateway_that_is_away_is_asked_again(live: Live, tmp_path: Path) -> None:
    live.house.imported()
    port = live.server.port
    live.server.stop()
    restarted: list[Any] = []

    def restart() -> None:
        if len(live.slept) == 2:
            # what the first server closed for good, the next one has anew
            fresh = House(tmp_path / "second")
            restarted.append((fresh, serve(fresh.services, port=port)))

    live.on_sleep = restart
    try:
        assert live.client.jobs() == {"jobs": []}
        assert len(live.slept) == 2
    finally:
        for fresh, server in restarted:
            server.stop()
            fresh.close()


def test_a_gateway_that_stays_away_is_given_up(live: Live) -> None:
    live.server.stop()
    with pytest.raises(Unreachable, match="no answer to GET /v1/jobs"):
        live.client.jobs()
    assert sum(live.slept) <= Backoff().give_up_after_s


def test_pauses_grow_to_their_limit() -> None:
    pauses = Backoff(1, 2, 5).pauses(lambda: 0.5)
    assert [next(pauses) for _ in range(5)] == [1, 2, 4, 5, 5]


def test_a_broken_download_is_resumed(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    asked: list[str | None] = []

    class Breaking(httpx.SyncByteStream):
        def __init__(self, body: bytes, breaks: bool) -> None:
            self._body, self._breaks = body, breaks

        def __iter__(self) -> Iterator[bytes]:
            if self._breaks:
                yield self._body[:1000]
                raise httpx.ReadError("cut")
            yield self._body

    def answer(request: httpx.Request) -> httpx.Response:
        given = request.headers.get("Range")
        asked.append(given)
        begin = int(given.removeprefix("bytes=").removesuffix("-")) if given else 0
        status = 206 if given else 200
        body = data[begin:]
        headers = {"Content-Length": str(len(body))}
        return httpx.Response(status, headers=headers, stream=Breaking(body, len(asked) < 3))

    client = Client("http://gateway.test", sleep=lambda seconds: None)
    client._calls.http = httpx.Client(transport=httpx.MockTransport(answer))
    target = tmp_path / "minus.flac"
    client.download("http://gateway.test/minus", target)
    client.close()
    assert target.read_bytes() == data
    assert asked == [None, "bytes=1000-", "bytes=2000-"]
    assert list(tmp_path.iterdir()) == [target]
