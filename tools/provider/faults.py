"""What goes wrong with providers, as their users report it. Each task draws its own, by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

SendFault = Literal[
    "",
    "too_frequent",
    "maintenance",
    "server_error",
    "no_credits",
    "sensitive",
    "html",
    "taken_then_hang",
    "taken_then_cut",
    "refused_connection",
]
ReadFault = Literal["", "html", "hang", "server_error", "too_frequent", "maintenance", "null_data"]
Ending = Literal[
    "success",
    "success_null_first",
    "callback_exception_with_audio",
    "create_task_failed",
    "generate_audio_failed",
    "sensitive",
    "never",
    "late",
]
CallbackFault = Literal["", "skipped", "repeated", "reordered", "forged", "late", "early"]

SEND: tuple[SendFault, ...] = (
    "too_frequent",
    "maintenance",
    "server_error",
    "no_credits",
    "sensitive",
    "html",
    "taken_then_hang",
    "taken_then_cut",
    "refused_connection",
)
READ: tuple[ReadFault, ...] = (
    "html",
    "hang",
    "server_error",
    "too_frequent",
    "maintenance",
    "null_data",
)
ENDINGS: tuple[Ending, ...] = (
    "success_null_first",
    "callback_exception_with_audio",
    "create_task_failed",
    "generate_audio_failed",
    "sensitive",
    "never",
    "late",
)
CALLBACKS: tuple[CallbackFault, ...] = (
    "skipped",
    "repeated",
    "reordered",
    "forged",
    "late",
    "early",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How one task will go."""

    ending: Ending = "success"
    callback: CallbackFault = ""
    seconds: float = 60.0
    text_times: bool = False
    """createTime as text instead of milliseconds."""


@dataclass(slots=True)
class Chance:
    """Draws faults: each with probability ``share``, each kind as likely as the next."""

    share: float = 0.0
    seed: int = 0
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311  (repeatable, and no secret)

    def send(self) -> SendFault:
        """For a request."""
        return self.rng.choice(SEND) if self.rng.random() < self.share else ""

    def read(self) -> ReadFault:
        """For a look at a record."""
        return self.rng.choice(READ) if self.rng.random() < self.share else ""

    def plan(self, usual_s: float) -> Plan:
        """For a task that was taken."""
        wrong = self.rng.random() < self.share
        return Plan(
            ending=self.rng.choice(ENDINGS) if wrong else "success",
            callback=self.rng.choice(CALLBACKS) if self.rng.random() < self.share else "",
            seconds=usual_s * self.rng.uniform(0.5, 2.0),
            text_times=self.rng.random() < 0.5,
        )
