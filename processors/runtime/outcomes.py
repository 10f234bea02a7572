"""How work ends, as types: what a handler raises, and what the worker makes of it."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from processors.gpu import GpuFailed
from processors.runtime.later import Later
from schemas.events import Event
from topics.artifacts.protocol import ArtifactError, StoreFull
from topics.logs import redacted

_UNWELL_S = 30.0
"""Delay after the store or the disk failed; a restart of a store takes some 20 s."""

_DETAIL = 2000  # characters that an operator reads before looking into the log


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

    events: tuple[Event | Later, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The handler raised `Reject`."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """The handler raised `Retry`, or something that it depends on is away (``outage``)."""

    after_s: float
    code: str
    message: str
    outage: bool = False


@dataclass(frozen=True, slots=True)
class Crashed:
    """Anything else: an exception, a signal, memory that ran out."""

    code: str  # crashed, out_of_memory, gpu_failed
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


def of_exception(error: BaseException) -> Failure:
    """What an exception of a handler means."""
    match error:
        case Reject():
            return Rejected(error.code, error.message)
        case Retry():
            return Postponed(error.after_s, error.code, error.message)
        case StoreFull():
            return _away(error.code, "the artifact store has no room left")
        case ArtifactError():
            return _away("store_unavailable", "the artifact store did not answer")
        case OSError(errno=errno.ENOSPC):
            return _away("disk_full", "the worker has no room for its scratch files")
        case MemoryError():
            return out_of_memory(type(error).__name__)
        case GpuFailed():
            return gpu_failed(type(error).__name__, redacted(str(error))[:_DETAIL])
        case _:
            detail = redacted(f"{type(error).__name__}: {error}")[:_DETAIL]
            return crashed(type(error).__name__, detail)


def _away(code: str, message: str) -> Postponed:
    return Postponed(_UNWELL_S, code, message, outage=True)


def crashed(kind: str, detail: str) -> Crashed:
    """A crash, in words for the client; ``detail`` is for operators."""
    return Crashed(
        "crashed",
        "the step stopped unexpectedly; if trying again does not help, the file may be damaged: "
        "try another copy of it",
        kind,
        detail,
    )


def out_of_memory(kind: str, detail: str = "") -> Crashed:
    """The child asked for more memory than there is, or the kernel killed it for its memory."""
    return Crashed(
        "out_of_memory",
        "the step needed more memory than there is; try again later or with a shorter file",
        kind,
        detail,
    )


def gpu_failed(kind: str, detail: str) -> Crashed:
    """The GPU failed under the child; nothing is wrong with what was asked."""
    return Crashed(
        "gpu_failed",
        "the GPU failed in the middle of the step; nothing is wrong with the file, and the step "
        "begins anew: try again later if it does not help",
        kind,
        detail,
    )
