"""The endpoints of every tenant, read from their topics by whoever needs them."""

from __future__ import annotations

import threading

from schemas.events import WebhookEndpointChanged, WebhookEndpointJudged
from topics import logs
from topics.codec import Codec, Poison
from topics.log import Log, TopicPartition
from topics.webhooks.endpoints import CALLBACK_PREFIX, Endpoint, Endpoints, signer_id
from topics.webhooks.secrets import CALLBACKS

TOPICS = (WebhookEndpointChanged.topic, WebhookEndpointJudged.topic)

_POLL_S = 0.2

_log = logs.get(__name__)


class Directory:
    """Every endpoint as of the last `refresh`. Safe to share between threads."""

    def __init__(self, log: Log, codec: Codec) -> None:
        self._log = log
        self._codec = codec
        self._topics = [codec.on_log(topic) for topic in TOPICS]
        self._endpoints = Endpoints()
        self._positions: dict[TopicPartition, int] = {}
        self._lock = threading.Lock()
        self.version = 0
        """Rises with every change that was read."""

    def refresh(self) -> None:
        """Read what was committed until now, by any process. Raises `LogError`."""
        with self._lock:
            ends = self._log.end_offsets(self._topics)
            if all(self._positions.get(tp, 0) >= end for tp, end in ends.items()):
                return
            reader = self._log.reader(self._topics, start=self._positions)
            try:
                while not reader.caught_up():
                    for record in reader.poll(_POLL_S, 1000):
                        self._positions[record.tp] = record.offset + 1
                        try:
                            envelope = self._codec.decode(record)
                        except Poison as poison:
                            _log.error(
                                "no event of an endpoint; left out",
                                topic=record.topic,
                                offset=record.offset,
                                reason=str(poison),
                            )
                            continue
                        self._endpoints.add(envelope.event, envelope.time_ms)
                        self.version += 1
            finally:
                reader.close()
            # Markers of transactions take offsets that no record has.
            for tp, end in ends.items():
                self._positions[tp] = max(end, self._positions.get(tp, 0))

    def endpoint(self, tenant: str, endpoint_id: str) -> Endpoint | None:
        """An endpoint of a tenant; the callbacks of its jobs are endpoints too."""
        return self._endpoints.endpoint(tenant, endpoint_id, signs_as=CALLBACKS)

    def signer(self, tenant: str) -> Endpoint:
        """Not an endpoint to call: what counts the secrets of a tenant's callbacks."""
        found = self._endpoints.endpoint(tenant, signer_id(tenant), signs_as=CALLBACKS)
        return found or Endpoint(id=signer_id(tenant), tenant=tenant, callback_id="")

    def of(self, tenant: str) -> list[Endpoint]:
        """The endpoints that a tenant created and did not delete, the oldest first."""
        found = (
            self.endpoint(tenant, endpoint_id)
            for endpoint_id in self._endpoints.of(tenant)
            if not endpoint_id.startswith(CALLBACK_PREFIX) and endpoint_id != signer_id(tenant)
        )
        kept = [each for each in found if each is not None and each.status != "deleted"]
        return sorted(kept, key=lambda each: (each.created_ms, each.id))

    def disabled(self) -> list[Endpoint]:
        """Every tenant's endpoints that are called no more."""
        found = (self.endpoint(tenant, each) for tenant, each in self._endpoints.disabled())
        return [each for each in found if each is not None and each.status == "disabled"]
