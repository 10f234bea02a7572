"""What was sent when, and what came of it: the same facts of both systems."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Order:
    """A batch of a client, sent ``after_s`` into the run."""

    client: str
    files: Sequence[Path]
    after_s: float = 0.0
    concurrency: int = 4
    use_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A file's way through; seconds since the run began. ``ended_s`` is None when it was lost."""

    client: str
    sent_s: float
    ended_s: float | None
    ok: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one system."""

    system: str
    title: str
    concurrency: int
    items: Sequence[Item]
    cpu_s: float = 0.0
    """Processor time of all its processes."""
    peak_mib: float = 0.0
    """Most memory that all its processes had together (RSS)."""
    stale_s: float | None = None
    """How old the status that clients saw was at most."""
    notes: Sequence[str] = field(default_factory=tuple)

    def of(self, client: str) -> list[Item]:
        """The items of one client."""
        return [item for item in self.items if item.client == client]

    @property
    def done(self) -> list[float]:
        """When items ended, in order."""
        return sorted(item.ended_s for item in self.items if item.ended_s is not None)

    @property
    def makespan_s(self) -> float:
        """From the first request to the last result."""
        return self.done[-1] - min(item.sent_s for item in self.items)

    @property
    def lost(self) -> int:
        """Items that never ended."""
        return sum(item.ended_s is None for item in self.items)

    @property
    def failed(self) -> int:
        """Items that ended without a result."""
        return sum(item.ended_s is not None and not item.ok for item in self.items)

    @property
    def rate(self) -> float:
        """Items a second."""
        return len(self.done) / self.makespan_s

    @property
    def cpu_share(self) -> float:
        """Cores in use on average."""
        return self.cpu_s / self.makespan_s

    def latency_s(self, percent: int, client: str | None = None) -> float:
        """From the request to the item's end: p50, p95."""
        waits = sorted(
            item.ended_s - item.sent_s
            for item in self.items
            if item.ended_s is not None and client in (None, item.client)
        )
        if len(waits) == 1:
            return waits[0]
        return statistics.quantiles(waits, n=100, method="inclusive")[percent - 1]
