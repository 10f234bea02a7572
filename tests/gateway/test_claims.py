"""Two gateways over one log, projection and reservations: a track changes once at a time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from httpx import Response

from gateway.app import create_app
from gateway.guard.locks import Taken, TrackLocks, edit_of
from gateway.projection.reservations import LAPSE_MS
from gateway.projection.track import Track
from gateway.services import Services
from tests.gateway.calls import Calls
from tests.gateway.house import BASE_URL, CLIENT, House
from topics.log import Doubtful, Log, LogError, Producer

pytestmark = pytest.mark.slow

ROUNDS = 8


class Stale:
    """A projection whose tracks stand still: what another gateway accepted is not folded yet."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.old: Track | None = None

    def track(self, tenant: str, track_id: str) -> Track | None:
        return self.old or self._house.store.track(tenant, track_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house.store, name)


class Elsewhere:
    """The log as another process sees it, whose producers are its own."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def producer(self, name: str) -> Producer:
        return self._log.producer(f"elsewhere-{name}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


@pytest.fixture
def stale(house: House) -> Stale:
    return Stale(house)


@pytest.fixture
def other(house: House, stale: Stale) -> Iterator[Calls]:
    """A client of a second gateway."""
    seeds = itertools.count(1)
    services = Services.assemble(
        house.settings,
        log=Elsewhere(house.log),
        artifacts=house.artifacts,
        store=stale,
        reservations=house.reservations,
        codec=house.codec,
        clock_ms=house.clock.now_ms,
        seeds=lambda: f"other-{next(seeds)}",
    )
    app = create_app(services)
    calls = Calls(app, base_url=BASE_URL, address="127.0.0.1", headers=CLIENT)
    yield calls
    calls.close()
    services.close()
    for probe in app.state.probes.values():
        probe.close()


def patch(calls: Calls, track: str, version: int, text: str) -> Response:
    return calls.patch(
        f"/v1/tracks/{track}/lyrics",
        json={"lyrics": text},
        headers={"If-Match": f'"{version}"'},
    )


def both(*acts: Callable[[], Response]) -> list[Response]:
    barrier = threading.Barrier(len(acts))

    def act(number: int) -> Response:
        barrier.wait(20)
        return acts[number]()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act, range(len(acts))))


def test_of_two_edits_at_two_gateways_one_wins(house: House, other: Calls) -> None:
    track = house.published()["trackId"]
    for version in range(1, ROUNDS + 1):
        answers = both(
            lambda v=version: patch(house.http, track, v, "la here"),  # type: ignore[misc]
            lambda v=version: patch(other, track, v, "la there"),  # type: ignore[misc]
        )
        assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert len(house.events("lyrics-edited")) == ROUNDS


def test_of_two_reprocesses_of_a_draft_at_two_gateways_one_wins(house: House, other: Calls) -> None:
    for _ in range(ROUNDS):
        track = house.published()["trackId"]
        assert patch(house.http, track, 1, "la").status_code == 200
        before = len(house.events("reprocess-requested"))
        path, body = f"/v1/tracks/{track}/reprocess", {"steps": ["align"]}
        answers = both(
            lambda p=path, b=body: house.http.post(p, json=b),  # type: ignore[misc]
            lambda p=path, b=body: other.post(p, json=b),  # type: ignore[misc]
        )
        assert sorted(answer.status_code for answer in answers) == [202, 409]
        assert len(house.events("reprocess-requested")) == before + 1


def test_an_edit_is_refused_that_is_accepted_but_not_folded(
    house: House, other: Calls, stale: Stale
) -> None:
    track = house.published()["trackId"]
    stale.old = house.store.track("default", track)
    assert patch(house.http, track, 1, "la here").status_code == 200
    answer = patch(other, track, 1, "la there")
    assert (answer.status_code, answer.json()["code"]) == (409, "track_changing")
    assert answer.headers["retry-after"] == "5"
    stale.old = None
    assert patch(other, track, 1, "la there").status_code == 412
    assert patch(other, track, 2, "la there").status_code == 200


def test_a_draft_edited_and_aligned_at_once_is_not_aligned_by_another_gateway(
    house: House, other: Calls, stale: Stale
) -> None:
    track = house.published()["trackId"]
    assert patch(house.http, track, 1, "la").status_code == 200
    stale.old = house.store.track("default", track)  # the draft alone
    body = {"steps": ["align"]}
    assert house.http.post(f"/v1/tracks/{track}/reprocess", json=body).status_code == 202
    answer = other.post(f"/v1/tracks/{track}/reprocess", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "track_changing")


def test_a_reprocess_never_hides_an_edit_that_is_accepted_but_not_folded(
    house: House, other: Calls, stale: Stale
) -> None:
    track = house.published()["trackId"]
    stale.old = house.store.track("default", track)
    assert patch(house.http, track, 1, "la").json()["version"] == 2
    path, body = f"/v1/tracks/{track}/reprocess", {"steps": ["align"]}
    answer = other.post(path, json=body)  # of version 1, as version 3?
    assert (answer.status_code, answer.json()["code"]) == (409, "track_changing")
    stale.old = None
    assert other.post(path, json=body).json()["version"] == 2


def test_a_reprocess_leaves_its_base_to_be_edited(house: House, other: Calls) -> None:
    track = house.published()["trackId"]
    body = {"steps": ["align"]}
    assert other.post(f"/v1/tracks/{track}/reprocess", json=body).json()["version"] == 2
    assert patch(house.http, track, 1, "la").json()["version"] == 3


class TestClaims:
    def locks(self, house: House) -> TrackLocks:
        return TrackLocks(house.reservations, house.clock.now_ms)

    def test_a_refused_change_leaves_its_claim_to_the_next(self, house: House) -> None:
        locks = self.locks(house)
        with (
            pytest.raises(LogError),
            locks.claiming("studio", "trk_1", edit_of(1), "first"),
        ):
            raise LogError("nothing was accepted")
        with locks.claiming("studio", "trk_1", edit_of(1), "second"):
            pass
        with pytest.raises(Taken), locks.claiming("studio", "trk_1", edit_of(1), "third"):
            pass

    def test_a_doubtful_change_keeps_its_claim_until_it_lapses(self, house: House) -> None:
        locks = self.locks(house)
        with (
            pytest.raises(Doubtful),
            locks.claiming("studio", "trk_1", edit_of(1), "first"),
        ):
            raise Doubtful("no answer to the commit")
        with pytest.raises(Taken), locks.claiming("studio", "trk_1", edit_of(1), "second"):
            pass
        house.clock.forward(LAPSE_MS / 1000)
        with locks.claiming("studio", "trk_1", edit_of(1), "second"):
            pass

    def test_the_same_request_takes_up_its_own_claim(self, house: House) -> None:
        locks = self.locks(house)
        for _ in range(2):
            with locks.claiming("studio", "trk_1", edit_of(1), "first"):
                pass

    def test_claims_of_other_tracks_and_versions_are_apart(self, house: House) -> None:
        locks = self.locks(house)
        for tenant, track, version in (("a", "1", 1), ("a", "1", 2), ("a", "2", 1), ("b", "1", 1)):
            with locks.claiming(tenant, track, edit_of(version), f"{tenant}{track}{version}"):
                pass
