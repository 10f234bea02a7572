"""What a stage says about itself, and how others find it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from processors.runtime.later import Later
from processors.runtime.retry import RetryPolicy
from schemas.events import Event

if TYPE_CHECKING:
    from processors.runtime.task import Task

Uses = Literal["cpu", "gpu", "io"]
"""What a try mostly takes. Only those of ``gpu`` may ask for its memory (`Task.gpu`)."""

Produced = Event | Sequence[Event | Later]
Handler = Callable[[Any, "Task"], Produced]


@dataclass(frozen=True, slots=True)
class Sla:
    """How long a try may take: soft = base + per_second * length of the material in seconds."""

    base_s: float
    per_second: float = 0.0
    hard_factor: float = 3.0
    """Hard limit = hard_factor * soft. Over soft shows as overdue, over hard is killed."""

    def soft_s(self, length_s: float) -> float:
        """Seconds until the step counts as overdue."""
        return self.base_s + self.per_second * length_s

    def hard_s(self, length_s: float) -> float:
        """Seconds until the try is killed."""
        return self.hard_factor * self.soft_s(length_s)


def _always(event: Event) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Stage:
    """A declared stage. Calling it calls the handler."""

    name: str
    revision: int
    """Raise it when the same input gives another result: older results are no longer adopted."""
    consumes: tuple[type[Event], ...]
    produces: tuple[type[Event], ...]
    sla: Sla
    handler: Handler
    accepts: Callable[[Any], bool] = _always
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    uses: Uses = "cpu"
    slots: int = 1
    """Tries at once in one worker, each in a process of its own."""
    batch: int = 0
    """Events handled at once by the worker itself and committed together; 0: none, every try has a
    process."""
    measure: Callable[[Event], None] | None = None
    """Called in the worker with each event that the stage has made, for figures of its own: what
    a child counts, nobody scrapes."""

    def __call__(self, event: Event, task: Task) -> tuple[Event | Later, ...]:
        """Run the handler; its events, checked against the declaration. Raises `TypeError`."""
        made = self.handler(event, task)
        events = tuple(made) if isinstance(made, Sequence) else (made,)
        for one in events:
            if isinstance(one, Later):
                if not isinstance(one.event, self.consumes):
                    raise TypeError(
                        f"{self.name}: {type(one.event).__name__} cannot come back later: the "
                        "stage does not declare that it consumes it"
                    )
            elif not isinstance(one, self.produces):
                wanted = ", ".join(kind.__name__ for kind in self.produces) or "nothing"
                raise TypeError(
                    f"{self.name}: the handler returned {type(one).__name__}, the stage declares "
                    f"that it produces {wanted}"
                )
        return events

    @property
    def origin(self) -> str:
        """``module:name`` under which another process imports the stage."""
        return f"{self.handler.__module__}:{self.handler.__name__}"


def stage(
    *,
    name: str,
    revision: int,
    consumes: Sequence[type[Event]],
    produces: Sequence[type[Event]],
    sla: Sla,
    accepts: Callable[[Any], bool] = _always,
    retry: RetryPolicy | None = None,
    uses: Uses = "cpu",
    slots: int = 1,
    batch: int = 0,
    measure: Callable[[Event], None] | None = None,
) -> Callable[[Handler], Stage]:
    """Declare a module-level function ``(event, task) -> event`` as a stage.

    ``accepts`` is a pure function of the event; where it is false the offset moves on and nothing
    else happens.

    ``batch`` is for handlers that only compute, in microseconds: the worker runs up to that many
    of them itself and commits them in one transaction; each still ends for itself. Such a handler
    has neither store nor scratch folder, and nothing stops it half-way: what reads media, waits
    for anybody or may take long stays in a process of its own.
    """
    if revision < 1 or slots < 1:
        raise ValueError(f"stage '{name}': revision and slots are counted from 1")
    if batch < 0 or (batch and (uses == "gpu" or slots > 1)):
        raise ValueError(
            f"stage '{name}': batch counts events that the worker handles by itself, so there is "
            "no GPU and there are no slots; leave one of them out"
        )
    if not consumes:
        raise ValueError(f"stage '{name}' consumes nothing, so it would never run")

    def declare(handler: Handler) -> Stage:
        return Stage(
            name=name,
            revision=revision,
            consumes=tuple(consumes),
            produces=tuple(produces),
            sla=sla,
            handler=handler,
            accepts=accepts,
            retry=retry or RetryPolicy(),
            uses=uses,
            slots=slots,
            batch=batch,
            measure=measure,
        )

    return declare


def find(name: str) -> Stage:
    """The stage of that name, from ``processors.<name>.stage``. Raises `LookupError`."""
    if not name.isidentifier():
        raise LookupError(f"'{name}' is no stage name")
    module = f"processors.{name}.stage"
    try:
        declared = vars(importlib.import_module(module)).values()
    except ModuleNotFoundError as error:
        if error.name not in (module, f"processors.{name}"):
            raise
        raise LookupError(f"there is no stage '{name}'") from error
    for value in declared:
        if isinstance(value, Stage) and value.name == name:
            return value
    raise LookupError(f"{module} declares no stage of the name '{name}'")


def imported(origin: str) -> Stage:
    """The stage that `Stage.origin` names. Raises `LookupError`."""
    module, _, name = origin.partition(":")
    value = getattr(importlib.import_module(module), name, None)
    if not isinstance(value, Stage):
        raise LookupError(f"'{origin}' is no stage; declare it at module level under its own name")
    return value
