"""Requests to an ASGI application without a socket, one at a time, from any address."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI


class Calls:
    """A client at an address. Each has an event loop of its own, so threads may each use one."""

    def __init__(
        self, app: FastAPI, *, base_url: str, address: str, headers: dict[str, str]
    ) -> None:
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(
            app=app, client=(address, 50_000), raise_app_exceptions=False
        )
        self._client = httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers)

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Ask and wait for the whole answer."""
        return self._runner.run(self._client.request(method, url, **options))

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Any) -> httpx.Response:
        return self.request("HEAD", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> httpx.Response:
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> httpx.Response:
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", url, **options)

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()
