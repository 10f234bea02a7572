"""How many requests are held until their result is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Waiters:
    """Counted on the event loop alone."""

    def __init__(self) -> None:
        self._count = 0

    def full(self, most: int) -> bool:
        """Whether no more may be held."""
        return self._count >= most

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count one while the block runs."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
