"""What the API works with, put together once and passed in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from gateway.access.quotas import Admissions
from gateway.access.tokens import Fetch, Tokens, fetch_json, provider_of
from gateway.changes import Changes
from gateway.documents import Documents
from gateway.extraction.room import Room
from gateway.extraction.waiters import Waiters
from gateway.guard.locks import TrackLocks
from gateway.identifiers import new_seed
from gateway.projection.reservations import Reservations
from gateway.projection.store import ProjectionStore
from gateway.publishing import Publisher
from gateway.settings import GatewaySettings
from gateway.webhooks.desk import Desk
from topics.admission import WaitingRoom
from topics.artifacts.protocol import ArtifactStore
from topics.catalog import CATALOG
from topics.codec import Codec
from topics.inputs import InputSettings
from topics.log import Log

Check = Callable[[], object]
"""Returns when a dependency answers, raises when it does not."""


def wall_clock_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a request may need. Nothing here is global; tests make their own."""

    settings: GatewaySettings
    artifacts: ArtifactStore
    store: ProjectionStore
    reservations: Reservations
    publisher: Publisher
    changes: Changes
    documents: Documents
    locks: TrackLocks
    admissions: Admissions
    tokens: Tokens | None
    webhooks: Desk
    inputs: InputSettings
    room: Room
    waiters: Waiters
    checks: Mapping[str, Check]
    clock_ms: Callable[[], int]
    new_seed: Callable[[], str]

    @classmethod
    def assemble(
        cls,
        settings: GatewaySettings,
        *,
        log: Log,
        artifacts: ArtifactStore,
        store: ProjectionStore,
        reservations: Reservations,
        codec: Codec | None = None,
        inputs: InputSettings | None = None,
        clock_ms: Callable[[], int] = wall_clock_ms,
        seeds: Callable[[], str] = new_seed,
        fetch: Fetch = fetch_json,
    ) -> Self:
        """The services over open dependencies, which stay the caller's to close."""
        codec = codec or settings.codec()
        provider = provider_of(settings)
        topics = frozenset(codec.on_log(name) for name in CATALOG)
        return cls(
            settings=settings,
            artifacts=artifacts,
            store=store,
            reservations=reservations,
            publisher=Publisher(log, codec, store, clock_ms),
            changes=Changes(store),
            documents=Documents(artifacts),
            locks=TrackLocks(reservations, clock_ms),
            admissions=Admissions(settings, store),
            webhooks=Desk.over(settings, log, codec, artifacts, clock_ms),
            inputs=inputs or InputSettings(),
            waiters=Waiters(),
            room=Room(settings, WaitingRoom(log, codec), clock_ms),
            tokens=Tokens(provider, clock_s=lambda: clock_ms() / 1000, fetch=fetch)
            if provider is not None
            else None,
            checks={
                "log": lambda: _check_log(log, topics),
                "artifacts": artifacts.check,
                "projection": store.check,
                "reservations": reservations.check,
            },
            clock_ms=clock_ms,
            new_seed=seeds,
        )

    def close(self) -> None:
        """End what the services themselves started."""
        self.changes.close()
        self.publisher.close()
        self.webhooks.close()


def _check_log(log: Log, topics: frozenset[str]) -> None:
    missing = topics - set(log.topics())
    if missing:
        raise LookupError(f"topics are not provisioned: {', '.join(sorted(missing))}")
