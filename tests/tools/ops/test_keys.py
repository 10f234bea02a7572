"""``melisma keys``: what is printed, what is kept, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.access import keys
from gateway.projection.sqlite_reservations import SqliteReservations
from tools import cli

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(cli.app, ["keys", *arguments, "--data", str(tmp_path / "data")])

    return command


def printed(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def made(run: Run, *more: str) -> str:
    key = printed(run("create", *more)).strip()
    assert keys.looks_like_key(key)
    return key


def test_a_key_is_shown_once(run: Run, tmp_path: Path) -> None:
    key = made(run, "--tenant", "studio", "--scope", "tracks:read", "--name", "the SPA")
    rows = SqliteReservations(tmp_path / "data" / "gateway.db")
    try:
        [client] = rows.clients()
    finally:
        rows.close()
    assert client.key_sha256 == keys.digest(key)
    listed = printed(run("ls"))
    assert keys.shown(client) in listed
    assert "studio" in listed
    assert "tracks:read" in listed
    assert key not in listed
    assert key not in printed(run("ls", "-o", "json"))


def test_programs_get_json(run: Run) -> None:
    found = json.loads(printed(run("create", "--role", "admin", "--expires", "2h", "-o", "json")))
    assert keys.looks_like_key(found["key"])
    assert found["role"] == "admin"
    [listed] = json.loads(printed(run("ls", "-o", "json")))
    assert listed == {name: value for name, value in found.items() if name != "key"}


def test_a_rotated_key_ends_after_the_overlap(run: Run) -> None:
    old = made(run, "--tenant", "studio")
    rotated = run("rotate", old.split("_")[1], "--overlap", "1h")
    assert printed(rotated).strip() != old
    assert "works until" in rotated.stderr
    first, second = json.loads(printed(run("ls", "-o", "json")))
    assert second["replaces"] == first["id"]
    assert first["expiresAt"] is not None
    assert second["tenant"] == "studio"


def test_a_revoked_key_is_listed_only_when_asked_for(run: Run) -> None:
    key = made(run)
    assert "is revoked" in printed(run("revoke", key))
    assert "there are no keys" in printed(run("ls"))
    [listed] = json.loads(printed(run("ls", "--all", "-o", "json")))
    assert listed["state"] == "revoked"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("create", "--tenant", "A B"), "cannot be a tenant"),
        (("create", "--scope", "sing"), "no scope 'sing'"),
        (("create", "--expires", "soon"), "is no time"),
        (("revoke", "000000000000"), "melisma keys ls"),
        (("rotate", "nothing"), "melisma keys ls"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(run: Run, arguments: tuple[str, ...], why: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    [line] = result.stderr.strip().splitlines()
    assert why in line
