"""One attempt: a signed POST, its answer read as far as it matters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import httpx

from processors.delivery.schedule import retry_after_s
from processors.delivery.signing import headers
from topics.logs import redacted
from topics.outbound import Refused

READ_BYTES = 20_000
"""Of an answer (Svix keeps as much); what comes behind is not read."""

SHOWN_CHARS = 1_000
"""Of an answer that are kept for whoever looks why it failed."""

GONE = 410
_USER_AGENT = f"Melisma-Webhooks/{version('melisma')}"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, and by which keys it is signed."""

    url: str
    id: str
    body: bytes
    keys: Sequence[bytes]
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """How an attempt ended. ``status`` is 0 and ``error`` a word where no answer came."""

    status: int = 0
    error: str = ""
    detail: str = ""
    response: str = ""
    retry_after_s: float | None = None
    duration_ms: int = 0

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return 200 <= self.status < 300 and not self.error


async def send(
    transport: httpx.AsyncBaseTransport,
    message: Message,
    *,
    timeout_s: float,
    wall_ms: Callable[[], int],
) -> Answer:
    """POST a message once. Never raises for what the receiver does: that is an `Answer`."""
    begun_s = time.monotonic()
    answer = await _ask(transport, message, timeout_s, wall_ms())
    took_ms = round(1000 * (time.monotonic() - begun_s))
    return Answer(
        answer.status,
        answer.error,
        answer.detail,
        answer.response,
        answer.retry_after_s,
        took_ms,
    )


async def _ask(
    transport: httpx.AsyncBaseTransport, message: Message, timeout_s: float, now_ms: int
) -> Answer:
    status = 0
    try:
        request = httpx.Request(
            "POST",
            message.url,
            content=message.body,
            headers={
                "content-type": "application/json",
                "user-agent": _USER_AGENT,
                "accept-encoding": "identity",
                **({"traceparent": message.traceparent} if message.traceparent else {}),
                **headers(message.keys, message.id, now_ms // 1000, message.body),
            },
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)},
        )
        async with asyncio.timeout(timeout_s):  # of the whole: one byte a second is no way out
            response = await transport.handle_async_request(request)
            status = response.status_code
            try:
                text = await _beginning(response)
            finally:
                await response.aclose()
    except Refused as refused:
        return Answer(error=refused.code, detail=f"the URL is not called: {refused}")
    except (TimeoutError, httpx.TimeoutException):
        return Answer(status, "timeout", f"no whole answer came in {timeout_s:g} s")
    except httpx.ConnectError as error:
        return Answer(error="connect", detail=f"no connection: {_said(error)}")
    except (httpx.TransportError, httpx.InvalidURL) as error:
        return Answer(status, "connection", f"the connection broke: {_said(error)}")
    if 200 <= status < 300:
        return Answer(status, response=text)
    why = "a redirect, which is not followed" if 300 <= status < 400 else "no success"
    asked_s = retry_after_s(response.headers.get("retry-after"), now_ms)
    return Answer(
        status,
        "gone" if status == GONE else "status",
        f"the receiver answered {status}: {why}",
        text,
        asked_s,
    )


async def _beginning(response: httpx.Response) -> str:
    """What the answer begins with; at most `READ_BYTES` are taken off the wire."""
    taken = b""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for part in response.stream:
        taken += part
        if len(taken) >= READ_BYTES:
            break
    text = taken[:READ_BYTES].decode("utf-8", "replace").replace("\0", " ")
    return redacted(text)[:SHOWN_CHARS]


def _said(error: Exception) -> str:
    return redacted(str(error))[:200] or type(error).__name__
