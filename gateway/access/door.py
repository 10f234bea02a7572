"""The door: every request passes here, before its body is read and before a route is looked for.

With ``ACCESS=off`` or ``open`` everybody is let in as the one tenant there is. With ``on`` a
request names its API key or token (``Authorization: Bearer``), and from then on what it may do, and
in which tenant, follows from that alone: ``X-Client-Id`` says nothing about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access import keys
from gateway.access.buckets import Buckets, Standing
from gateway.access.identity import Identity, is_tenant
from gateway.access.scopes import is_public, scope_of
from gateway.access.tokens import ProviderAway, TokenRefused, Tokens
from gateway.guard.clients import address_of
from gateway.guard.problems import Code, Problem
from gateway.guard.responses import out_of_service, problem_response
from gateway.projection.reservations import Client, Reservations
from gateway.projection.store import StoreError
from gateway.settings import GatewaySettings

FAILURES_PER_MINUTE = 30
"""Wrong credentials from one address. Keys cannot be guessed; this spares the database."""

KEY_KEPT_S = 5.0
"""How long a gateway believes what it last read of a key: so soon a revocation holds everywhere."""

_MOST_KEYS_KEPT = 10_000
_LONGEST_CREDENTIAL = 8_192  # tokens with many claims have some kB; servers cut headers at 8 kB

_log = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class _Known:
    client: Client
    read_s: float


class Door:
    """ASGI. Puts the `Identity` of a request where `gateway.guard.clients.caller` finds it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: GatewaySettings,
        rows: Reservations,
        tokens: Tokens | None,
        clock_ms: Callable[[], int],
    ) -> None:
        self._app = app
        self._on = settings.access == "on"
        self._trusted = settings.trusted_proxies
        self._rows = rows
        self._tokens = tokens
        self._clock_ms = clock_ms
        self._known: dict[str, _Known] = {}
        self._requests = Buckets(
            "default",
            settings.rate_limit_requests,
            settings.rate_limit_window_seconds,
            clock_s=self._now_s,
        )
        self._failures = Buckets("failures", FAILURES_PER_MINUTE, 60, clock_s=self._now_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and self._on and not is_public(scope["path"]):
            request = Request(scope)
            try:
                await self._admit(request)
            except Problem as problem:
                await problem_response(request, problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _now_s(self) -> float:
        return self._clock_ms() / 1000

    async def _admit(self, request: Request) -> None:
        identity = await self._identify(request)
        request.state.identity_name = identity.name
        if identity.limited:
            standing = self._requests.take(identity.tenant)
            request.state.answer_headers = standing.headers()
            if standing.retry_after_s:
                raise too_fast(standing)
        needed = scope_of(request.method, request.url.path)
        if needed is not None and not identity.may(needed):
            raise Problem(
                Code.SCOPE_MISSING,
                f"This asks for the scope '{needed}'.",
                extra={"scope": needed},
            )
        if needed is None:
            raise Problem(Code.NOT_FOUND)
        request.state.identity = _in_tenant(identity, request.headers.get("x-tenant"))

    async def _identify(self, request: Request) -> Identity:
        credential = _credential(request)
        address = address_of(request, self._trusted)
        if not keys.looks_like_key(credential):
            return await self._of_token(credential, address)
        digest = keys.digest(credential)
        known = self._known.get(digest)
        if known is None or not 0 <= self._now_s() - known.read_s < KEY_KEPT_S:
            self._require_patience(address)
            client = await run_in_threadpool(self._read, digest)
            if client is None:
                raise self._failed(address, "There is no such key.")
            if len(self._known) >= _MOST_KEYS_KEPT:
                self._known.clear()
            known = self._known[digest] = _Known(client, self._now_s())
        client = known.client
        if client.revoked_ms is not None:
            raise self._failed(address, "The key was revoked.")
        if not keys.works(client, self._clock_ms()):
            raise self._failed(address, "The key has expired.")
        return keys.identity_of(client)

    def _read(self, digest: str) -> Client | None:
        try:
            return self._rows.client(digest)
        except StoreError as error:
            _log.warning("a key could not be looked up", failure=repr(error))
            raise out_of_service() from None

    async def _of_token(self, credential: str, address: str) -> Identity:
        self._require_patience(address)
        if self._tokens is None:
            raise self._failed(address, "That is no API key.")
        try:
            return await run_in_threadpool(self._tokens.identity, credential)
        except TokenRefused as refused:
            raise self._failed(address, f"The token is refused: {refused}.") from None
        except ProviderAway as away:
            _log.warning("tokens cannot be judged", failure=str(away))
            raise out_of_service() from None

    def _require_patience(self, address: str) -> None:
        standing = self._failures.take(address, 0)
        if standing.retry_after_s:
            raise too_fast(standing)

    def _failed(self, address: str, why: str) -> Problem:
        self._failures.take(address)
        return Problem(
            Code.CREDENTIALS_INVALID,
            why,
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )


def too_fast(standing: Standing) -> Problem:
    """The 429 of a spent bucket."""
    return Problem(
        Code.RATE_LIMITED,
        f"{standing.quota} requests in {standing.window_s} s are served; they were used.",
        headers={"Retry-After": str(standing.retry_after_s)},
        extra={"limit": standing.quota, "windowSeconds": standing.window_s},
    )


def _credential(request: Request) -> str:
    given = request.headers.getlist("authorization")
    scheme, _, credential = given[0].strip().partition(" ") if given else ("", "", "")
    credential = credential.strip()
    if len(given) != 1 or scheme.lower() != "bearer" or not credential:
        raise Problem(
            Code.CREDENTIALS_MISSING,
            "The request carries no API key or token.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return credential[:_LONGEST_CREDENTIAL]


def _in_tenant(identity: Identity, named: str | None) -> Identity:
    """Where it works: an operator in the tenant that X-Tenant names, a user at home."""
    if named is None or named == identity.tenant:
        return identity
    if identity.role == "user" or not is_tenant(named):
        raise Problem(Code.TENANT_REFUSED, "Only operators work in another tenant, by its name.")
    return identity.within(named)
