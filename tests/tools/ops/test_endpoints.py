"""Webhook endpoints from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.server import Server, listen
from processors.delivery.signing import key_of
from schemas.events import WebhookAttempted
from tests.gateway.house import House
from tools import cli
from tools.ops.commands import endpoints as commands
from tools.ops.commands.endpoints import first_attempt

pytestmark = pytest.mark.slow

URL = "https://example.com/hook"

Endpoints = Callable[..., Result]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(House(tmp_path)) as made:
        yield made


@pytest.fixture
def endpoints(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    """Runs ``melisma webhooks endpoints`` against a gateway that listens."""
    monkeypatch.chdir(house.folder)  # no .env of the repository is read
    monkeypatch.setenv("COLUMNS", "120")
    listener = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def command(*arguments: str) -> Result:
        words = ["webhooks", "endpoints", *arguments, "--url", address]
        return CliRunner().invoke(cli.app, words)

    with Server(house.services, listener).start():
        yield command
    listener.close()


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_endpoint_from_its_making_to_its_end(endpoints: Endpoints) -> None:
    made = read(endpoints("create", URL, "--type", "track.ready", "-o", "json"))
    assert key_of(made["secret"])
    (listed,) = read(endpoints("ls", "-o", "json"))
    assert (listed["id"], listed["types"]) == (made["id"], ["track.ready"])
    assert "secret" not in listed
    text = endpoints("ls").stdout
    assert made["id"] in text
    assert made["secret"] not in text

    rotated = read(endpoints("rotate", made["id"], "--overlap", "60", "-o", "json"))
    assert key_of(rotated["secret"]) != key_of(made["secret"])
    paused = endpoints("pause", made["id"]).stdout
    assert ["status", "paused"] in [line.split() for line in paused.splitlines()]
    assert read(endpoints("resume", made["id"], "-o", "json"))["status"] == "active"

    assert endpoints("delete", made["id"], "--yes").exit_code == 0
    assert read(endpoints("ls", "-o", "json")) == []


def test_the_secret_is_shown_to_a_person_whole(endpoints: Endpoints) -> None:
    shown = endpoints("create", URL)
    assert shown.exit_code == 0, shown.output
    secret = next(
        line.split()[-1] for line in shown.stdout.splitlines() if line.startswith("secret ")
    )
    assert key_of(secret)


@pytest.mark.parametrize(("outcome", "status"), [("delivered", 0), ("failed", 1)])
def test_a_trial_says_how_it_went(
    endpoints: Endpoints, house: House, outcome: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = read(endpoints("create", URL, "-o", "json"))
    looked = 0

    def a_worker_delivers(seconds: float) -> None:
        nonlocal looked
        looked += 1
        (owed,) = house.events("webhook-attempted")
        assert isinstance(owed.event, WebhookAttempted)
        house.happens(replace(owed.event, outcome=outcome, attempt=1))

    monkeypatch.setattr(commands, "first_attempt", partial(first_attempt, sleep=a_worker_delivers))
    tried = endpoints("test", made["id"], "-o", "json")
    assert tried.exit_code == status, tried.output
    assert json.loads(tried.stdout)["outcome"] == outcome
    assert looked == 1


def test_a_trial_that_nobody_sends_is_said(endpoints: Endpoints) -> None:
    made = read(endpoints("create", URL, "-o", "json"))
    tried = endpoints("test", made["id"], "--wait", "0")
    assert tried.exit_code == 1
    assert "nothing was attempted" in tried.stderr


def test_what_the_gateway_refuses_is_one_line(endpoints: Endpoints) -> None:
    for words in (("create", "http://10.0.0.1/"), ("pause", "whk_unknown")):
        answer = endpoints(*words)
        assert answer.exit_code == 1
        assert answer.stderr.startswith("melisma: ")
        assert len(answer.stderr.strip().splitlines()) == 1
