"""Tokens of an identity provider: what is believed, whose keys are asked for, and how often."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from gateway.access import tokens
from gateway.access.tokens import (
    REFRESH_PAUSE_S,
    Provider,
    ProviderAway,
    TokenRefused,
    Tokens,
    fetch_json,
)

ISSUER = "https://id.example"
NOW = 1_800_000_000
EC = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(key: Any, key_id: str) -> dict[str, Any]:
    algorithm: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    made: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return made | {"kid": key_id, "use": "sig"}


class World:
    """A provider and a clock."""

    def __init__(self, **more: Any) -> None:
        self.now_s = float(NOW)
        self.keys = [jwk(EC, "one")]
        self.asked: list[str] = []
        self.away = False
        wanted: dict[str, Any] = {"issuer": ISSUER, "audience": "melisma"} | more
        self.tokens = Tokens(Provider(**wanted), clock_s=lambda: self.now_s, fetch=self.fetch)

    def fetch(self, url: str) -> Mapping[str, Any]:
        self.asked.append(url)
        if self.away:
            raise ProviderAway("away")
        if url.endswith("openid-configuration"):
            return {"jwks_uri": f"{ISSUER}/keys"}
        return {"keys": self.keys}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(
    key: Any = EC, key_id: str | None = "one", algorithm: str = "ES256", **claims: Any
) -> str:
    body: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "melisma",
        "sub": "anna",
        "exp": NOW + 300,
        "tenant": "studio",
        "scope": "tracks:read jobs:read openid",
    }
    headers = {} if key_id is None else {"kid": key_id}
    merged = {name: value for name, value in (body | claims).items() if value is not None}
    return jwt.encode(merged, key, algorithm=algorithm, headers=headers)


def test_a_token_says_tenant_role_and_scopes() -> None:
    found = World().tokens.identity(token(role="operator"))
    assert (found.tenant, found.role) == ("studio", "operator")
    assert found.scopes == {"tracks:read", "jobs:read"}
    assert "anna" in found.name


@pytest.mark.parametrize(
    ("role", "expected"),
    [(None, "user"), ("root", "user"), (["user", "admin"], "admin"), ({"a": 1}, "user")],
)
def test_only_known_roles_count(role: Any, expected: str) -> None:
    assert World().tokens.identity(token(role=role)).role == expected


def test_scopes_may_come_as_a_list_and_none_are_none() -> None:
    world = World()
    assert world.tokens.identity(token(scope=None, scp=["jobs:read"])).scopes == {"jobs:read"}
    assert world.tokens.identity(token(scope=None)).scopes == set()


def test_claims_can_be_named_otherwise() -> None:
    world = World(tenant_claim="https://melisma.example/org", role_claim="groups")
    claims: dict[str, Any] = {"https://melisma.example/org": "label", "groups": ["admin"]}
    found = world.tokens.identity(token(**claims))
    assert (found.tenant, found.role) == ("label", "admin")


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: token(exp=NOW - 61), "expired"),
        (lambda: token(exp=None), "lacks exp"),
        (lambda: token(exp="tomorrow"), "no numbers"),
        (lambda: token(exp=float("nan")), "expired"),
        (lambda: token(nbf=NOW + 61), "not valid yet"),
        (lambda: token(iss="https://evil.example"), "another issuer"),
        (lambda: token(aud="other"), "another audience"),
        (lambda: token(aud=None), "lacks exp"),
        (lambda: token(tenant=None), "names no tenant"),
        (lambda: token(tenant="../x"), "names no tenant"),
        (lambda: token(tenant=["a"]), "names no tenant"),
        (lambda: token(OTHER), "signature is wrong"),
        (lambda: token(OTHER, "two"), "does not publish"),
        (lambda: token(RSA, "one", "RS512"), "algorithm"),
        (lambda: token("x" * 64, "one", "HS256"), "algorithm"),
        (lambda: jwt.encode({"exp": NOW + 9}, "", algorithm="none"), "algorithm"),
        (lambda: "a.b.c", "no token"),
        (lambda: "", "no token"),
        (lambda: token()[:-8], "signature is wrong|no token"),
        (lambda: token(RSA, "one", "RS256"), "no token|signature"),
    ],
)
def test_what_opens_nothing(made: Callable[[], str], why: str) -> None:
    with pytest.raises(TokenRefused, match=why):
        World().tokens.identity(made())


def test_clocks_may_differ_a_little() -> None:
    assert World().tokens.identity(token(exp=NOW - 59, nbf=NOW - 100)).tenant == "studio"
    assert World().tokens.identity(token(nbf=NOW + 59)).tenant == "studio"
    with pytest.raises(TokenRefused, match="expired"):
        World(leeway_s=0.0).tokens.identity(token(exp=NOW - 1))


def test_a_public_key_is_no_shared_secret() -> None:
    """The classic confusion: HS256 over the text of the RSA key that everybody can read."""
    world = World()
    world.keys = [jwk(RSA, "one")]
    header, body, _ = token(RSA, "one", "RS256").split(".")
    forged_header = b64(json.dumps({"alg": "HS256", "kid": "one"}).encode())
    assert header != forged_header
    signed = f"{forged_header}.{body}".encode()
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forged = f"{signed.decode()}.{b64(hmac.digest(public, signed, 'sha256'))}"
    with pytest.raises(TokenRefused, match="algorithm"):
        world.tokens.identity(forged)
    assert world.asked == []


class TestKeys:
    def test_are_found_by_discovery_and_kept(self) -> None:
        world = World()
        for _ in range(3):
            world.tokens.identity(token())
        assert world.asked == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]

    def test_are_read_again_when_they_are_old(self) -> None:
        world = World(jwks_url=f"{ISSUER}/keys", keys_ttl_s=100.0)
        world.tokens.identity(token())
        world.now_s += 99
        world.tokens.identity(token())
        assert len(world.asked) == 1
        world.now_s += 1
        world.tokens.identity(token())
        assert len(world.asked) == 2

    def test_of_a_rotation_are_read_at_once_but_not_for_every_stranger(self) -> None:
        world = World(jwks_url=f"{ISSUER}/keys")
        world.tokens.identity(token())
        world.now_s += REFRESH_PAUSE_S
        world.keys = [jwk(EC, "one"), jwk(OTHER, "two")]
        assert world.tokens.identity(token(OTHER, "two")).tenant == "studio"
        for number in range(5):
            with pytest.raises(TokenRefused, match="does not publish"):
                world.tokens.identity(token(OTHER, f"stranger-{number}"))
        assert len(world.asked) == 2

    def test_go_on_while_the_provider_is_away(self) -> None:
        world = World(jwks_url=f"{ISSUER}/keys", keys_ttl_s=100.0)
        world.tokens.identity(token())
        world.away = True
        world.now_s += 200
        assert world.tokens.identity(token()).tenant == "studio"

    def test_that_never_came_leave_tokens_unjudged(self) -> None:
        world = World(jwks_url=f"{ISSUER}/keys")
        world.away = True
        for _ in range(3):
            with pytest.raises(ProviderAway):
                world.tokens.identity(token())
        assert len(world.asked) == 1
        world.away, world.now_s = False, world.now_s + REFRESH_PAUSE_S
        assert world.tokens.identity(token()).tenant == "studio"

    def test_without_a_name_serve_tokens_without_one(self) -> None:
        world = World(jwks_url=f"{ISSUER}/keys")
        assert world.tokens.identity(token(key_id=None)).tenant == "studio"
        world.keys.append(jwk(OTHER, "two"))
        world.now_s += 601
        with pytest.raises(TokenRefused, match="does not publish"):
            world.tokens.identity(token(key_id=None))

    @pytest.mark.parametrize("published", [{}, {"keys": []}, {"keys": [{"kty": "EC"}]}])
    def test_that_are_none_are_said_so(self, published: dict[str, Any]) -> None:
        made = Tokens(
            Provider(ISSUER, "melisma", jwks_url=f"{ISSUER}/keys"),
            clock_s=lambda: NOW,
            fetch=lambda url: published,
        )
        with pytest.raises(ProviderAway, match="no set of keys"):
            made.identity(token())

    @pytest.mark.parametrize("url", ["http://id.example/keys", "ftp://id.example/k", "", "file:/x"])
    def test_are_never_read_where_others_can_change_them(self, url: str) -> None:
        with pytest.raises(ProviderAway, match="https"):
            tokens.check_address(url)


class TestFetching:
    @pytest.fixture
    def address(self) -> Iterator[tuple[str, dict[str, Any]]]:
        said: dict[str, Any] = {"status": 200, "body": b"{}"}

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(said["status"])
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(said["body"])))
                self.end_headers()
                self.wfile.write(said["body"])

            def log_message(self, *args: object) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Answers)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/keys", said
        server.shutdown()
        thread.join()
        server.server_close()

    def test_reads_an_object(self, address: tuple[str, dict[str, Any]]) -> None:
        url, said = address
        said["body"] = b'{"keys": []}'
        assert fetch_json(url) == {"keys": []}

    @pytest.mark.parametrize(
        ("status", "body"),
        [(500, b"{}"), (302, b"{}"), (200, b"<html>"), (200, b"[]"), (200, b" " * 300_000)],
    )
    def test_anything_else_is_a_provider_that_is_away(
        self, address: tuple[str, dict[str, Any]], status: int, body: bytes
    ) -> None:
        url, said = address
        said |= {"status": status, "body": body}
        with pytest.raises(ProviderAway):
            fetch_json(url)

    def test_nobody_there(self) -> None:
        with pytest.raises(ProviderAway, match="does not answer"):
            fetch_json("http://127.0.0.1:9/keys")
