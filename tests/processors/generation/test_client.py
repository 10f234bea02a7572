"""What goes to the provider over HTTP, and what did not."""

from __future__ import annotations

import httpx

from processors.generation.provider import HttpProvider, Order, Unsent
from tests.processors.generation.parts import provider_settings

ORDER = Order("harbour lights", "folk", "Harbour Lights", "V4", False, "https://us.test/hook")


def test_without_a_key_nothing_says_who_asks() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"code": 200, "data": {"taskId": "t"}})

    for key in ("", " k\n"):
        settings = provider_settings(suno_api_key=key)
        with HttpProvider(settings, transport=httpx.MockTransport(answer)) as provider:
            provider.record("t")
    assert [request.headers.get("authorization") for request in seen] == [None, "Bearer k"]


def test_what_cannot_be_written_was_not_sent() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.LocalProtocolError("Illegal header value")

    with HttpProvider(provider_settings(), transport=httpx.MockTransport(refuse)) as provider:
        outcome = provider.generate(ORDER)
    assert isinstance(outcome, Unsent)
    assert "SUNO_API_KEY" in outcome.detail
