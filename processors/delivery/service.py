"""The deliveries of one process: a thread that fans out, one that decides, one that sends."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Self

import httpx

from processors.delivery.courier import Courier
from processors.delivery.fanout import Fanout
from processors.delivery.settings import DeliverySettings
from processors.delivery.worker import Worker
from processors.runtime.clock import Clock
from topics import logs
from topics.artifacts.protocol import ArtifactStore
from topics.log import Log
from topics.outbound import GuardedTransport
from topics.process import process_name
from topics.webhooks import Directory, SigningKeys

_STUCK_S = 60.0
_JOIN_S = 20.0

_logger = logs.get(__name__)


class Deliveries:
    """Sends webhooks until it is stopped. Any number may share the load: a group of the log."""

    def __init__(
        self,
        settings: DeliverySettings,
        *,
        log: Log,
        artifacts: ArtifactStore,
        keys: SigningKeys,
        clock: Clock | None = None,
        name: str | None = None,
        chance: random.Random | None = None,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        """``transport`` makes what sends, on the event loop that uses it; the guarded one."""
        self._clock = clock or Clock()
        self._codec = settings.bus.codec()
        name = name or process_name()
        guard = settings.outbound.guard()
        self._courier = Courier(
            artifacts,
            keys,
            transport
            or (lambda: GuardedTransport(guard, connections=settings.webhook_concurrency)),
            timeout_s=settings.webhook_timeout_seconds,
            wall_ms=self._clock.wall_ms,
            wake=lambda: self._worker.wake(),
        )
        self._worker = Worker(
            settings,
            log=log,
            codec=self._codec,
            directory=Directory(log, self._codec),
            courier=self._courier,
            clock=self._clock,
            name=name,
            chance=chance or random.Random(),  # noqa: S311  (spreads retries, guards nothing)
        )
        self._fanout = Fanout(
            log,
            self._codec,
            Directory(log, self._codec),
            name=name,
            max_age_ms=round(1000 * settings.webhook_max_age_seconds),
            wall_ms=self._clock.wall_ms,
        )
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._kept, args=(part.run,), name=label, daemon=True)
            for label, part in (("fanout", self._fanout), ("delivery", self._worker))
        ]

    def start(self) -> Self:
        """Begin to send."""
        self._courier.start()
        for thread in self._threads:
            thread.start()
        return self

    @property
    def alive(self) -> bool:
        """Whether both loops move."""
        still_s = self._clock.monotonic_s() - self._worker.moved_s
        return all(thread.is_alive() for thread in self._threads) and still_s < _STUCK_S

    def stop(self) -> None:
        """Write down what is known and leave; what was under way is still owed."""
        self._stop.set()
        self._worker.wake()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_JOIN_S)
        self._courier.close()
        self._codec.close()

    def _kept(self, run: Callable[[threading.Event], None]) -> None:
        while not self._stop.is_set():
            try:
                run(self._stop)
            except Exception:
                # Every fact is on the log: beginning again is always sound.
                _logger.exception("the deliveries begin again")
                self._stop.wait(1.0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()
