"""Generation: a task at the provider is followed until its songs are in the store.

Looks come back by themselves from the delay topics, so they survive every restart; a callback
causes one more look at once and is believed in nothing.
"""

from __future__ import annotations

from processors.generation import following
from processors.generation.desks import desk_of
from processors.runtime import Later, RetryPolicy, Sla, Task, stage
from schemas.events import Event, Generated, GenerationDue, GenerationHinted, GenerationUpdated


def is_my_turn(event: GenerationDue | GenerationHinted) -> bool:
    """A look that is due, or a callback."""
    return isinstance(event, GenerationHinted) or event.step == "read"


@stage(
    name="generation",
    revision=1,
    consumes=(GenerationDue, GenerationHinted),
    produces=(GenerationUpdated, Generated),
    accepts=is_my_turn,
    sla=Sla(base_s=180),  # two songs of some MB each over a slow line
    retry=RetryPolicy(attempts=6),
    uses="io",
    slots=2,
)
def generation(event: GenerationDue | GenerationHinted, task: Task) -> tuple[Event | Later, ...]:
    """Look at the task."""
    desk = desk_of(task)
    if isinstance(event, GenerationHinted):
        return following.hinted(event, desk)
    return following.look(event, desk)
