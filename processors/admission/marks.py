"""From where a successor has to read: the low-water marks of the topics that the room is made of.

Whoever takes over reads the requests from the oldest item that is open. Among them are requests of
items that are done, so it has to read how those ended, too: of every topic that tells of endings
and releases all that came since the first ending of an item behind the oldest open one.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from itertools import chain

from topics.log import TopicPartition


class Marks:
    """Offsets of requests that are open or done, and where that was read."""

    def __init__(self, positions: Mapping[TopicPartition, int]) -> None:
        self.positions = dict(positions)
        """Of the next record of each partition that tells of releases and endings."""
        self.requests = 0
        """Offset of the next request."""
        self._open: set[int] = set()
        self._oldest: list[int] = []
        self._done: dict[int, tuple[TopicPartition, int] | None] = {}
        self._news: dict[int, list[tuple[TopicPartition, int]]] = {}

    def asked(self, offset: int) -> None:
        """A request was read."""
        self.requests = max(self.requests, offset + 1)
        self._open.add(offset)
        heapq.heappush(self._oldest, offset)

    def saw(self, tp: TopicPartition, offset: int) -> None:
        """A record that tells of a release or an ending was read."""
        self.positions[tp] = max(self.positions.get(tp, 0), offset + 1)

    def told(self, offset: int, tp: TopicPartition, at: int) -> None:
        """The record ``at`` says something of an open item that a successor has to know."""
        self._news.setdefault(offset, []).append((tp, at))

    def done(self, offset: int, by: tuple[TopicPartition, int] | None) -> None:
        """An item is done; ``by`` is the record that says so, None where another topic does that is
        always read whole."""
        self._open.discard(offset)
        self._news.pop(offset, None)
        self._done[offset] = by

    def low_water(self) -> int:
        """The first request that a successor needs."""
        while self._oldest and self._oldest[0] not in self._open:
            heapq.heappop(self._oldest)
        return self._oldest[0] if self._oldest else self.requests

    def marks(self) -> dict[TopicPartition, int]:
        """The first record of each partition that a successor needs."""
        low = self.low_water()
        self._done = {offset: by for offset, by in self._done.items() if offset >= low}
        found = dict(self.positions)
        for by in (*self._done.values(), *chain.from_iterable(self._news.values())):
            if by is not None:
                found[by[0]] = min(by[1], found.get(by[0], by[1]))
        return found
