"""Bearer tokens of an identity provider: JWTs (RFC 7519) as OpenID Connect and RFC 9068 have them.

Signatures are checked with the provider's published keys (RFC 7517), which are kept and read again
when they grow old or a token names one that is not among them. The algorithms are those of the
settings and never the token's own word (RFC 8725, section 3.1).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import InvalidTokenError, PyJWKError, PyJWKSetError

from gateway.access.identity import Identity, is_tenant
from gateway.access.scopes import ROLES, SCOPES, Role
from gateway.settings import GatewaySettings

REFRESH_PAUSE_S = 30.0
"""Between two looks for a key that is not there: tokens of strangers must not make us ask often."""

_FETCH_S = 5.0
_LARGEST = 256 * 1024  # a key set has a few kB

Fetch = Callable[[str], Mapping[str, Any]]
"""Reads a JSON document from an address. Raises `ProviderAway`."""


class TokenRefused(Exception):
    """The token opens nothing; the message says why, without anything out of the token."""


class ProviderAway(Exception):
    """The provider's keys cannot be read, so no token can be judged."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Whose tokens are believed, and what is read out of them."""

    issuer: str
    audience: str
    jwks_url: str = ""
    """Where its keys are; empty: as its discovery document says."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    leeway_s: float = 60.0
    """How far its clock and ours may differ."""
    keys_ttl_s: float = 600.0
    tenant_claim: str = "tenant"
    role_claim: str = "role"


def provider_of(settings: GatewaySettings) -> Provider | None:
    """The provider that the settings name, if any."""
    if not settings.oidc_issuer:
        return None
    return Provider(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        jwks_url=settings.oidc_jwks_url,
        algorithms=settings.oidc_algorithms,
        leeway_s=settings.oidc_leeway_seconds,
        keys_ttl_s=settings.oidc_keys_ttl_seconds,
        tenant_claim=settings.oidc_tenant_claim,
        role_claim=settings.oidc_role_claim,
    )


class Tokens:
    """Judges the tokens of one provider. Safe to share between threads."""

    def __init__(self, provider: Provider, *, clock_s: Callable[[], float], fetch: Fetch) -> None:
        self._provider = provider
        self._clock_s = clock_s
        self._fetch = fetch
        self._refreshing = threading.Lock()
        self._keys: Mapping[str, PyJWK] = {}
        self._read_s = float("-inf")
        self._tried_s = float("-inf")

    def identity(self, token: str) -> Identity:
        """Whom a token stands for. Raises `TokenRefused` and `ProviderAway`."""
        provider = self._provider
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in provider.algorithms:
                raise TokenRefused("it is signed with an algorithm that is not taken")
            claims = jwt.decode(
                token,
                self._key(str(header.get("kid", ""))),
                algorithms=list(provider.algorithms),
                issuer=provider.issuer,
                audience=provider.audience,
                options={
                    "require": ["exp", "iss", "aud"],
                    # times are judged below, by the clock that everything here goes by
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except InvalidTokenError as error:
            raise TokenRefused(_why(error)) from None
        self._check_times(claims)
        return self._read(claims)

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now_s, leeway_s = self._clock_s(), self._provider.leeway_s
        try:
            expires_s, begins_s = float(claims["exp"]), float(claims.get("nbf", now_s))
        except (TypeError, ValueError):
            raise TokenRefused("its times are no numbers") from None
        if not expires_s > now_s - leeway_s:  # NaN does not pass either
            raise TokenRefused("it has expired")
        if not begins_s <= now_s + leeway_s:
            raise TokenRefused("it is not valid yet")

    def _read(self, claims: Mapping[str, Any]) -> Identity:
        tenant = claims.get(self._provider.tenant_claim)
        if not isinstance(tenant, str) or not is_tenant(tenant):
            raise TokenRefused(f"its claim '{self._provider.tenant_claim}' names no tenant")
        granted = claims.get("scope", claims.get("scp", ""))
        words = granted.split() if isinstance(granted, str) else granted
        scopes = {word for word in words if isinstance(word, str)} if words else set()
        return Identity(
            tenant=tenant,
            role=_role(claims.get(self._provider.role_claim)),
            scopes=frozenset(scopes & set(SCOPES)),
            name=f"token of {str(claims.get('sub', ''))[:64]!r}",
        )

    def _key(self, key_id: str) -> PyJWK:
        now_s = self._clock_s()
        if now_s - self._read_s >= self._provider.keys_ttl_s:
            self._refresh(now_s)
        found = self._known(key_id)
        if found is None:
            self._refresh(now_s)
            found = self._known(key_id)
        if found is None:
            raise TokenRefused("it is signed with a key that its issuer does not publish")
        return found

    def _known(self, key_id: str) -> PyJWK | None:
        if not key_id and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _refresh(self, now_s: float) -> None:
        """Read the keys anew, unless that was tried a moment ago. While the provider is away the
        keys that are known go on.
        """
        with self._refreshing:
            if now_s - self._tried_s < REFRESH_PAUSE_S:
                if not self._keys:
                    raise ProviderAway("the provider's keys could not be read a moment ago")
                return
            self._tried_s = now_s
            try:
                self._keys = self._published()
                self._read_s = now_s
            except ProviderAway:
                if not self._keys:
                    raise

    def _published(self) -> Mapping[str, PyJWK]:
        url = self._provider.jwks_url
        if not url:
            about = self._fetch(
                f"{self._provider.issuer.rstrip('/')}/.well-known/openid-configuration"
            )
            url = str(about.get("jwks_uri", ""))
        check_address(url)
        try:
            keys = PyJWKSet.from_dict(dict(self._fetch(url))).keys
        except (PyJWKSetError, PyJWKError) as error:
            raise ProviderAway("what the provider publishes is no set of keys") from error
        return {str(key.key_id or ""): key for key in keys if key.public_key_use != "enc"}


def fetch_json(url: str) -> Mapping[str, Any]:
    """A JSON object from an address: a short wait, no redirects. Raises `ProviderAway`."""
    check_address(url)
    try:
        with httpx.stream("GET", url, timeout=_FETCH_S, follow_redirects=False) as answer:
            answer.raise_for_status()
            data = b""
            for chunk in answer.iter_bytes():
                data += chunk
                if len(data) > _LARGEST:
                    raise ProviderAway("the provider's document is too large")
        document = httpx.Response(200, content=data).json()
    except (httpx.HTTPError, ValueError) as error:
        raise ProviderAway(f"the provider does not answer ({type(error).__name__})") from error
    if not isinstance(document, dict):
        raise ProviderAway("the provider's document is no object")
    return document


def check_address(url: str) -> None:
    """Raise `ProviderAway` unless nobody on the way can change what is read there."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ProviderAway("the provider's keys are read from https:// addresses only")


def _role(claim: object) -> Role:
    """The highest role that is named; anything else is a user."""
    named = claim if isinstance(claim, list) else [claim]
    return next((role for role in reversed(ROLES) if role in named), "user")


def _why(error: InvalidTokenError) -> str:
    match error:
        case jwt.InvalidIssuerError():
            return "it is another issuer's"
        case jwt.InvalidAudienceError():
            return "it is for another audience"
        case jwt.MissingRequiredClaimError():
            return "it lacks exp, iss or aud"
        case jwt.InvalidSignatureError():
            return "its signature is wrong"
        case _:
            return "it is no token that can be read"
