"""What a connection may cost before a request is whole: time, headers, answers that nobody reads.

uvicorn waits for ever for a request's head, takes headers of any size, and waits for ever for a
client that does not read. Each is a way to hold a server up with next to no effort (slowloris, slow
read); RFC 9110 (15.5.9) and RFC 6585 (5) have the words for refusing.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.guard.problems import MEDIA_TYPE, Code, Problem, body
from topics import trace

HEAD_S = 10.0
"""How long a request's head may take, from the connection or its first byte on."""

MOST_HEADER_BYTES = 32 * 1024
"""Of a request's line and headers: tokens and cookies have some kB; nginx takes 4 × 8 kB."""

MOST_HEADERS = 100

UNREAD_S = 60.0
"""How long a client may leave an answer unread while the gateway has more of it."""


class HeadTooLarge(Exception):
    """The head passed a limit. Raised inside the parser, which ends the connection."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection, ended when it costs too much. Counts in bytes and seconds."""

    head_s = HEAD_S
    unread_s = UNREAD_S

    _head: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _lingering: asyncio.TimerHandle | None = None
    _size = 0
    _unended = 0
    _whole = True
    _too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; it has `head_s` to say what it wants."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._head = canceled(self._head)
        self._unread = canceled(self._unread)
        self._lingering = canceled(self._lingering)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._size, self._unended, self._whole = 0, 0, False
        if self._head is None:
            self._await_head()

    def on_url(self, url: bytes) -> None:
        """A piece of the request's line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._count(len(name) + len(value) + 4)
        if len(self.headers) >= MOST_HEADERS:
            self._too_large = True
            raise HeadTooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole; the body is the application's affair."""
        self._head = canceled(self._head)
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        super().data_received(data)
        if self._head is None or self._whole:
            return
        # Still inside the head, so all of it belongs there: a header that has not ended is in
        # nobody else's count.
        self._unended += len(data)
        if self._unended > MOST_HEADER_BYTES:
            self._refuse(Code.HEADERS_TOO_LARGE)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._whole = True
        self._lingering = canceled(self._lingering)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is out. Who goes on sending a body that nobody wants is heard a while longer:
        a connection that is cut while it sends loses the answer that says why.
        """
        super().on_response_complete()
        if not self._whole and self._lingering is None and not self.transport.is_closing():
            self._lingering = self.loop.call_later(self.head_s, self.transport.close)

    def pause_writing(self) -> None:
        """The client reads slower than the gateway writes."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._unread = canceled(self._unread)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What the parser cannot read, as a problem."""
        self._refuse(Code.HEADERS_TOO_LARGE if self._too_large else Code.MALFORMED_REQUEST)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(self.head_s, self._too_late)

    def _too_late(self) -> None:
        self._head = None
        if self._whole:  # it never began a request
            self.transport.close()
        else:
            self._refuse(Code.REQUEST_TOO_SLOW)

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MOST_HEADER_BYTES:
            self._too_large = True
            raise HeadTooLarge

    def _refuse(self, code: Code) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(refusal(code))
        self.transport.close()


def refusal(code: Code) -> bytes:
    """A whole HTTP/1.1 answer: for requests that never reach the application."""
    traceparent = trace.continued(None)
    members: dict[str, Any] = body(
        Problem(code), instance="/", trace_id=trace.trace_id(traceparent)
    )
    content = json.dumps(members).encode()
    head = (
        f"HTTP/1.1 {code.status} {HTTPStatus(code.status).phrase}\r\n"
        f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(content)}\r\n"
        f"traceparent: {traceparent}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + content


def canceled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """No timer any more."""
    if timer is not None:
        timer.cancel()
    return None
