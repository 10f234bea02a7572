"""What endpoints are made of in this gateway, put together once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from gateway.settings import GatewaySettings
from gateway.webhooks.history import History
from topics.artifacts.protocol import ArtifactStore
from topics.codec import Codec
from topics.log import Log
from topics.webhooks import Directory, SigningKeys

HISTORY_MS = 30 * 86_400_000
"""As long as the topics keep deliveries."""


@dataclass(slots=False)
class Desk:
    """The directory of endpoints, the history of their deliveries, and what derives secrets."""

    settings: GatewaySettings
    artifacts: ArtifactStore
    directory: Directory
    history: History
    clock_ms: Callable[[], int]

    @classmethod
    def over(
        cls,
        settings: GatewaySettings,
        log: Log,
        codec: Codec,
        artifacts: ArtifactStore,
        clock_ms: Callable[[], int],
    ) -> Desk:
        """The desk over open dependencies."""
        history = History(settings.data_dir / "webhooks.db", log, codec)
        return cls(settings, artifacts, Directory(log, codec), history, clock_ms)

    @cached_property
    def keys(self) -> SigningKeys:
        """Made when the first secret is asked for: a gateway without webhooks needs no key."""
        return self.settings.signing_keys()

    def sweep(self) -> None:
        """Read on and forget what is old, so that the first question does not wait for a month."""
        self.history.refresh()
        self.history.prune(self.clock_ms() - HISTORY_MS)

    def close(self) -> None:
        """Close the history."""
        self.history.close()
