"""Accepted means committed and visible; anything else leaves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.projection.fold import fold
from gateway.projection.sqlite import SqliteStore
from gateway.projection.store import StoreError
from tests.gateway.house import House, problem
from topics.catalog import CATALOG
from topics.log import Doubtful, LogError


def test_what_the_log_refuses_is_not_accepted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"assetId": house.upload(), "lyrics": "la"}
    before = house.count_events()

    class Refusing:
        def __init__(self, transaction: Any) -> None:
            self._transaction = transaction

        def __enter__(self) -> Any:
            return self._transaction.__enter__()

        def __exit__(self, *error: object) -> None:
            self._transaction.__exit__(LogError, LogError("full"), None)
            raise LogError("full")

    producer = house.services.publisher._producer
    assert producer is not None
    begin = producer.transaction
    monkeypatch.setattr(producer, "transaction", lambda: Refusing(begin()))
    problem(house.http.post("/v1/tracks/import", json=body), 503, "unavailable")
    assert house.count_events() == before
    assert house.http.get("/v1/jobs").json() == {"jobs": []}
    monkeypatch.undo()
    assert house.http.post("/v1/tracks/import", json=body).status_code == 202


def test_after_a_doubtful_commit_the_producer_is_made_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"assetId": house.upload(), "lyrics": "la"}
    producer = house.services.publisher._producer
    assert producer is not None

    def doubt() -> None:
        raise Doubtful("no answer to the commit")

    monkeypatch.setattr(producer, "transaction", doubt)
    problem(house.http.post("/v1/tracks/import", json=body), 503, "unavailable")
    assert house.http.post("/v1/tracks/import", json=body).status_code == 202
    assert house.services.publisher._producer is not producer


def test_what_was_committed_is_accepted_even_when_it_cannot_be_folded_yet(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"assetId": house.upload(), "lyrics": "la"}

    def busy(changes: object) -> None:
        raise StoreError("locked")

    monkeypatch.setattr(house.store, "apply", busy)
    assert house.http.post("/v1/tracks/import", json=body).status_code == 202
    assert len(house.events("import-requested")) == 1


def test_the_projector_folds_to_what_the_gateway_showed(house: House, tmp_path: Path) -> None:
    accepted = house.published()
    track = f"/v1/tracks/{accepted['trackId']}"
    draft = house.http.patch(
        f"{track}/lyrics?reprocess=auto", json={"lyrics": "la"}, headers={"If-Match": '"1"'}
    ).json()
    house.fail(draft["jobId"])
    house.http.post(f"/v1/jobs/{draft['jobId']}/retry")
    house.http.post(f"/v1/jobs/{draft['jobId']}/cancel")
    house.http.post(f"{track}/versions/1/publish")

    rebuilt = SqliteStore(tmp_path / "rebuilt.db")
    events = [envelope for topic in CATALOG for envelope in house.events(topic)]
    rebuilt.apply(change for envelope in events for change in fold(envelope))
    assert rebuilt.dump() == house.store.dump()
    rebuilt.close()


def test_two_events_of_one_request_are_committed_together(house: House) -> None:
    job = house.imported()["jobId"]
    house.fail(job)
    house.http.post(f"/v1/jobs/{job}/retry")
    (retried,), (asked,) = house.events("job-retried"), house.events("reprocess-requested")
    assert retried.traceparent == asked.traceparent
    assert retried.id != asked.id
    assert (retried.source, asked.source) == ("gateway", "gateway")
