"""Every route of the description × everybody who must not get through it.

The cases are made from the OpenAPI description itself: a new route is judged here without anybody
writing a case for it, and one that asks for no scope and is not public fails.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.access import keys
from gateway.access.scopes import SCOPES, is_public, scope_of
from tests.gateway.access.conftest import Guarded, guarded_house
from tests.gateway.calls import Calls
from tests.gateway.house import CLIENT, House, problem


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    operation: dict[str, Any]

    @property
    def scope(self) -> str:
        scope = scope_of(self.method, self.path)
        assert scope is not None, f"{self.method} {self.path} asks for no scope"
        return scope

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def description() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder))
        found: dict[str, Any] = house.app.openapi()
        house.close()
    return found


DESCRIPTION = description()
ROUTES = [
    Route(method.upper(), path, operation)
    for path, item in DESCRIPTION["paths"].items()
    for method, operation in item.items()
]
GUARDED = [route for route in ROUTES if not is_public(route.path)]
NAMES_ITSELF = "PUT /api/music-clips/channels/{channel_id}"
"""Whoever asks for this gives the name, each tenant in a space of its own."""

WITH_IDS = [route for route in GUARDED if "{" in route.path and str(route) != NAMES_ITSELF]

each_route = pytest.mark.parametrize("route", GUARDED, ids=str)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    guarded = guarded_house(tmp_path_factory.mktemp("guarded"), rate_limit_requests=100_000)
    yield World(guarded)
    guarded.house.close()


class World:
    """One of everything in the tenant ``default``, and clients that are not let near it."""

    def __init__(self, guarded: Guarded) -> None:
        self.guarded = guarded
        house = self.house = guarded.house
        track = house.published()
        asset = house.upload(purpose="mastering")
        master = house.http.post("/v1/mastering/jobs", json={"assetId": asset}).json()
        upload = house.http.post(
            "/v1/uploads",
            json={"filename": "a.wav", "contentType": "audio/wav", "sizeBytes": 9},
        ).json()
        channel = house.http.put(
            "/api/music-clips/channels/studio", json={"prompt": "harbour lights", "style": "folk"}
        )
        assert channel.status_code == 200, channel.text
        # No address to call back is configured: the job fails, and is there all the same.
        clip = house.http.post("/api/music-clips/channels/studio/runOnce", json={})
        endpoint = house.http.post(
            "/v1/webhook-endpoints",
            json={"url": "https://example.com/hook", "types": ["job.failed"]},
        )
        assert endpoint.status_code == 201, endpoint.text
        task = house.http.post("/v1/process", json={"input_uri": f"asset:{asset}"})
        assert task.status_code == 202, task.text
        self.clip_id = clip.headers["Location"].rpartition("/")[2]
        self.asset = asset
        self.object_key = upload["objectKey"]
        self.ids = {
            "track_id": track["trackId"],
            "job_id": track["jobId"],
            "upload_id": upload["uploadId"],
            "number": "1",
            "other": "1",
            "channel_id": "studio",
            "endpoint_id": endpoint.json()["id"],
            "task_id": task.json()["task_id"],
        }
        self.master_id = master["jobId"]
        self._bodies = DESCRIPTION["components"]["schemas"]

    def ask(self, client: Calls, route: Route) -> httpx.Response:
        """The route with ids that exist and a body that fits."""
        ids = dict(self.ids)
        if "/mastering/" in route.path:
            ids["job_id"] = self.master_id
        if "/music-clips/" in route.path:
            ids["job_id"] = self.clip_id
        path = re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], "unknown"), route.path)
        options: dict[str, Any] = {"headers": {"If-Match": "*"}}
        if "requestBody" in route.operation:
            options["json"] = self._body(route)
        return client.request(route.method, path, **options)

    def _body(self, route: Route) -> Any:
        schema = route.operation["requestBody"]["content"]["application/json"]["schema"]
        options = [schema, *schema.get("anyOf", ())]
        name = next(each["$ref"] for each in options if "$ref" in each).rpartition("/")[2]
        body = dict(self._bodies[name].get("examples", [{}])[0])
        if "assetId" in body:
            body["assetId"] = self.asset
        if "input_uri" in body:
            body["input_uri"] = f"asset:{self.asset}"
        return body


def test_every_route_asks_for_a_scope_or_is_everybody_s() -> None:
    assert len(GUARDED) > 20
    for route in GUARDED:
        assert route.scope in SCOPES
        assert route.operation["security"] == [{"key": [route.scope]}, {"token": [route.scope]}]
        for status in ("401", "403", "429"):
            assert status in route.operation["responses"], route
    for route in ROUTES:
        if is_public(route.path):
            assert "security" not in route.operation, route
    assert len(GUARDED) * 6 >= 40


def test_public_routes_are_few_and_named() -> None:
    assert {route.path for route in ROUTES if is_public(route.path)} <= {
        *("/healthz", "/readyz", "/problems/{code}"),
        *("/v1/schemas/karaoke-1.json", "/v1/schemas/{name}.json", "/asyncapi.json"),
        *("/api/webhooks/suno/music", "/api/webhooks/suno/music/{token}"),
    }


def test_no_route_outside_the_description_is_open(world: World) -> None:
    """Aliases and routes that the description leaves out pass the same door."""
    stranger = world.house.client(headers=CLIENT)
    for path in (
        *("/uploads", "/tracks/x", "/jobs", "/jobs/x", "/status/x", "/v1/uploads/presign"),
        *("/process", "/batch", "/extractors", "/v1/nothing", "/v2/jobs", "/nothing", "//v1/jobs"),
        *("/v1//jobs", "/V1/jobs", "/api/music-clips/jobs/x", "/openapi.json/x"),
    ):
        for method in ("GET", "POST"):
            problem(stranger.request(method, path), 401, "credentials_missing")


def test_what_is_everybody_s_asks_for_nothing(world: World) -> None:
    stranger = world.house.client(headers={})
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/v1/schemas/karaoke-1.json"):
        assert stranger.get(path).status_code == 200, path


@each_route
def test_without_credentials(world: World, route: Route) -> None:
    answer = world.ask(world.house.client(headers=CLIENT), route)
    problem(answer, 401, "credentials_missing")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@each_route
def test_with_a_key_that_never_was(world: World, route: Route) -> None:
    stranger = world.guarded.with_key(f"mls_{'0' * 12}_{'x' * 43}", f"10.0.1.{id(route) % 250}")
    problem(world.ask(stranger, route), 401, "credentials_invalid")
    world.house.clock.forward(10)


@each_route
def test_with_a_revoked_key(world: World, route: Route) -> None:
    key, row = world.guarded.key()
    keys.revoke(world.house.reservations, row.key_id, now_ms=world.house.clock.ms)
    answer = world.ask(world.guarded.with_key(key, "10.0.2.1"), route)
    assert "revoked" in problem(answer, 401, "credentials_invalid")["detail"]
    world.house.clock.forward(10)


@each_route
def test_with_an_expired_key(world: World, route: Route) -> None:
    key, _ = world.guarded.key(expires_ms=world.house.clock.ms + 1000)
    client = world.guarded.with_key(key, "10.0.3.1")
    world.house.clock.forward(10)
    assert "expired" in problem(world.ask(client, route), 401, "credentials_invalid")["detail"]


@each_route
def test_with_every_scope_but_the_one(world: World, route: Route) -> None:
    client = world.guarded.client(scopes=[each for each in SCOPES if each != route.scope])
    found = problem(world.ask(client, route), 403, "scope_missing")
    assert found["scope"] == route.scope


@pytest.mark.parametrize("route", WITH_IDS, ids=str)
def test_another_tenant_s_things_are_not_there(world: World, route: Route) -> None:
    before = world.house.count_events()
    answer = world.ask(world.guarded.client("other"), route)
    if "/music-clips/" in route.path:  # refuses in the words of its first document
        assert answer.status_code == 404
        assert answer.json()["success"] is False
    else:
        assert problem(answer, 404, answer.json()["code"])["code"].endswith("_not_found")
    assert world.house.count_events() == before


def test_each_tenant_names_its_channels_for_itself(world: World) -> None:
    path = "/api/music-clips/channels/studio"
    other = world.guarded.client("namesake")
    assert other.put(path, json={"prompt": "mine"}).status_code == 200
    assert other.get(path).json()["prompt"] == "mine"
    assert world.house.http.get(path).json()["prompt"] == "harbour lights"


@pytest.mark.parametrize("route", WITH_IDS, ids=str)
def test_a_client_id_opens_nothing(world: World, route: Route) -> None:
    """The other tenant names the first one's client: that is correlation, never authorization."""
    key, _ = world.guarded.key("other")
    headers = {"X-Client-Id": "tests", "Authorization": f"Bearer {key}"}
    assert world.ask(world.house.client(headers=headers), route).status_code == 404


