"""An httpx transport that dials the very address that was checked.

The check sits between the look-up of the name and the connection: httpcore asks its network
backend to connect to a host name, this one looks it up once, judges every address, and dials the
numbers. There is no second look-up that could answer differently, and a connection that is used
again was judged when it was made. Host header and SNI stay the name's. Redirects, cookies, proxies
of the environment and decompression are the client's affairs, and nobody has them here: a
transport answers one request.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import httpcore
import httpx

from topics.outbound.addresses import Guard, Refused

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name, as text. Raises OSError."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, in its order of preference. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to what the guard lets pass."""

    def __init__(self, guard: Guard, resolver: Resolve = resolve) -> None:
        self._guard = guard
        self._resolve = resolver
        self._dial = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look up once, judge, dial. Raises `Refused` and httpcore's connection errors."""
        self._guard.check_port(port)
        try:
            async with asyncio.timeout(timeout):
                found = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("its host name has no address") from error
        failure: Exception | None = None
        for address in self._guard.check_resolved(found):
            try:
                stream = await self._dial.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            await self._check_peer(stream)
            return stream
        assert failure is not None
        raise failure

    async def _check_peer(self, stream: httpcore.AsyncNetworkStream) -> None:
        """What was dialled is what was meant: the system's own word for it."""
        peer = stream.get_extra_info("server_addr")
        try:
            self._guard.check_address(ip_address(str(peer[0]).partition("%")[0]))
        except Refused:
            await stream.aclose()
            raise

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore.AsyncNetworkStream:
        """Never. Raises `Refused`."""
        raise Refused("it is a socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """httpcore's pause between its own tries, of which there are none."""
        await asyncio.sleep(seconds)


class _Body(httpx.AsyncByteStream):
    """The answer's body as it comes, not decompressed: a bomb stays as small as it was sent."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._response.aclose()


class GuardedTransport(httpx.AsyncBaseTransport):
    """One request at a time to what the guard lets pass; connections are kept and used again."""

    def __init__(
        self,
        guard: Guard,
        *,
        resolver: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
        connections: int = 100,
        idle_seconds: float = 30.0,
    ) -> None:
        self._guard = guard
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(trust_env=False),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=idle_seconds,
            retries=0,
            network_backend=GuardedBackend(guard, resolver),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises `Refused` and httpx's transport errors."""
        self._guard.check_url(str(request.url))
        with _as_httpx():
            answer = await self._pool.handle_async_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.NetworkError, httpx.NetworkError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore.ProtocolError, httpx.ProtocolError),
    (httpcore.TimeoutException, httpx.TimeoutException),
)


@contextmanager
def _as_httpx() -> Iterator[None]:
    """httpcore's errors as httpx's, which callers know."""
    try:
        yield
    except Exception as error:
        for ours, theirs in _ERRORS:
            if isinstance(error, ours):
                raise theirs(str(error)) from error
        raise
