"""The door itself: who is let in as whom, how often, and what happens when nobody can say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.access import keys
from gateway.access.door import FAILURES_PER_MINUTE, KEY_KEPT_S
from gateway.access.exposure import Exposed, is_loopback, require_closed
from gateway.access.tokens import Tokens, provider_of
from gateway.projection.store import StoreError
from gateway.server import serve
from tests.gateway.access.conftest import Guarded, guarded_house
from tests.gateway.access.test_tokens import EC, ISSUER, NOW, jwk, token
from tests.gateway.house import CLIENT, House, problem, settings


def test_rotation_leaves_no_gap(guarded: Guarded) -> None:
    key, row = guarded.key()
    old = guarded.with_key(key)
    assert old.get("/v1/jobs").status_code == 200
    new_key, _, _ = keys.rotate(
        guarded.house.reservations,
        row.key_id,
        now_ms=guarded.house.clock.ms,
        overlap_s=60,
        random_hex=lambda n: "f" * 2 * n,
        random_text=lambda n: "y" * 43,
    )
    new = guarded.with_key(new_key)
    for _ in range(2):
        assert old.get("/v1/jobs").status_code == 200
        assert new.get("/v1/jobs").status_code == 200
        guarded.house.clock.forward(KEY_KEPT_S)
    guarded.house.clock.forward(60)
    problem(old.get("/v1/jobs"), 401, "credentials_invalid")
    assert new.get("/v1/jobs").status_code == 200


def test_a_revocation_holds_within_seconds(guarded: Guarded) -> None:
    key, row = guarded.key()
    client = guarded.with_key(key)
    assert client.get("/v1/jobs").status_code == 200
    keys.revoke(guarded.house.reservations, row.key_id, now_ms=guarded.house.clock.ms)
    guarded.house.clock.forward(KEY_KEPT_S)
    problem(client.get("/v1/jobs"), 401, "credentials_invalid")


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "mls_000000000000_x", "Bearer\tx"],
)
def test_other_authorizations_are_none(guarded: Guarded, value: str) -> None:
    client = guarded.house.client(headers=CLIENT | {"Authorization": value})
    problem(client.get("/v1/jobs"), 401, "credentials_missing")


@pytest.mark.parametrize("value", ["nonsense", "x" * 20_000, "a.b.c", "mls_" + "é" * 9])
def test_credentials_that_are_neither(guarded: Guarded, value: str) -> None:
    headers: Any = CLIENT | {"Authorization": f"Bearer {value}".encode()}
    answer = guarded.house.client(headers=headers).get("/v1/jobs")
    problem(answer, 401, "credentials_invalid")
    assert value not in answer.text


def test_two_authorizations_are_none(guarded: Guarded) -> None:
    key, _ = guarded.key()
    headers: Any = [("X-Client-Id", "a"), *(2 * [("Authorization", f"Bearer {key}")])]
    problem(guarded.house.client(headers=headers).get("/v1/jobs"), 401, "credentials_missing")


def test_who_keeps_trying_is_held_off(guarded: Guarded) -> None:
    good, _ = guarded.key()
    friend = guarded.with_key(good, "10.1.1.1")
    assert friend.get("/v1/jobs").status_code == 200
    thief = guarded.with_key(f"mls_{'0' * 12}_{'x' * 43}", "10.1.1.1")
    for _ in range(FAILURES_PER_MINUTE):
        problem(thief.get("/v1/jobs"), 401, "credentials_invalid")
    held = thief.get("/v1/jobs")
    problem(held, 429, "rate_limited")
    assert int(held.headers["Retry-After"]) >= 1
    # who is known and shares the address goes on
    assert friend.get("/v1/jobs").status_code == 200
    elsewhere = guarded.with_key(f"mls_{'0' * 12}_{'x' * 43}", "10.1.1.2")
    problem(elsewhere.get("/v1/jobs"), 401, "credentials_invalid")


def test_a_tenant_has_so_many_requests(tmp_path: Path) -> None:
    guarded = guarded_house(tmp_path, rate_limit_requests=3, rate_limit_window_seconds=60)
    try:
        one, two = guarded.client("studio"), guarded.client("studio")
        first = one.get("/v1/jobs")
        assert first.headers["RateLimit-Policy"] == '"default";q=3;w=60'
        assert first.headers["RateLimit"] == '"default";r=2;t=20'
        two.get("/v1/jobs")
        one.get("/v1/jobs/unknown")
        spent = two.get("/v1/jobs")
        found = problem(spent, 429, "rate_limited")
        assert (found["limit"], found["windowSeconds"]) == (3, 60)
        assert spent.headers["Retry-After"] == "20"
        assert spent.headers["RateLimit"] == '"default";r=0;t=60'
        assert guarded.client("other").get("/v1/jobs").status_code == 200
        admin = guarded.client("studio", role="admin")
        for _ in range(5):
            assert "RateLimit" not in admin.get("/v1/jobs").headers
        guarded.house.clock.forward(20)
        assert one.get("/v1/jobs").status_code == 200
    finally:
        guarded.house.close()


def test_keys_that_cannot_be_looked_up_are_nobody_s_fault(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = guarded.client()

    def away(digest: str) -> None:
        raise StoreError("no node answers")

    monkeypatch.setattr(guarded.house.reservations, "client", away)
    problem(client.get("/v1/jobs"), 503, "unavailable")


class TestTokens:
    def house(self, folder: Path, away: bool = False) -> House:
        house = House(
            folder,
            settings=settings(
                access="on",
                oidc_issuer=ISSUER,
                oidc_audience="melisma",
                oidc_jwks_url=f"{ISSUER}/keys",
            ),
        )
        house.clock.ms = NOW * 1000
        return house

    def fetched(self, monkeypatch: pytest.MonkeyPatch, answer: Mapping[str, Any]) -> None:
        monkeypatch.setattr("gateway.services.fetch_json", lambda url: answer)

    def test_open_what_their_scopes_say(self, tmp_path: Path) -> None:
        house = self.house(tmp_path)
        try:
            tokens = house.services.tokens
            assert isinstance(tokens, Tokens)
            provider = provider_of(house.settings)
            assert provider is not None
            tokens._fetch = lambda url: {"keys": [jwk(EC, "one")]}
            headers = CLIENT | {"Authorization": f"Bearer {token()}"}
            client = house.client(headers=headers)
            assert client.get("/v1/jobs").status_code == 200
            problem(client.post("/v1/uploads", json={}), 403, "scope_missing")
            wrong = {"Authorization": f"Bearer {token(aud='other')}"}
            refused = house.client(headers=CLIENT | wrong).get("/v1/jobs")
            assert "another audience" in problem(refused, 401, "credentials_invalid")["detail"]
        finally:
            house.close()

    def test_are_put_off_while_the_provider_is_away(self, tmp_path: Path) -> None:
        house = self.house(tmp_path)
        try:
            from gateway.access.tokens import ProviderAway

            def away(url: str) -> Mapping[str, Any]:
                raise ProviderAway("away")

            assert house.services.tokens is not None
            house.services.tokens._fetch = away
            headers = CLIENT | {"Authorization": f"Bearer {token()}"}
            problem(house.client(headers=headers).get("/v1/jobs"), 503, "unavailable")
        finally:
            house.close()


class TestExposure:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
    def test_the_loopback_may_be_open(self, host: str) -> None:
        assert is_loopback(host)
        require_closed("off", host)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "gateway.lan"])
    def test_elsewhere_somebody_has_to_say_so(self, host: str) -> None:
        with pytest.raises(Exposed, match=r"ACCESS=on.*melisma keys create.*ACCESS=open"):
            require_closed("off", host)
        require_closed("on", host)
        require_closed("open", host)

    def test_the_server_refuses_to_start(self, house: House) -> None:
        with pytest.raises(Exposed, match="refusing to listen on 0"):
            serve(house.services, host="0.0.0.0", port=0)
