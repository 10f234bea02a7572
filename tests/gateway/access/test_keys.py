"""API keys: what is kept of them, how long they work, how one follows another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.access import keys
from gateway.access.scopes import SCOPES
from gateway.projection.reservations import Client
from gateway.projection.sqlite_reservations import SqliteReservations

NOW = 1_800_000_000_000
DAY = 86_400_000


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[SqliteReservations]:
    made = SqliteReservations(tmp_path / "gateway.db")
    yield made
    made.close()


_numbers = itertools.count(1)


def made(rows: SqliteReservations, **more: Any) -> tuple[str, Client]:
    number = next(_numbers)
    wanted: dict[str, Any] = {"tenant": "studio", "now_ms": NOW} | more
    return keys.create(
        rows,
        random_hex=lambda n: f"{number:0{2 * n}x}",
        random_text=lambda n: f"{number:043d}",
        **wanted,
    )


def test_the_key_itself_is_kept_nowhere(rows: SqliteReservations, tmp_path: Path) -> None:
    key, client = made(rows)
    assert keys.looks_like_key(key)
    assert rows.client(keys.digest(key)) == client
    secret = key.rpartition("_")[2].encode()
    assert all(secret not in file.read_bytes() for file in tmp_path.iterdir())
    assert secret.decode() not in keys.shown(client)
    assert keys.shown(client).removesuffix("…") in key


@pytest.mark.parametrize(
    "text", ["", "mls_", "mls_12_34", "whsec_abc", "mls_00000000000g_" + "a" * 43, "eyJ.a.b"]
)
def test_other_credentials_do_not_look_like_keys(text: str) -> None:
    assert not keys.looks_like_key(text)


@pytest.mark.parametrize("tenant", ["", "Studio", "a/b", "../x", "-a", "x" * 64, "ä", "a b"])
def test_a_tenant_is_a_name_that_paths_can_hold(rows: SqliteReservations, tenant: str) -> None:
    with pytest.raises(keys.KeyRefused, match="cannot be a tenant"):
        made(rows, tenant=tenant)
    assert rows.clients() == []


def test_unknown_scopes_are_refused_by_name(rows: SqliteReservations) -> None:
    with pytest.raises(keys.KeyRefused, match="no scope 'tracks:sing'"):
        made(rows, scopes=["tracks:read", "tracks:sing"])


def test_no_scopes_are_all_of_them(rows: SqliteReservations) -> None:
    assert keys.identity_of(made(rows)[1]).scopes == set(SCOPES)
    some = keys.identity_of(made(rows, scopes=["jobs:read"])[1])
    assert some.scopes == {"jobs:read"}
    assert not some.may("jobs:write")


def test_a_key_works_until_it_expires_or_is_revoked(rows: SqliteReservations) -> None:
    _, client = made(rows, expires_ms=NOW + DAY)
    assert keys.works(client, NOW + DAY - 1)
    assert not keys.works(client, NOW + DAY)
    assert not keys.works(replace(client, revoked_ms=NOW), NOW)
    with pytest.raises(keys.KeyRefused, match="expired already"):
        made(rows, expires_ms=NOW)


def rotated(rows: SqliteReservations, key_id: str, now_ms: int = NOW) -> tuple[str, Client, Client]:
    number = next(_numbers)
    return keys.rotate(
        rows,
        key_id,
        now_ms=now_ms,
        overlap_s=3600,
        random_hex=lambda n: f"{number:0{2 * n}x}",
        random_text=lambda n: f"{number:043d}",
    )


def test_a_successor_has_the_same_rights_and_both_work_for_a_while(
    rows: SqliteReservations,
) -> None:
    _, old = made(rows, role="operator", scopes=["jobs:read"], name="SPA")
    _, new, ending = rotated(rows, old.key_id)
    assert (new.tenant, new.role, new.scopes, new.name) == ("studio", "operator", old.scopes, "SPA")
    assert new.replaces == old.key_id
    assert ending.expires_ms == NOW + 3_600_000
    assert keys.works(ending, NOW + 3_599_999)
    assert not keys.works(ending, NOW + 3_600_000)
    assert keys.works(new, NOW + 3_600_000)
    assert rows.client(old.key_sha256) == ending


def test_an_overlap_never_makes_a_key_live_longer(rows: SqliteReservations) -> None:
    _, old = made(rows, expires_ms=NOW + 1000)
    _, new, ending = rotated(rows, old.key_id)
    assert ending.expires_ms == NOW + 1000
    assert new.expires_ms == NOW + 1000


def test_a_key_that_works_no_more_is_not_rotated(rows: SqliteReservations) -> None:
    _, old = made(rows)
    revoked = keys.revoke(rows, old.key_id, now_ms=NOW)
    assert keys.revoke(rows, old.key_id, now_ms=NOW + 5) == revoked
    with pytest.raises(keys.KeyRefused, match="create a new one"):
        rotated(rows, old.key_id)


@pytest.mark.parametrize("wanted", ["", "000000000000", "mls_"])
def test_unknown_keys_are_said_so(rows: SqliteReservations, wanted: str) -> None:
    made(rows)
    with pytest.raises(keys.KeyRefused, match="melisma keys ls"):
        keys.find(rows, wanted)


def test_a_key_is_found_by_all_that_people_see_of_it(rows: SqliteReservations) -> None:
    key, client = made(rows)
    for text in (client.key_id, f"mls_{client.key_id}", keys.shown(client), key):
        assert keys.find(rows, text) == client


def test_keys_are_listed_from_the_oldest_on(rows: SqliteReservations) -> None:
    second, first = made(rows, now_ms=NOW + 5)[1], made(rows, now_ms=NOW)[1]
    assert rows.clients() == [first, second]


def test_rows_of_other_releases_are_read(rows: SqliteReservations) -> None:
    body = {"key_sha256": "ab", "tenant": "studio", "operator": True, "from_the_future": 1}
    assert Client.read(body) == Client(key_sha256="ab", tenant="studio")
