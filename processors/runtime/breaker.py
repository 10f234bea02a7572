"""Stops a stage that crashes on everything: a bad deploy must not burn the tries of every job."""

from __future__ import annotations

from dataclasses import dataclass, replace

from processors.runtime.outcomes import Crashed, Finished, Outcome

LIMIT = 5
"""Distinct inputs in a row. One hostile file crashes a stage too, but only itself."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """The inputs that crashed since one last worked. Pure: `after` gives the next state."""

    limit: int = LIMIT
    crashed: frozenset[str] = frozenset()

    @property
    def tripped(self) -> bool:
        """True once the stage should stop."""
        return len(self.crashed) >= self.limit

    def after(self, input_id: str, outcome: Outcome) -> Breaker:
        """The state after one try. Success clears it; rejects, retries and overdue tries are no
        evidence either way: the first kind is about the input, the others about the machine."""
        if isinstance(outcome, Finished):
            return replace(self, crashed=frozenset()) if self.crashed else self
        if isinstance(outcome, Crashed):
            return replace(self, crashed=self.crashed | {input_id})
        return self
