"""Being alone with a key on a server whose PUT knows no condition.

Who wants a key writes a claim beside it and lists the claims. Alone there, it goes on and removes
the claim when it is done; with others there, all withdraw and try again after a random pause. Of
two claims at least one sees the other, whichever list came second, so two never go on at once.
This needs lists that show every finished write (S3 since 2020, and its likes): a claim that does
not find itself says that the server's do not.

A process that dies leaves its claim behind. It is removed when it is older than any request of its
maker can be, by the server's clock alone; only there the exclusion rests on time.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from topics.artifacts.protocol import ArtifactError

CLAIMS: Final = "_claims/"

_PATIENCE_S: Final = 20.0  # beyond any queue of writers of one small object
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0


class ClaimBoard(Protocol):
    """The three things that claims need of a bucket."""

    def post(self, key: str) -> None:
        """Write a small object."""

    def ages(self, prefix: str) -> dict[str, float]:
        """Every key under a prefix with its age in seconds, by the server's clock."""

    def withdraw(self, key: str) -> None:
        """Remove an object, if it is there."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims on keys of one bucket."""

    board: ClaimBoard
    expiry_s: float
    """Age at which a claim's maker must be dead: longer than its requests can take, tries and
    all."""
    new_id: Callable[[], str]
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.SystemRandom)

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Alone with a key. Raises `ArtifactError` when others hold it for too long."""
        folder = f"{CLAIMS}{hashlib.sha256(key.encode()).hexdigest()[:32]}/"
        began, pause_s = self.monotonic(), _FIRST_PAUSE_S
        while True:
            mine = folder + self.new_id()
            self.board.post(mine)
            try:
                if self._is_alone(folder, mine):
                    yield
                    return
            finally:
                self.board.withdraw(mine)
            if self.monotonic() - began > _PATIENCE_S:
                raise ArtifactError(
                    f"artifacts: '{key}' cannot be written: somebody else has claimed it for "
                    f"{_PATIENCE_S:.0f} s; try again in {self.expiry_s:.0f} s"
                )
            self.sleep(self.rng.uniform(pause_s / 2, pause_s))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _is_alone(self, folder: str, mine: str) -> bool:
        ages = self.board.ages(folder)
        if mine not in ages:
            raise ArtifactError(
                "artifacts: the server's lists do not show what was just written; no object can "
                "be written once there: use a server with conditional writes"
            )
        dead = [key for key, age_s in ages.items() if age_s > self.expiry_s and key != mine]
        for key in dead:
            self.board.withdraw(key)
        return len(ages) == len(dead) + 1
