"""What a stage wants to be told again after a while: durable waiting that no process sits out.

A handler that has to wait for something outside (a provider's song takes minutes) returns `Later`
beside its other events. The event goes to the stage's own delay topic, in the transaction that
commits the input, and comes back to the stage when it falls due, whichever worker has it then. It
is no retry: the handler did not fail, nothing is counted, and what waits may carry what was learnt.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.events import Event

MOST_JITTER = 0.2
"""Of a tier's delay. A record that falls due earlier than the one before it waits for that one, so
jitter costs at most this share; without it a burst of jobs comes back as a burst."""


@dataclass(frozen=True, slots=True)
class Later:
    """An event that the stage itself consumes, not before ``after_s`` seconds.

    The delay is rounded up to a delay tier; ``jitter`` (0 to 1) spreads it over a further
    `MOST_JITTER` of the tier.
    """

    event: Event
    after_s: float
    jitter: float = 0.0
