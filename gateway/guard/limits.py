"""How large a body may be, how slowly it may come, and that it is JSON: checked before anything
parses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.guard.problems import Code, Problem
from gateway.guard.responses import problem_response

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})

LEAST_BYTES_PER_SECOND = 1024
"""Of a part on its way in, on average. A phone at the edge of a cell sends ten times as much; a
client that dribbles holds a connection and a file for hours."""


class Paced:
    """Receives a body that may be long and not slow: no pause longer than ``patience_s``, and after
    that time at least `LEAST_BYTES_PER_SECOND`. Raises `Problem` (408).
    """

    def __init__(self, receive: Receive, patience_s: float) -> None:
        self._receive = receive
        self._patience_s = patience_s
        self._began_s: float | None = None
        self._size = 0
        self._whole = False

    async def __call__(self) -> Message:
        """ASGI's receive."""
        if self._whole:  # from here on it waits for the client to go, which may take long
            return await self._receive()
        clock = asyncio.get_running_loop().time
        if self._began_s is None:
            self._began_s = clock()
        try:
            async with asyncio.timeout(self._patience_s):
                message = await self._receive()
        except TimeoutError:
            raise too_slow(f"Nothing of the part came for {self._patience_s:g} s.") from None
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        passed_s = clock() - self._began_s
        if passed_s > self._patience_s and self._size < passed_s * LEAST_BYTES_PER_SECOND:
            raise too_slow(f"The part came at less than {LEAST_BYTES_PER_SECOND} bytes a second.")
        return message


def too_slow(detail: str) -> Problem:
    """408, after which the connection ends: the rest of the body may never come."""
    return Problem(Code.REQUEST_TOO_SLOW, detail, headers={"Connection": "close"})


class BodyLimit:
    """Reads a request's body up to ``max_bytes`` and hands it on whole.

    A body is whole within ``patience_s`` seconds. ``exempt`` paths (prefixes) stream bodies of
    their own and limit their size themselves; those may take as long as they come at a pace.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        patience_s: float,
        exempt: tuple[str, ...],
        larger: Mapping[str, int] | None = None,
    ) -> None:
        """``larger``: paths whose bodies may have more bytes, and how many."""
        self._app = app
        self._patience_s = patience_s
        self._max_bytes = max_bytes
        self._exempt = exempt
        self._larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(self._exempt):
            await self._app(scope, Paced(receive, self._patience_s), send)
            return
        request = Request(scope)
        body: bytes | None = None
        try:
            async with asyncio.timeout(self._patience_s):
                body = await self._read(request, receive)
            problem = self._refusal(request, body)
        except TimeoutError:
            problem = too_slow(f"A body has to be whole within {self._patience_s:g} s.")
        if problem is not None:
            await problem_response(request, problem)(scope, receive, send)
            return
        assert body is not None  # that would have been a problem
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    def _most(self, request: Request) -> int:
        return self._larger.get(request.scope["path"], self._max_bytes)

    async def _read(self, request: Request, receive: Receive) -> bytes | None:
        declared = request.headers.get("content-length", "")
        most = self._most(request)
        if declared.isdecimal() and int(declared) > most:
            return None
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b"".join(chunks)
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > most:
                return None
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _refusal(self, request: Request, body: bytes | None) -> Problem | None:
        if body is None:
            return Problem(
                Code.BODY_TOO_LARGE,
                f"A body may have at most {self._most(request)} bytes.",
                extra={"maxBytes": self._most(request)},
                headers={"Connection": "close"},
            )
        media_type = request.headers.get("content-type", "application/json").partition(";")[0]
        media_type = media_type.strip().lower()
        if body and media_type != "application/json" and not media_type.endswith("+json"):
            return Problem(
                Code.MEDIA_TYPE_UNSUPPORTED,
                f"The body came as '{media_type[:100]}'; this API reads application/json.",
            )
        return None
