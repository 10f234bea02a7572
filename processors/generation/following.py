"""Following a task to its end: looks that come back by themselves, callbacks that hasten one."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from processors.generation import timing
from processors.generation.desk import Desk, updated
from processors.generation.fetching import NotFetched
from processors.generation.keeping import keep
from processors.generation.marks import Content, Marks, digest
from processors.generation.provider import (
    Failing,
    Generating,
    Made,
    Reading,
    Unread,
)
from processors.runtime import Later
from schemas.events import Event, Generated, GenerationDue, GenerationHinted, GenerationUpdated

Moves = tuple[Event | Later, ...]

_DONE = "done"
_LOOKS = "looks"


def look(due: GenerationDue, desk: Desk) -> Moves:
    """Look at the task and say when to look next."""
    marks = desk.marks(due.work)
    if (done := marks.read(_DONE)) is not None:
        return _said(done, _LOOKS)
    task_id = due.task_id or _known_task(marks)
    if not task_id:
        return _without_task(due, desk)
    due = replace(due, task_id=task_id)
    return _judge(due, desk, marks, desk.provider.record(task_id))


def hinted(hint: GenerationHinted, desk: Desk) -> Moves:
    """A callback came: read the record and believe that. It starts no looks of its own; those that
    the request began go on.
    """
    marks, me = desk.marks(hint.work), f"hint-{hint.hint_id}"
    if (done := marks.read(_DONE)) is not None:
        return _said(done, me)
    moves = _believed(hint, desk, marks)
    if any(isinstance(move, Later) for move in moves):
        return moves  # nothing is found yet
    made = next((move.to_wire() for move in moves if isinstance(move, Generated)), None)
    found = marks.settle(me, {"event": made})["event"]
    if found is not None:
        return _tell(marks, me, found)
    return () if made else moves  # committed as "not yet", maybe: left to the looks


def _believed(hint: GenerationHinted, desk: Desk, marks: Marks) -> Moves:
    """What the record of the task that a callback names says of the job."""
    work, wanted = hint.work, hint.generation
    task_id = _known_task(marks)
    if not task_id:
        if not hint.task_id or not _was_sent(marks):
            return ()  # nothing was asked for yet, so nothing can have been made
        reading = desk.provider.record(hint.task_id)
        if isinstance(reading, Unread) and not desk.is_over(wanted.requested_ms):
            return (Later(hint, timing.FAR_S, desk.rng.random()),)  # it may be all that is known
        if not _is_ours(reading, hint) or not marks.claim_task(desk.account, hint.task_id):
            return ()
        # The answer to the request was lost, or is on its way: this names the task.
        noted = marks.settle("task", {"taskId": hint.task_id, "account": desk.account})
        task_id = str(noted["taskId"])
        if task_id != hint.task_id:
            return ()
    else:
        reading = desk.provider.record(task_id)
    found = updated(
        work,
        wanted.channel_id,
        40,
        sequence=0,
        task_id=task_id,
        status=_status(reading),
        sends=1,
        next_ms=desk.now_ms() + round(timing.FAR_S * 1000),
        callback=True,
    )
    match reading:
        case Made():
            return (_kept(work_of(hint, task_id), desk, reading, callback=True) or found,)
        case Failing(code, detail, status):
            return (
                updated(
                    work,
                    wanted.channel_id,
                    90,
                    task_id=task_id,
                    code=code,
                    detail=detail,
                    status=status,
                    sends=1,
                    callback=True,
                ),
            )
        case Generating() | Unread():
            return (found,)


def work_of(hint: GenerationHinted, task_id: str) -> GenerationDue:
    """A look at the task that a callback asks for."""
    return GenerationDue(
        work=hint.work,
        generation=hint.generation,
        step="read",
        number=1,
        task_id=task_id,
        sent_ms=hint.generation.requested_ms,
    )


def _judge(due: GenerationDue, desk: Desk, marks: Marks, reading: Reading) -> Moves:
    channel = due.generation.channel_id
    match reading:
        case Made():
            kept = _kept(due, desk, reading)
            if isinstance(kept, Generated):
                return _tell(marks, _LOOKS, kept.to_wire())
            return (kept,) if kept is not None else _next(due, desk, reading)
        case Failing(code, detail, status):
            return (
                updated(
                    due.work,
                    channel,
                    90,
                    task_id=due.task_id,
                    code=code,
                    detail=detail,
                    status=status,
                    sends=1,
                    reads=due.number,
                ),
            )
        case Generating() | Unread():
            return _next(due, desk, reading)
        case _:
            assert_never(reading)


def _next(due: GenerationDue, desk: Desk, reading: Reading) -> Moves:
    """Not done: the next look, or the end of the job's time."""
    now, channel = desk.now_ms(), due.generation.channel_id
    answered = not isinstance(reading, Unread)
    code, detail = (reading.code, reading.detail) if isinstance(reading, Unread) else ("", "")
    if desk.is_over(due.generation.requested_ms):
        return _late(due, desk, code, detail)
    wait = Later(
        replace(due, number=due.number + 1),
        timing.look_after_s(due.sent_ms, now, answered=answered),
        desk.rng.random(),
    )
    pending = updated(
        due.work,
        channel,
        40,
        sequence=due.number,
        task_id=due.task_id,
        code=code,
        detail=detail,
        status=_status(reading),
        sends=1,
        reads=due.number,
        next_ms=now + round(wait.after_s * 1000),
    )
    return (pending, wait)


