"""Answers that are still true: a client that polls gets the bytes it would get anyway.

Most of what a gateway is asked is whether anything has changed, and mostly nothing has. The answer
to such a poll is kept, and given again for as long as the projection has not moved at all; so a
change is seen by the very next request, whoever made it, as without. What a clock moves in an
answer (elapsed seconds, a link's time to live) may be up to `FRESH_MS` old.

Only where asking whether the projection moved is a look into shared memory (SQLite's WAL): with a
database over the network the question costs as much as the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access.identity import ANYBODY, Identity
from gateway.projection.store import StoreError

FRESH_MS = 1000
"""A person sees no difference, and a poll comes every two seconds."""

MOST_BYTES = 32 * 1024 * 1024
"""Of everything that is kept; when it is full all of it is thrown away."""

_POLLED = re.compile(r"/v1/(?:jobs/[^/]+|tracks/[^/]+/ready)")

_Key = tuple[str, bytes, bytes, str, str, bytes]


@dataclass(frozen=True, slots=True)
class _Answer:
    sequence: int
    made_ms: int
    start: Message
    body: bytes


class Remembered:
    """ASGI, behind the door: an answer is kept for the tenant, the client and the address that got
    it, because links in it are bound to them.
    """

    def __init__(
        self, app: ASGIApp, *, sequence: Callable[[], int], clock_ms: Callable[[], int]
    ) -> None:
        self._app = app
        self._sequence = sequence
        self._clock_ms = clock_ms
        self._answers: dict[_Key, _Answer] = {}
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if (
            scope["type"] != "http"
            or scope["method"] != "GET"
            or _POLLED.fullmatch(scope["path"]) is None
        ):
            await self._app(scope, receive, send)
            return
        key = _key(scope)
        try:
            # Before anything is read: a change that comes while the answer is made outdates it.
            sequence = self._sequence()
        except StoreError:
            await self._app(scope, receive, send)
            return
        known = self._answers.get(key)
        now_ms = self._clock_ms()
        if (
            known is not None
            and known.sequence == sequence
            and 0 <= now_ms - known.made_ms < FRESH_MS
        ):
            scope.setdefault("state", {})["nothing_new"] = True
            await send({**known.start, "headers": list(known.start["headers"])})
            await send({"type": "http.response.body", "body": known.body})
            return
        await self._app(scope, receive, self._keeping(key, sequence, now_ms, send))

    def _keeping(self, key: _Key, sequence: int, now_ms: int, send: Send) -> Send:
        start: Message = {}
        body = bytearray()

        async def kept(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                # what the outer layers add is of this one request
                start = {**message, "headers": list(message.get("headers", ()))}
            elif message["type"] == "http.response.body" and start.get("status") == 200:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    self._keep(key, _Answer(sequence, now_ms, start, bytes(body)))
            await send(message)

        return kept

    def _keep(self, key: _Key, answer: _Answer) -> None:
        if self._bytes + len(answer.body) > MOST_BYTES:
            self._answers.clear()
            self._bytes = 0
        before = self._answers.get(key)
        self._bytes += len(answer.body) - (len(before.body) if before is not None else 0)
        self._answers[key] = answer


def _key(scope: Scope) -> _Key:
    identity: Identity = scope.get("state", {}).get("identity", ANYBODY)
    client = b""
    forwarded: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"x-client-id":
            client = value
        elif name == b"x-forwarded-for":
            forwarded.append(value)
    peer = scope["client"][0] if scope.get("client") else ""
    query: bytes = scope.get("query_string", b"")
    return (identity.tenant, client, query, scope["path"], peer, b",".join(forwarded))
