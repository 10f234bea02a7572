"""The committed descriptions, and that they are served."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from gateway.describing import OPENAPI, openapi, openapi_text
from schemas.webhooks import TYPES
from tests.gateway.house import House, problem, settings
from topics import asyncapi


def test_the_committed_openapi_is_in_step(house: House) -> None:
    made = openapi()
    assert OPENAPI.read_text("utf-8") == openapi_text(made), "run `make schemas`"
    assert house.http.get("/openapi.json").json() == json.loads(openapi_text(made))


def test_the_openapi_tells_of_webhooks(house: House) -> None:
    described = house.http.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    assert set(TYPES) <= set(described["webhooks"])
    for item in described["webhooks"].values():
        names = {each["name"] for each in item["post"]["parameters"]}
        assert names == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert described["components"]["schemas"]["WebhookBody"]["examples"]


def test_the_asyncapi_is_served_in_both_writings(house: House) -> None:
    as_yaml, as_json = house.http.get("/asyncapi.yaml"), house.http.get("/asyncapi.json")
    assert as_yaml.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(as_yaml.text) == as_json.json() == asyncapi.document()


def test_it_goes_with_the_docs(tmp_path: Path) -> None:
    house = House(tmp_path, settings=settings(docs=False))
    try:
        problem(house.http.get("/asyncapi.yaml"), 404, "not_found")
    finally:
        house.close()
