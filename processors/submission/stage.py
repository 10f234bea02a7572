"""Submission: a channel's wish becomes a task at the provider, paid once.

First the intent, then the request (see `processors.generation.marks`). Requests that the provider
has no time for come back by themselves. A stage of its own, so that requests which wait for the
rate limit hold up no look at tasks that are under way.
"""

from __future__ import annotations

from processors.generation import sending
from processors.generation.desks import desk_of
from processors.runtime import Later, Sla, Task, stage
from schemas.events import Event, GenerationDue, GenerationRequested, GenerationUpdated


def is_my_turn(event: GenerationRequested | GenerationDue) -> bool:
    """A request that was not refused when it was accepted; a send that is due."""
    if isinstance(event, GenerationRequested):
        return not event.generation.refusal
    return event.step == "send"


@stage(
    name="submission",
    revision=1,
    consumes=(GenerationRequested, GenerationDue),
    produces=(GenerationUpdated, GenerationDue),
    accepts=is_my_turn,
    sla=Sla(base_s=45),  # the rate limit's horizon, and an answer that takes its time
    uses="io",
    slots=2,
)
def submission(event: GenerationRequested | GenerationDue, task: Task) -> tuple[Event | Later, ...]:
    """Note the intent; send what is due."""
    if isinstance(event, GenerationRequested):
        return sending.intend(event, task.now_ms())
    return sending.send(event, desk_of(task))
