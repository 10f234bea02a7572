"""The gateway as a server: event streams, held polls, a stop that waits for nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.projection.store import StoreError
from gateway.server import Server, serve
from tests.gateway.house import CLIENT, House, settings

pytestmark = pytest.mark.slow


@pytest.fixture
def server(house: House) -> Iterator[Server]:
    running = serve(house.services, port=0)
    yield running
    running.stop()


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=CLIENT, trust_env=False, timeout=20) as client:
        yield client


class Events:
    """The events of a stream, one at a time."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.iter_lines()

    def next(self) -> tuple[str, dict[str, Any]]:
        """Id and data of the next event; comments are passed over."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line:
                if "data" in fields:
                    return fields["id"], json.loads(fields["data"])
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
        raise EOFError

    def drain(self) -> None:
        """Read to the end. Raises EOFError there."""
        while True:
            self.next()

    def comment(self) -> str:
        return next(line for line in self._lines if line.startswith(":"))


def test_it_listens_on_the_loopback_alone_on_a_port_it_tells(server: Server) -> None:
    assert server.host == "127.0.0.1"
    assert server.port > 0
    assert httpx.get(f"{server.url}/healthz", trust_env=False).json() == {"status": "ok"}


def test_a_taken_port_is_said_so(house: House, server: Server) -> None:
    with pytest.raises(OSError, match=rf"127\.0\.0\.1:{server.port}.*choose another --port"):
        serve(house.services, port=server.port)


def test_a_job_is_followed_to_its_end(house: House, http: httpx.Client) -> None:
    job = house.imported()["jobId"]
    with http.stream("GET", f"/v1/jobs/{job}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["Cache-Control"] == "no-store"
        events = Events(answer)
        _, first = events.next()
        assert first["state"] == "queued"
        house.progress(job, 0.5)
        _, second = events.next()
        assert (second["state"], second["jobId"]) == ("running", job)
        assert second["progress"] > first["progress"]
        house.publish(job)
        last_id, last = events.next()
        while last["state"] != "succeeded":
            last_id, last = events.next()
        with pytest.raises(EOFError):
            events.next()
    again = http.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": last_id})
    assert again.status_code == 204
    other = http.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": "something older"})
    assert '"state":"succeeded"' in other.text


def test_a_track_is_followed_beyond_its_first_version(house: House, http: httpx.Client) -> None:
    accepted = house.imported()
    track = accepted["trackId"]
    with http.stream("GET", f"/v1/tracks/{track}/events?clientId=web") as answer:
        events = Events(answer)
        assert "version" not in events.next()[1]
        house.publish(accepted["jobId"])
        seen = events.next()[1]
        while seen.get("version") != 1:
            seen = events.next()[1]
        house.http.patch(
            f"/v1/tracks/{track}/lyrics", json={"lyrics": "la"}, headers={"If-Match": '"1"'}
        )
        while seen.get("newestVersion") != 2:
            seen = events.next()[1]
        assert [version["state"] for version in seen["versions"]] == ["published", "draft"]


def test_a_silent_stream_is_kept_open_by_comments(tmp_path: Path) -> None:
    house = House(tmp_path, settings=settings(sse_heartbeat_seconds=0.05))
    try:
        job = house.imported()["jobId"]
        with (
            serve(house.services, port=0) as server,
            httpx.Client(base_url=server.url, headers=CLIENT, trust_env=False) as http,
            http.stream("GET", f"/v1/jobs/{job}/events") as answer,
        ):
            assert Events(answer).comment() == ": still here"
    finally:
        house.close()


def test_a_stream_ends_when_the_projection_is_out_of_reach(
    house: House, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = house.imported()["jobId"]
    with http.stream("GET", f"/v1/jobs/{job}/events") as answer:
        events = Events(answer)
        events.next()

        def fail(*args: object) -> None:
            raise StoreError("locked")

        house.progress(job, 0.5)
        monkeypatch.setattr(house.store, "job", fail)
        house.services.changes._wake(-2)
        with pytest.raises(EOFError):
            events.drain()


def test_a_held_poll_is_answered_when_the_version_is_there(
    house: House, http: httpx.Client
) -> None:
    accepted = house.imported()
    answers: list[httpx.Response] = []

    def poll() -> None:
        answers.append(http.get(f"/v1/tracks/{accepted['trackId']}/ready?wait=30"))

    waiting = threading.Thread(target=poll)
    waiting.start()
    house.publish(accepted["jobId"])
    waiting.join(20)
    assert [answer.status_code for answer in answers] == [200]


def test_many_streams_leave_the_threads_to_others(house: House, server: Server) -> None:
    job = house.imported()["jobId"]
    limits = httpx.Limits(max_connections=100)
    with httpx.Client(
        base_url=server.url, headers=CLIENT, trust_env=False, timeout=20, limits=limits
    ) as http:
        streams = [http.stream("GET", f"/v1/jobs/{job}/events") for _ in range(60)]
        opened = [stream.__enter__() for stream in streams]
        events = [Events(answer) for answer in opened]
        for each in events:
            each.next()
        assert http.get(f"/v1/jobs/{job}").status_code == 200  # more than the pool's 40 threads
        house.publish(job)
        for each in events:
            state = ""
            while state != "succeeded":
                state = each.next()[1]["state"]
        for stream in streams:
            stream.__exit__(None, None, None)


def test_a_stop_ends_open_streams(house: House) -> None:
    job = house.imported()["jobId"]
    running = serve(house.services, port=0)
    with (
        httpx.Client(base_url=running.url, headers=CLIENT, trust_env=False, timeout=20) as http,
        http.stream("GET", f"/v1/jobs/{job}/events") as answer,
    ):
        events = Events(answer)
        events.next()
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        with pytest.raises(EOFError):
            events.next()
        stopping.join(20)
        assert not stopping.is_alive()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.url}/healthz", trust_env=False)


def at_once(count: int, ask: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    """Ask from as many threads, all starting together."""
    barrier = threading.Barrier(count)

    def together(number: int) -> httpx.Response:
        barrier.wait(20)
        return ask(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(together, range(count)))


def test_one_key_from_many_threads_is_one_job(house: House, http: httpx.Client) -> None:
    body = {"assetId": house.upload(), "lyrics": "la la"}

    def ask(number: int) -> httpx.Response:
        return http.post("/v1/tracks/import", json=body, headers={"Idempotency-Key": "one"})

    answers = at_once(8, ask)
    accepted = [answer.json()["jobId"] for answer in answers if answer.status_code == 202]
    refused = [answer.json()["code"] for answer in answers if answer.status_code != 202]
    assert len(set(accepted)) == 1
    assert set(refused) <= {"idempotency_in_flight"}
    assert len(house.events("import-requested")) == 1


def test_of_many_edits_of_one_version_one_wins(house: House, http: httpx.Client) -> None:
    track = house.published()["trackId"]

    def ask(number: int) -> httpx.Response:
        return http.patch(
            f"/v1/tracks/{track}/lyrics",
            json={"lyrics": f"la number {number}"},
            headers={"If-Match": '"1"'},
        )

    assert sorted(answer.status_code for answer in at_once(6, ask)) == [200, *[412] * 5]
    assert len(house.events("lyrics-edited")) == 1


def test_of_many_reprocesses_of_one_draft_one_wins(house: House, http: httpx.Client) -> None:
    track = house.published()["trackId"]
    house.http.patch(
        f"/v1/tracks/{track}/lyrics", json={"lyrics": "la"}, headers={"If-Match": '"1"'}
    )

    def ask(number: int) -> httpx.Response:
        return http.post(f"/v1/tracks/{track}/reprocess", json={"steps": ["align"]})

    assert sorted(answer.status_code for answer in at_once(6, ask)) == [202, *[409] * 5]
