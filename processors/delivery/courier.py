"""The event loop that sends, on a thread of its own: hundreds of attempts wait side by side."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from processors.delivery.owed import Delivery
from processors.delivery.sending import Answer, Message, send
from topics import logs
from topics.artifacts.protocol import ArtifactError, ArtifactMissing, ArtifactStore
from topics.webhooks import Endpoint, SigningKeys
from topics.webhooks.destinations import find

_URLS = 10_000  # kept: a few megabytes

_logger = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Errand:
    """One attempt to make."""

    endpoint: Endpoint
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Report:
    """How an errand ended; ``answer`` is None where nothing could be tried."""

    errand: Errand
    answer: Answer | None


class Courier:
    """Makes attempts. `run` and `reports` belong to the worker's thread."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        keys: SigningKeys,
        transport: Callable[[], httpx.AsyncBaseTransport],
        *,
        timeout_s: float,
        wall_ms: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._artifacts = artifacts
        self._keys = keys
        self._make_transport = transport
        self._timeout_s = timeout_s
        self._wall_ms = wall_ms
        self._wake = wake
        self._done: deque[Report] = deque()
        self._urls: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._transport: httpx.AsyncBaseTransport | None = None
        self._thread = threading.Thread(target=self._serve, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to take errands."""
        self._thread.start()

    def run(self, errands: Sequence[Errand]) -> None:
        """Make these attempts, all at once."""
        if errands:
            self._loop.call_soon_threadsafe(self._begin, errands)

    def reports(self) -> list[Report]:
        """What ended since the last call."""
        found = []
        while self._done:
            found.append(self._done.popleft())
        return found

    def close(self) -> None:
        """Give up what is under way: it is still owed."""
        if self._loop.is_closed():
            return
        if self._thread.ident is None:
            self._loop.close()
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._transport = self._make_transport()
        try:
            self._loop.run_forever()
        finally:
            for task in self._tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            self._loop.run_until_complete(self._transport.aclose())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def _begin(self, errands: Sequence[Errand]) -> None:
        for errand in errands:
            task = self._loop.create_task(self._make(errand))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _make(self, errand: Errand) -> None:
        try:
            answer = await self._attempt(errand)
        except asyncio.CancelledError:
            raise
        except Exception:  # nothing that one receiver does may cost the others their worker
            _logger.exception("an attempt failed in an unforeseen way")
            answer = Answer(error="internal", detail="the attempt failed on our side")
        idle = not self._done
        self._done.append(Report(errand, answer))
        if idle:  # else the worker was woken and has not come yet
            self._wake()

    async def _attempt(self, errand: Errand) -> Answer | None:
        endpoint, event = errand.endpoint, errand.delivery.event
        try:
            url = await self._url(endpoint)
        except ArtifactMissing:
            return Answer(error="destination_missing", detail="the endpoint's URL is not kept")
        except ArtifactError as error:
            _logger.warning("an endpoint's URL cannot be read; tried again", reason=str(error))
            return None
        assert self._transport is not None
        message = Message(
            url,
            event.notification_id,
            event.body.encode(),
            self._keys.signing(endpoint, self._wall_ms()),
            errand.delivery.traceparent,
        )
        return await send(
            self._transport, message, timeout_s=self._timeout_s, wall_ms=self._wall_ms
        )

    async def _url(self, endpoint: Endpoint) -> str:
        """Where it is. Kept once read: an object of that id never changes."""
        place = (endpoint.tenant, endpoint.callback_id)
        known = self._urls.get(place)
        if known is None:
            known = await asyncio.to_thread(find, self._artifacts, *place)
            self._urls[place] = known
            if len(self._urls) > _URLS:
                self._urls.popitem(last=False)
        return known