@each_route
def test_a_user_is_not_let_into_another_tenant_by_its_name(world: World, route: Route) -> None:
    key, _ = world.guarded.key("other")
    headers = CLIENT | {"Authorization": f"Bearer {key}", "X-Tenant": "default"}
    problem(world.ask(world.house.client(headers=headers), route), 403, "tenant_refused")


@pytest.mark.parametrize("route", [route for route in GUARDED if "{" not in route.path], ids=str)
def test_lists_hold_the_tenant_s_own_alone(world: World, route: Route) -> None:
    answer = world.ask(world.guarded.client("other"), route)
    if route.method == "GET":
        assert answer.status_code == 200
        theirs = (*(value for value in world.ids.values() if len(value) > 1), world.clip_id)
        assert not [each for each in theirs if each in answer.text]
    elif route.path in ("/v1/tracks/import", "/v1/mastering/jobs", "/v1/process"):
        problem(answer, 404, "asset_not_found")
    else:
        assert answer.status_code in (201, 202, 404), answer.text
        assert world.ids["track_id"] not in answer.text


def test_objects_of_another_tenant_cannot_be_named(world: World) -> None:
    other = world.guarded.client("other")
    wanted = {"objectKey": world.object_key}
    problem(other.post("/v1/mastering/jobs", json=wanted), 404, "object_key_unknown")
    wanted = {"assetId": world.asset, "referenceAssetId": world.asset}
    problem(other.post("/v1/mastering/jobs", json=wanted), 404, "asset_not_found")


def test_an_operator_works_in_a_tenant_that_it_names(world: World) -> None:
    key, _ = world.guarded.key("ops", role="operator")
    at_home = world.guarded.with_key(key)
    path = f"/v1/jobs/{world.ids['job_id']}"
    problem(at_home.get(path), 404, "job_not_found")
    found = at_home.get(path, headers={"X-Tenant": "default"})
    assert found.json()["jobId"] == world.ids["job_id"]
    problem(at_home.get(path, headers={"X-Tenant": "../x"}), 403, "tenant_refused")


def test_the_owner_s_key_opens_all_of_it(world: World) -> None:
    owner = world.guarded.client()
    for route in GUARDED:
        if route.path.endswith("/events"):  # a stream has no end to wait for
            continue
        assert world.ask(owner, route).status_code not in (401, 403, 429, 500), route
