"""The list of tracks: what is in it, whose, and page by page."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.access.conftest import guarded_house
from tests.gateway.house import House, problem

_CLIPS = "/api/music-clips"


def listed(house: House, **query: Any) -> dict[str, Any]:
    answer = house.http.get("/v1/tracks", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_newest_first_with_what_is_published_and_what_is_coming(house: House) -> None:
    first = house.published(title="The Star", artist="Jane")
    house.clock.forward(60)
    second = house.imported(title="The Moon")
    newest, oldest = listed(house)["tracks"]
    assert newest["trackId"] == second["trackId"]
    assert newest["title"] == "The Moon"
    assert newest["pending"] == {"jobId": second["jobId"], "version": 1}
    assert "version" not in newest
    assert (oldest["trackId"], oldest["version"]) == (first["trackId"], 1)
    assert (oldest["title"], oldest["artist"]) == ("The Star", "Jane")
    assert "pending" not in oldest
    assert newest["createdAt"] > oldest["createdAt"]


def test_filters(house: House) -> None:
    done = house.published()["trackId"]
    house.clock.forward(60)
    since = house.http.get("/v1/tracks").json()["tracks"][0]["createdAt"].replace("Z", "+00:00")
    open_ = house.imported()["trackId"]
    assert [each["trackId"] for each in listed(house, published=True)["tracks"]] == [done]
    assert [each["trackId"] for each in listed(house, published=False)["tracks"]] == [open_]
    assert len(listed(house, since=since)["tracks"]) == 2
    assert listed(house, since="2100-01-01T00:00:00Z")["tracks"] == []


def test_every_track_is_on_one_page(house: House) -> None:
    made = []
    for _ in range(5):
        made.append(house.imported()["trackId"])
        house.clock.forward(1)
    found: list[str] = []
    page = listed(house, limit=2)
    while True:
        assert len(page["tracks"]) <= 2
        found += [each["trackId"] for each in page["tracks"]]
        if "cursor" not in page:
            break
        page = listed(house, limit=2, cursor=page["cursor"])
    assert found == made[::-1]


def test_masters_and_channels_are_no_tracks(house: House) -> None:
    asset = house.upload(purpose="mastering")
    assert house.http.post("/v1/mastering/jobs", json={"assetId": asset}).status_code == 202
    channel = f"{_CLIPS}/channels/studio"
    assert house.http.put(channel, json={"prompt": "harbour lights"}).status_code == 200
    house.http.post(f"{channel}/runOnce", json={})
    track = house.imported()["trackId"]
    found = [each["trackId"] for each in listed(house, limit=1)["tracks"]]
    assert found == [track]


@pytest.mark.parametrize("query", [{"cursor": "x"}, {"limit": 0}, {"since": "soon"}])
def test_what_cannot_be_listed_is_said(house: House, query: dict[str, Any]) -> None:
    problem(house.http.get("/v1/tracks", params=query), 422, "validation_failed")


def test_another_tenant_sees_none_of_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    guarded = guarded_house(tmp_path_factory.mktemp("guarded"))
    try:
        guarded.house.imported()
        assert len(listed(guarded.house)["tracks"]) == 1
        other = guarded.client("other")
        assert other.get("/v1/tracks").json() == {"tracks": []}
    finally:
        guarded.house.close()
