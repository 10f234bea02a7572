"""A post office under test: the embedded log, a store, endpoints, and workers over them."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings

from processors.delivery.service import Deliveries
from processors.delivery.settings import DeliverySettings
from schemas.events import (
    Event,
    Notified,
    WebhookAttempted,
    WebhookEndpointChanged,
    WebhookEndpointJudged,
)
from topics.artifacts.local import LocalStore
from topics.catalog import partitions
from topics.codec import Codec, Envelope
from topics.log.embedded import EmbeddedLog
from topics.outbound import OutboundSettings
from topics.settings import BusSettings
from topics.webhooks import SigningKeys
from topics.webhooks.destinations import keep

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
MASTER = b"0123456789abcdef0123456789abcdef"
PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0)
"""A schedule for people in a hurry."""


def _only_given(kind: type[BaseSettings]) -> Any:
    class Isolated(kind):  # type: ignore[valid-type,misc]
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], init_settings: Any, *others: Any, **named: Any
        ) -> tuple[Any, ...]:
            return (init_settings,)

    return Isolated


def settings(folder: Path, **changes: Any) -> DeliverySettings:
    """Settings that no environment reaches, of somebody who may call the loopback address."""
    chosen: dict[str, Any] = {
        "webhook_retry_seconds": PAUSES_S,
        "webhook_timeout_seconds": 1.0,
        "outbound": _only_given(OutboundSettings)(
            callback_http_allowed=True, webhook_ports=(), webhook_allow_networks=LOOPBACK
        ),
        "bus": _only_given(BusSettings)(data_dir=folder),
    } | changes
    made: DeliverySettings = _only_given(DeliverySettings)(**chosen)
    return made


@dataclass
class Post:
    """The parts. Notifications and endpoints are written as the product writes them."""

    folder: Path
    log: EmbeddedLog = field(init=False)

    def __post_init__(self) -> None:
        self.codec = Codec()
        self.keys = SigningKeys(MASTER)
        self.log = EmbeddedLog(self.folder / "log.db")
        self.log.provision(partitions(()))
        self.artifacts = LocalStore(self.folder / "artifacts", secret=MASTER, base_url="http://x")
        self._causes = itertools.count(1)
        self._workers: list[Deliveries] = []

    def close(self) -> None:
        for worker in self._workers:
            worker.stop()
        self.log.close()

    def work(self, **changes: Any) -> Deliveries:
        """A worker that has begun."""
        made = Deliveries(
            settings(self.folder, **changes),
            log=self.log,
            artifacts=self.artifacts,
            keys=self.keys,
            name=f"w{len(self._workers)}",
            chance=random.Random(7),
        ).start()
        self._workers.append(made)
        return made

    def write(self, *events: Event, time_ms: int = 0) -> None:
        producer = self.log.producer("test")
        producer.send(
            [
                self.codec.encode(
                    Envelope.caused(
                        event,
                        by=f"cause-{next(self._causes)}",
                        source="test",
                        time_ms=time_ms,
                        traceparent="",
                    )
                )
                for event in events
            ]
        )
        producer.close()

    def endpoint(self, number: int, url: str, **more: Any) -> WebhookEndpointChanged:
        """A standing endpoint at a URL."""
        callback = self.keys.destination_id("default", url)
        keep(self.artifacts, "default", callback, url)
        fields: dict[str, Any] = {"endpoint_id": f"whk_{number}", "callback_id": callback}
        event = WebhookEndpointChanged(**fields | {"created_ms": 1} | more)
        self.write(event)
        return event

    def changed(self, event: WebhookEndpointChanged, **more: Any) -> WebhookEndpointChanged:
        """The next revision of an endpoint."""
        after = replace(event, revision=event.revision + 1, **more)
        self.write(after)
        return after

    def notices(self, count: int, *, first: int = 0, **more: Any) -> list[Notified]:
        """Notifications of as many tracks, not written yet."""
        now_ms = time.time_ns() // 1_000_000
        found = []
        for number in range(first, first + count):
            fields: dict[str, Any] = {
                "notification_id": f"msg_{number:06d}",
                "track_id": f"trk_{number:06d}",
                "job_id": f"job_{number:06d}",
                "type": "track.ready",
                "version": 1,
                "sequence": 1,
                "occurred_ms": now_ms,
                "callback_id": "",
            }
            found.append(Notified(**fields | more))
        return found

    def attempts(self) -> list[WebhookAttempted]:
        """Everything that was written about deliveries, in order a partition."""
        events = self.events("webhook-attempted")
        return [each for each in events if isinstance(each, WebhookAttempted)]

    def verdicts(self) -> list[WebhookEndpointJudged]:
        events = self.events("webhook-endpoint-judged")
        return [each for each in events if isinstance(each, WebhookEndpointJudged)]

    def events(self, topic: str) -> Sequence[Event]:
        reader = self.log.reader([topic])
        found: list[Event] = []
        try:
            while not reader.caught_up():
                found += [self.codec.decode(record).event for record in reader.poll(0.05, 1000)]
        finally:
            reader.close()
        return found

    def secret(self, endpoint_id: str, generation: int = 1) -> str:
        return self.keys.secret("default", endpoint_id, generation)
