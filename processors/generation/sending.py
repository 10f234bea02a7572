"""Asking the provider for a song, once (`marks` says how that is kept)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

from processors.generation import timing
from processors.generation.desk import Desk, updated
from processors.generation.marks import Marks
from processors.generation.provider import (
    Accepted,
    Order,
    Outcome,
    Refusal,
    Undecided,
    Unsent,
)
from processors.runtime import Later
from schemas.events import Event, Generation, GenerationDue, GenerationRequested
from schemas.providers import AGAIN

Moves = tuple[Event | Later, ...]


def intend(event: GenerationRequested, now_ms: int) -> Moves:
    """The intent: on the log before anything is sent."""
    work, wanted = event.work, event.generation
    due = GenerationDue(work=work, generation=wanted, step="send", number=1, task_id="", sent_ms=0)
    return (updated(work, wanted.channel_id, 20, code="queued", next_ms=now_ms), due)


def send(due: GenerationDue, desk: Desk) -> Moves:
    """Send request ``due.number``, or find out what became of it."""
    work, wanted, marks = due.work, due.generation, desk.marks(due.work)
    if desk.is_over(wanted.requested_ms) and marks.read(_send(due.number)) is None:
        return (updated(work, wanted.channel_id, 99, code="not_sent"),)
    answer = _answered(due, desk, marks)
    if answer is None:
        if not desk.tickets.wait():
            wait = Later(due, timing.CLOSE_S, desk.rng.random())
            return (_waiting(due, desk, "rate_limited", wait), wait)
        outcome, sent_ms = _send_once(due, desk, marks)
    else:
        outcome, sent_ms = _outcome(answer), int(answer.get("sentMs", 0))
    return _moves(due, desk, marks, outcome, sent_ms)


def order(wanted: Generation, callback_url: str, model: str) -> Order:
    """The request that a job stands for. Sent again it would be the same."""
    return Order(
        prompt=wanted.prompt,
        style=wanted.style,
        title=wanted.title,
        model=wanted.model or model,
        instrumental=wanted.instrumental,
        callback_url=callback_url,
    )


def _answered(due: GenerationDue, desk: Desk, marks: Marks) -> Mapping[str, Any] | None:
    """What became of this send if it was begun before; None when it is still to be sent."""
    answer = marks.read(_answer(due.number))
    if answer is not None:
        return answer
    begun = marks.read(_send(due.number))
    if begun is None:
        return None
    died = Undecided("the worker stopped between sending the request and noting the answer")
    # Another worker may be at it still (a partition that moved): whoever notes first is right.
    return marks.settle(_answer(due.number), _content(died, int(begun.get("atMs", 0))))


def _send_once(due: GenerationDue, desk: Desk, marks: Marks) -> tuple[Outcome, int]:
    """Call the provider, if this is the one who may."""
    wanted = due.generation
    sent_ms = desk.now_ms()
    wish = order(wanted, marks.callback_url(), desk.default_model)
    if not marks.take(_send(due.number), {"atMs": sent_ms}):
        said = _answered(due, desk, marks)
        assert said is not None
        return _outcome(said), int(said.get("sentMs", 0))
    outcome = desk.provider.generate(wish)
    said = marks.settle(_answer(due.number), _content(outcome, sent_ms))
    if _outcome(said) == outcome or not isinstance(outcome, Accepted):
        return _outcome(said), sent_ms
    return outcome, sent_ms  # somebody gave this send up while the provider was slow: it was taken


def _moves(due: GenerationDue, desk: Desk, marks: Marks, outcome: Outcome, sent_ms: int) -> Moves:
    work, wanted, now = due.work, due.generation, desk.now_ms()
    channel = wanted.channel_id
    match outcome:
        case Accepted(task_id):
            marks.claim_task(desk.account, task_id)
            marks.settle("task", {"taskId": task_id, "account": desk.account})
            look = GenerationDue(
                work=work,
                generation=wanted,
                step="read",
                number=1,
                task_id=task_id,
                sent_ms=sent_ms,
            )
            made = updated(work, channel, 30, task_id=task_id, sends=1, next_ms=now)
            return (updated(work, channel, 20, sequence=1, sends=1, next_ms=now), made, look)
        case Refusal(fault, detail) if fault not in AGAIN:
            return (updated(work, channel, 90, code=fault, detail=detail),)
        case Refusal(fault, detail):
            return _again(due, desk, fault, detail)
        case Unsent(detail):
            return _again(due, desk, "server_error", detail)
        case Undecided(detail):
            look = GenerationDue(
                work=work,
                generation=wanted,
                step="read",
                number=1,
                task_id="",
                sent_ms=sent_ms,
                cause=detail,
            )
            shown = updated(
                work,
                channel,
                20,
                sequence=due.number + 1,
                code="undecided",
                detail=detail,
                sends=1,
                next_ms=now,
            )
            return (shown, look)
        case _:
            assert_never(outcome)


def _again(due: GenerationDue, desk: Desk, fault: str, detail: str) -> Moves:
    wait = Later(
        replace(due, number=due.number + 1),
        timing.send_after_s(fault, due.number),
        desk.rng.random(),
    )
    return (_waiting(due, desk, fault, wait, detail), wait)


def _waiting(due: GenerationDue, desk: Desk, code: str, wait: Later, detail: str = "") -> Event:
    return updated(
        due.work,
        due.generation.channel_id,
        20,
        sequence=due.number + 1,
        code=code,
        detail=detail,
        next_ms=desk.now_ms() + round(wait.after_s * 1000),
    )


def _send(number: int) -> str:
    return f"send-{number}"


def _answer(number: int) -> str:
    return f"answer-{number}"


def _content(outcome: Outcome, sent_ms: int) -> dict[str, Any]:
    said: dict[str, Any] = {"is": type(outcome).__name__, "sentMs": sent_ms}
    match outcome:
        case Accepted(task_id):
            return said | {"taskId": task_id}
        case Refusal(fault, detail):
            return said | {"fault": fault, "detail": detail}
        case Unsent(detail) | Undecided(detail):
            return said | {"detail": detail}


def _outcome(said: Mapping[str, Any]) -> Outcome:
    match said["is"]:
        case "Accepted":
            return Accepted(said["taskId"])
        case "Refusal":
            return Refusal(said["fault"], said["detail"])
        case "Unsent":
            return Unsent(said["detail"])
        case _:
            return Undecided(said["detail"])
