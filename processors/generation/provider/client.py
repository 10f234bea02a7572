"""Asking a provider over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import httpx

from processors.generation.provider.answers import (
    Outcome,
    Reading,
    Undecided,
    Unread,
    Unsent,
    outcome_of,
    reading_of,
)
from topics.outbound.provider import ProviderSettings

_MOST_BYTES = 1 << 20  # of an answer; records with two songs have about 10 kB


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for."""

    prompt: str
    style: str
    title: str
    model: str
    instrumental: bool
    callback_url: str

    def body(self) -> dict[str, Any]:
        """The request. With style and title it is "custom mode": the prompt is the lyrics then."""
        custom = bool(self.style and self.title)
        wanted: dict[str, Any] = {
            "prompt": self.prompt,
            "customMode": custom,
            "instrumental": self.instrumental,
            "model": self.model,
            "callBackUrl": self.callback_url,
        }
        return wanted | ({"style": self.style, "title": self.title} if custom else {})


class Provider(Protocol):
    """Somebody who makes songs. Nothing is raised: what went wrong is an answer."""

    def generate(self, order: Order) -> Outcome:
        """Ask for songs. Paid when it is taken."""

    def record(self, task_id: str) -> Reading:
        """How a task stands."""


class HttpProvider:
    """A `Provider` behind an address. One thread at a time."""

    def __init__(
        self, settings: ProviderSettings, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Without ``transport`` over the network; proxies of the environment are not asked."""
        self._profile = settings.profile
        self._http = httpx.Client(
            base_url=settings.suno_base_url,
            headers=settings.headers,
            timeout=settings.suno_timeout_seconds,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )

    def generate(self, order: Order) -> Outcome:
        """Ask for songs."""
        try:
            status, body = self._ask("POST", self._profile.generate_path, json=order.body())
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Unsent(f"the provider cannot be reached ({type(error).__name__})")
        except httpx.LocalProtocolError:
            return Unsent("the request cannot be written; check the letters of SUNO_API_KEY")
        except (httpx.HTTPError, _TooLong) as error:
            # Everything after the connection: the request may have been read to its end.
            return Undecided(f"the provider did not answer ({type(error).__name__})")
        return outcome_of(status, body, self._profile)

    def record(self, task_id: str) -> Reading:
        """How a task stands."""
        try:
            status, body = self._ask("GET", self._profile.record_path, params={"taskId": task_id})
        except (httpx.HTTPError, _TooLong) as error:
            return Unread("unreachable", f"the provider did not answer ({type(error).__name__})")
        return reading_of(status, body, self._profile)

    def _ask(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        with self._http.stream(method, path, **options) as answer:
            body = bytearray()
            for part in answer.iter_bytes():
                body += part
                if len(body) > _MOST_BYTES:
                    raise _TooLong
            return answer.status_code, bytes(body)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _TooLong(Exception):
    """The answer does not end."""
