"""How large a JSON body may be, and that it is JSON: checked before anything parses it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.guard.problems import Code, Problem
from gateway.guard.responses import problem_response

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class BodyLimit:
    """Reads a request's body up to ``max_bytes`` and hands it on whole.

    ``exempt`` paths (prefixes) stream bodies of their own and limit them themselves.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, exempt: tuple[str, ...]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if (
            scope["type"] != "http"
            or scope["method"] not in _WITH_BODY
            or scope["path"].startswith(self._exempt)
        ):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        body = await self._read(request, receive)
        problem = self._refusal(request, body)
        if problem is not None:
            await problem_response(request, problem)(scope, receive, send)
            return
        assert body is not None
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _read(self, request: Request, receive: Receive) -> bytes | None:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            return None
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b"".join(chunks)
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._max_bytes:
                return None
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _refusal(self, request: Request, body: bytes | None) -> Problem | None:
        if body is None:
            return Problem(
                Code.BODY_TOO_LARGE,
                f"A body may have at most {self._max_bytes} bytes.",
                extra={"maxBytes": self._max_bytes},
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
