"""How work ends, as types: what a handler raises, and what the worker makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.events import Event


class Reject(Exception):
    """The input can never work: it goes to the dead letters at once and the job fails.

    ``code`` is a stable machine word, ``message`` a sentence that the client reads: what
    happened, to what, and what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Retry(Exception):
    """Something outside is not ready: try again, not before ``after_s`` seconds.

    Counts as a try; ``after_s`` is rounded up to a delay tier.
    """

    def __init__(self, after_s: float, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.after_s = after_s
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Finished:
    """The handler returned. ``events`` go out in the transaction that commits the input."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The handler raised `Reject`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """The handler raised `Retry`."""

    after_s: float
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """Anything else: an exception, a signal, memory that ran out."""

    code: str  # crashed, out_of_memory
    message: str  # for the client: no traceback, no path
    kind: str  # exception class or signal name, for operators
    detail: str = ""  # for operators, redacted


@dataclass(frozen=True, slots=True)
class Overdue:
    """The try was over its hard limit and was killed."""

    hard_s: float
    code: str = "too_slow"

    @property
    def message(self) -> str:
        """For the client."""
        return f"the step was stopped because it took longer than {self.hard_s:.0f} seconds"


Failure = Rejected | Postponed | Crashed | Overdue
Outcome = Finished | Failure
