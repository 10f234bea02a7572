"""How the client asks: again while the gateway is away, with growing pauses, up to a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

Json = dict[str, Any]

_AWAY = frozenset({502, 503, 504})


class Refused(Exception):
    """The gateway refused: the problem's members are here, ``code`` says which one it is."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code", ""))
        self.trace_id = str(problem.get("traceId", ""))
        detail = problem.get("detail") or problem.get("title") or f"status {status}"
        super().__init__(f"{detail} {problem.get('help', '')}".strip())


class Unreachable(Exception):
    """The gateway did not answer, however often it was asked."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait between tries, in seconds."""

    initial_s: float = 0.2
    factor: float = 1.6
    maximum_s: float = 5.0
    give_up_after_s: float = 60.0

    def pauses(self, jitter: Callable[[], float]) -> Iterator[float]:
        """Growing pauses, each shortened or lengthened by up to a fifth."""
        pause = self.initial_s
        while True:
            yield pause * (0.8 + 0.4 * jitter())
            pause = min(pause * self.factor, self.maximum_s)


class Calls:
    """Requests that outlast a restart of the gateway."""

    def __init__(
        self,
        http: httpx.Client,
        backoff: Backoff,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self.http = http
        self.backoff = backoff
        self._sleep = sleep
        self._clock = clock
        self._jitter = jitter

    def ask(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Ask until there is an answer; raise `Refused` unless it is a 2xx."""
        began = self._clock()
        for pause in self.backoff.pauses(self._jitter):
            answer: httpx.Response | None = None
            failure: httpx.TransportError | None = None
            try:
                answer = self.http.request(method, url, **options)
            except httpx.TransportError as error:
                failure = error
            if answer is not None and not _worth_another_try(answer):
                if answer.is_success:
                    return answer
                raise Refused(answer.status_code, members(answer))
            wait = max(pause, _retry_after_s(answer))
            if self._clock() - began + wait > self.backoff.give_up_after_s:
                if answer is not None:
                    raise Refused(answer.status_code, members(answer))
                path = httpx.URL(url).path
                raise Unreachable(f"no answer to {method} {path}: {failure}") from failure
            self._sleep(wait)
        raise AssertionError("pauses never end")


def _worth_another_try(answer: httpx.Response) -> bool:
    if answer.status_code in _AWAY:
        return True
    return answer.status_code == 409 and members(answer).get("code") == "idempotency_in_flight"


def _retry_after_s(answer: httpx.Response | None) -> float:
    given = answer.headers.get("Retry-After", "") if answer is not None else ""
    return float(given) if given.isdecimal() else 0.0


def members(answer: httpx.Response) -> Json:
    """A problem's members, or the status alone where a proxy answered with something else."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"status": answer.status_code}
