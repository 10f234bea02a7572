"""Events to changes of job and track documents. Pure: no clock, no store, no order of arrival.

Cells of a job (see `gateway.projection.cells` for how they merge):

========================  ==========================  =============================================
cell                      order                       value
========================  ==========================  =============================================
track                     constant                    the track's id
request                   constant                    what was asked for; a retry does not ask anew
state                     attempt, rank               attempt, state, and why where it has a reason
retry                     attempt                     the stage a retry starts from
work                      attempt, stage              the newest `Work`
step/<stage>/seen         attempt, try, phase, seq.   the newest life sign
step/<stage>/started      attempt, try, sequence      when the try started (last)
step/<stage>/reached      attempt, try, progress      the furthest of the try
step/<stage>/peak         attempt, progress           the furthest of the attempt
step/<stage>/failed       attempt, try                why a try failed
step/<stage>/made         attempt                     the stage's own event: the step is done
first, updated            event time                  display only; nothing is decided by them
========================  ==========================  =============================================

Cells of a track: ``job/<id>`` (what each job reserved), ``end/<id>`` (open or how it ended),
``version/<n>/draft``, ``version/<n>/published`` (the lowest attempt wins: what is published stays),
``about`` (title, artist, language, length; the greatest version wins), ``first``, ``updated``.
A master is a track without drafts; its own events are folded in `gateway.projection.mastering`,
those of a track's videos in `gateway.projection.video`, those of generated songs in
`gateway.projection.clips`, those of extractions in `gateway.projection.extraction`.

Within an attempt queued < running < failed < canceled < succeeded, so a publish that was committed
when the cancel arrived wins, and a late life sign never revives a job. Only job-retried raises the
attempt: every other event carries the attempt of the job-retried that led to it.

step-progressed and step-failed are kept for a limited time, every other topic for ever. A rebuild
without those two gives the same state for every job that has left ``queued`` by an event that is
kept, that is by a finished stage, a failure, a cancel, a retry or a publish; only step detail
(notes, workers, tries, shares) thins out. A job whose first stage has begun and made nothing yet
is ``queued`` again after such a rebuild, which is true of it: nobody has worked on it for as long
as step-progressed is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.projection import clips, extraction, mastering, video
from gateway.projection.cells import Cell, Json, canonical, join, merge, order
from gateway.projection.changes import (
    CANCELED,
    FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Change,
    about_cell,
    add_made,
    clock_cells,
    finite,
    job_cells,
    job_change,
    published_cell,
    state_cell,
    track_cells,
    track_change,
    wire_of,
)
from schemas.events import (
    Aligned,
    Checked,
    Event,
    ImportRequested,
    JobCanceled,
    JobFailed,
    JobRetried,
    LyricsEdited,
    Published,
    ReprocessRequested,
    Separated,
    StepFailed,
    StepProgressed,
    Transcribed,
    Work,
)
from topics.codec import Envelope

__all__ = ["Change", "canonical", "fold", "join", "merge"]

WORKING, TRY_FAILED, TRY_CANCELED, DONE = range(4)
"""Phases of a try: what ended it outranks every life sign of it."""

_PHASES = {"done": DONE, "canceled": TRY_CANCELED}
_PPM = 1_000_000  # progress as an integer, in parts per million


def fold(envelope: Envelope) -> tuple[Change, ...]:
    """What an event says of its job and its track. Events that say nothing of either: ()."""
    folder = _FOLDERS.get(type(envelope.event))
    return () if folder is None else folder(envelope, envelope.event)


def _requested(
    envelope: Envelope, event: ImportRequested | ReprocessRequested
) -> tuple[Change, ...]:
    work, at, event_id = event.work, envelope.time_ms, envelope.id
    kind = _kind(event)
    cells = job_cells(envelope, work.track_id)
    cells["state"] = state_cell(work.attempt, QUEUED, "", "queued")
    cells["work"] = Cell(order(work.attempt), event_id, work.to_wire())
    track = track_cells(envelope, work.job_id, work.attempt)
    if kind:
        asked = {
            "version": work.version,
            "kind": kind,
            "fromStage": work.from_stage,
            "createdMs": at,
        }
        cells["request"] = Cell(
            0,
            event_id,
            {
                **asked,
                "steps": list(event.steps) if isinstance(event, ReprocessRequested) else [],
                "lyricsGiven": work.lyrics is not None,
                "assetId": event.asset_id if isinstance(event, ImportRequested) else "",
                "callbackId": work.callback_id,
                "replayId": work.replay_id,
                "title": work.title,
                "artist": work.artist,
                "language": work.language,
            },
        )
        track[f"job/{work.job_id}"] = Cell(0, event_id, {**asked, "lyrics": _origin(kind, work)})
        track["about"] = about_cell(work, 0, event_id)
    return (job_change(work, cells), track_change(work, track))


def _kind(event: ImportRequested | ReprocessRequested) -> str:
    """The kind of job an event asks for; empty for a retry, which asks for no new one."""
    if isinstance(event, ImportRequested):
        return "import"
    if event.reason == "retry":
        return ""
    return event.reason if event.reason in ("rollback", "replay") else "reprocess"


def _origin(kind: str, work: Work) -> str:
    if kind == "import":
        return "given" if work.lyrics else "transcribed"
    again = work.lyrics is None and work.from_stage in ("separation", "transcription")
    return "transcribed" if again else "kept"


def _made(
    stage: str,
) -> Callable[[Envelope, Separated | Transcribed | Aligned | Checked], tuple[Change, ...]]:
    def folder(
        envelope: Envelope, event: Separated | Transcribed | Aligned | Checked
    ) -> tuple[Change, ...]:
        work = event.work
        cells = job_cells(envelope, work.track_id)
        cells["state"] = state_cell(work.attempt, RUNNING, "", "running")
        add_made(cells, stage, envelope, work, event.seconds, event.reused)
        return (job_change(work, cells),)

    return folder


def _published(envelope: Envelope, event: Published) -> tuple[Change, ...]:
    work = event.work
    cells = job_cells(envelope, work.track_id)
    cells["state"] = state_cell(work.attempt, SUCCEEDED, "", "succeeded")
    add_made(cells, "publishing", envelope, work, event.seconds, reused=False)
    track = track_cells(envelope, work.job_id, work.attempt)
    track[f"end/{work.job_id}"] = state_cell(work.attempt, SUCCEEDED, "", "succeeded")
    track["about"] = about_cell(work, 1, envelope.id)
    track[f"version/{work.version}/published"] = published_cell(
        envelope, work, event.score, needs_review=event.needs_review, reasons=event.reasons
    )
    return (job_change(work, cells), track_change(work, track))


def _progressed(envelope: Envelope, event: StepProgressed) -> tuple[Change, ...]:
    at, attempt, number = envelope.time_ms, event.attempt, event.try_number
    progress = min(max(finite(event.progress), 0.0), 1.0)
    ppm = round(progress * _PPM)
    step = f"step/{event.stage}/"
    cells = job_cells(envelope, event.track_id)
    cells["state"] = state_cell(attempt, RUNNING, "", "running")
    cells[step + "seen"] = Cell(
        order(attempt, number, _PHASES.get(event.state, WORKING), event.sequence),
        envelope.id,
        {
            "attempt": attempt,
            "try": number,
            "sequence": event.sequence,
            "state": event.state,
            "note": event.note,
            "elapsed": finite(event.elapsed_seconds),
            "sla": finite(event.sla_seconds),
            "hard": finite(event.hard_seconds),
            "worker": event.worker,
            "atMs": at,
        },
    )
    if event.state == "started":
        # A host that died leaves its try to be made again: the later start is the one that counts.
        cells[step + "started"] = Cell(
            order(attempt, number, 0, event.sequence), envelope.id, [attempt, number, at]
        )
    if ppm:
        cells[step + "reached"] = Cell(
            order(attempt, number, 0, ppm), "", [attempt, number, progress]
        )
        cells[step + "peak"] = Cell(order(attempt, 0, 0, ppm), "", [attempt, progress])
    return (job_change(event, cells),)


def _try_failed(envelope: Envelope, event: StepFailed) -> tuple[Change, ...]:
    cells = job_cells(envelope, event.track_id)
    cells["state"] = state_cell(event.attempt, RUNNING, "", "running")
    cells[f"step/{event.stage}/failed"] = Cell(
        order(event.attempt, event.try_number),
        envelope.id,
        {
            "attempt": event.attempt,
            "try": event.try_number,
            "code": event.code,
            "message": event.message,
            "retryAfterMs": event.retry_after_ms,
            "atMs": envelope.time_ms,
        },
    )
    return (job_change(event, cells),)


def _failed(envelope: Envelope, event: JobFailed) -> tuple[Change, ...]:
    why = {
        "code": event.code,
        "message": event.message,
        "stage": event.stage,
        "try": event.try_number,
        "atMs": envelope.time_ms,
    }
    return _ended(envelope, event, FAILED, "failed", why)


def _canceled(envelope: Envelope, event: JobCanceled) -> tuple[Change, ...]:
    why = {
        "code": "canceled",
        "message": event.reason,
        "stage": "",
        "by": event.by,
        "atMs": envelope.time_ms,
    }
    return _ended(envelope, event, CANCELED, "canceled", why)


def _ended(
    envelope: Envelope, event: JobFailed | JobCanceled, rank: int, state: str, why: Json
) -> tuple[Change, ...]:
    ended = state_cell(event.attempt, rank, envelope.id, state, why)
    if extraction.is_batch(event.job_id):
        return (extraction.ended(envelope, event, ended),)
    cells = job_cells(envelope, event.track_id)
    cells["state"] = ended
    if extraction.is_task(event.track_id):
        return (job_change(event, cells),)  # a batch counts its items; it does not hold them
    track = track_cells(envelope, event.job_id, event.attempt)
    track[f"end/{event.job_id}"] = ended
    return (job_change(event, cells), track_change(event, track))


def _retried(envelope: Envelope, event: JobRetried) -> tuple[Change, ...]:
    if extraction.is_batch(event.job_id):
        return (extraction.tried_again(event),)
    cells = job_cells(envelope, event.track_id)
    # failed -> running is the seed's transition; whether a worker has it yet, the steps tell.
    cells["state"] = state_cell(event.attempt, RUNNING, "", "running")
    cells["retry"] = Cell(
        order(event.attempt),
        envelope.id,
        {"attempt": event.attempt, "fromStage": event.from_stage, "atMs": envelope.time_ms},
    )
    if extraction.is_batch(event.track_id):
        return (job_change(event, cells), extraction.tried_again(event))
    if extraction.is_task(event.track_id):
        return (job_change(event, cells),)
    track = track_cells(envelope, event.job_id, event.attempt)
    return (job_change(event, cells), track_change(event, track))


def _edited(envelope: Envelope, event: LyricsEdited) -> tuple[Change, ...]:
    cells = clock_cells(envelope.time_ms)
    cells[f"version/{event.version}/draft"] = Cell(
        0,
        envelope.id,
        {
            "parent": event.parent,
            "language": event.language,
            "lyrics": wire_of(event.lyrics),
            "atMs": envelope.time_ms,
        },
    )
    return (track_change(event, cells),)


_FOLDERS: Mapping[type[Event], Callable[[Envelope, Any], tuple[Change, ...]]] = {
    ImportRequested: _requested,
    ReprocessRequested: _requested,
    Separated: _made("separation"),
    Transcribed: _made("transcription"),
    Aligned: _made("alignment"),
    Checked: _made("quality"),
    Published: _published,
    StepProgressed: _progressed,
    StepFailed: _try_failed,
    JobFailed: _failed,
    JobCanceled: _canceled,
    JobRetried: _retried,
    LyricsEdited: _edited,
    **mastering.FOLDERS,
    **video.FOLDERS,
    **clips.FOLDERS,
    **extraction.FOLDERS,
}