def _late(due: GenerationDue, desk: Desk, code: str, detail: str) -> Moves:
    """The time is over. It was paid all the same, so a late song is looked for a while."""
    now = desk.now_ms()
    later = due.late_looks
    again = (
        Later(
            replace(due, number=due.number + 1, late_looks=later + 1),
            timing.LATE_S[later],
            desk.rng.random(),
        )
        if later < len(timing.LATE_S)
        else None
    )
    over = updated(
        due.work,
        due.generation.channel_id,
        99,
        sequence=later,
        task_id=due.task_id,
        code=code or ("undecided" if due.cause and not due.task_id else "timeout"),
        detail=detail or due.cause,
        sends=1,
        reads=due.number,
        next_ms=now + round(again.after_s * 1000) if again else 0,
    )
    return (over, again) if again is not None else (over,)


def _without_task(due: GenerationDue, desk: Desk) -> Moves:
    """Nobody knows whether the request arrived: wait for the callback that would tell."""
    now = desk.now_ms()
    if desk.is_over(due.generation.requested_ms):
        return _late(due, desk, "undecided", due.cause)
    wait = Later(replace(due, number=due.number + 1), timing.FAR_S, desk.rng.random())
    shown = updated(
        due.work,
        due.generation.channel_id,
        20,
        sequence=1000 + due.number,
        code="undecided",
        detail=due.cause,
        sends=1,
        next_ms=now + round(wait.after_s * 1000),
    )
    return (shown, wait)


def _kept(
    due: GenerationDue, desk: Desk, made: Made, *, callback: bool = False
) -> Generated | GenerationUpdated | None:
    """Copy the songs: they are made, or cannot be had; None when they cannot be copied yet."""
    work, wanted = due.work, due.generation
    try:
        kept = keep(work, made.songs, desk)
    except NotFetched as refused:
        if not refused.final:
            return None
        return updated(
            work,
            wanted.channel_id,
            90,
            task_id=due.task_id,
            code=refused.code,
            detail=refused.detail,
            status=made.status,
            sends=1,
            callback=callback,
        )
    now = desk.now_ms()
    return Generated(
        work=kept.work,
        generation=wanted,
        task_id=due.task_id,
        songs=kept.songs,
        late=desk.is_over(wanted.requested_ms),
        seconds=max(now - wanted.requested_ms, 0) / 1000,
    )


def _tell(marks: Marks, me: str, event: Content) -> Moves:
    """Say that the songs are made, if nobody else is to."""
    return _said(marks.settle(_DONE, {"by": me, "event": event}), me)


def _said(done: Content, me: str) -> Moves:
    """That the songs are made, if it is this one's to say: a look and a callback may find it at
    once.

    The mark outlives who set it: a worker that died before its commit, or one whose partition has
    moved and who will never commit. Hence a name stands for whoever handles the record, and for
    looks for all of them: each begins the next and an end begins none, so a look that finds the
    name of looks knows that none before it said so. A callback has no next one: what was found at
    it is settled first (``hint-<id>``), so that a worker without its partition cannot set the mark
    behind a "not yet" that was committed.
    """
    return (Generated.from_wire(done["event"]),) if done["by"] == me else ()


def _known_task(marks: Marks) -> str:
    said = marks.read("task")
    return str(said["taskId"]) if said is not None else ""


def _was_sent(marks: Marks) -> bool:
    """Whether a request may have been taken: the newest send has no answer that says it was not."""
    number = 1
    while marks.read(f"send-{number}") is not None:
        answer = marks.read(f"answer-{number}")
        if answer is None or answer["is"] in ("Accepted", "Undecided"):
            return True
        number += 1
    return False


def _is_ours(reading: Reading, hint: GenerationHinted) -> bool:
    """Whether a task that only a callback names was asked for by this job. The record repeats the
    request; where it does not, the callback's own address has to do.
    """
    if not isinstance(reading, Generating | Made):
        return isinstance(reading, Failing)
    asked = reading.asked_for
    return asked is None or digest(str(asked.get("prompt", ""))) == digest(hint.generation.prompt)


def _status(reading: Reading) -> str:
    return "" if isinstance(reading, Unread) else reading.status
