"""Events of generated songs to changes of job documents. Pure, like `gateway.projection.fold`.

A song's job is a document of its own kind only in its cells:

====================  =================================  ==========================================
cell                  order                              value
====================  =================================  ==========================================
clip/stage            attempt, rank of the stage, seq.   the seed's stage, and why
clip/task             attempt                            the provider's task
clip/callback         event time                         when a callback came last
clip/made             attempt                            the songs
clip/chained          attempt                            the job that goes on with the song
====================  =================================  ==========================================

The channel's last result is a document of its own (a track whose id begins with ``chn_``), with one
cell ordered by when the job was asked for: a late song never replaces a newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.projection.cells import Cell, Document, Key, order
from gateway.projection.changes import (
    FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Cells,
    Change,
    add_made,
    clock_cells,
    job_cells,
    job_change,
    state_cell,
    wire_of,
)
from gateway.projection.clip_state import RANKS
from schemas.events import (
    ClipMade,
    Event,
    Generated,
    GenerationRequested,
    GenerationUpdated,
)
from schemas.work import find
from topics.codec import Envelope

CHANNEL = "chn"
"""What the ids of the documents of channels begin with."""

_STAGE_OF = {20: "submission", 30: "generation", 40: "generation", 90: "generation"}


def channel_key(tenant: str, channel_id: str) -> Key:
    """The document of a channel's last result."""
    return Key("track", tenant, f"{CHANNEL}_{channel_id}")


def _requested(envelope: Envelope, event: GenerationRequested) -> tuple[Change, ...]:
    work, wanted = event.work, event.generation
    cells = job_cells(envelope, work.track_id)
    cells["state"] = state_cell(work.attempt, QUEUED, "", "queued")
    cells["work"] = Cell(order(work.attempt), envelope.id, work.to_wire())
    if event.reason != "retry":  # a retry does not ask anew
        cells["request"] = Cell(
            0,
            envelope.id,
            {
                "version": work.version,
                "kind": "clip",
                "fromStage": work.from_stage,
                "createdMs": wanted.requested_ms or envelope.time_ms,
                "callbackId": work.callback_id,
                "title": work.title,
                "artist": work.artist,
                "language": work.language,
                "generation": wanted.to_wire(),
            },
        )
    if wanted.refusal:
        _failed(cells, envelope, work.attempt, wanted.refusal, "", "submission")
        cells["clip/stage"] = _stage(envelope, work.attempt, 90, 0, code=wanted.refusal)
    else:
        # What an older attempt came to holds no longer; any word of a stage says more.
        cells["clip/stage"] = _stage(envelope, work.attempt, 10, 0)
        cells["clip/task"] = Cell(order(work.attempt), "", {"id": ""})
    return (job_change(work, cells),)


def _updated(envelope: Envelope, event: GenerationUpdated) -> tuple[Change, ...]:
    stage = event.stage if event.stage in RANKS else 40
    cells = job_cells(envelope, event.track_id)
    cells["clip/stage"] = _stage(
        envelope,
        event.attempt,
        stage,
        event.sequence,
        code=event.code,
        detail=event.detail,
        status=event.status,
        nextMs=event.next_ms,
        reads=event.reads,
        sends=event.sends,
    )
    if event.task_id:
        cells["clip/task"] = Cell(order(event.attempt), envelope.id, {"id": event.task_id})
    if event.callback:
        cells["clip/callback"] = Cell(envelope.time_ms, "", {"atMs": envelope.time_ms})
    if stage in (90, 99):
        code = event.code or "timeout"
        _failed(cells, envelope, event.attempt, code, event.detail, _STAGE_OF.get(stage, ""))
    else:
        cells["state"] = state_cell(event.attempt, RUNNING, "", "running")
    return (job_change(event, cells),)


def _generated(envelope: Envelope, event: Generated) -> tuple[Change, ...]:
    work = event.work
    cells = job_cells(envelope, work.track_id)
    cells["state"] = state_cell(work.attempt, RUNNING, "", "running")
    for stage in ("submission", "generation"):
        add_made(cells, stage, envelope, work, event.seconds, reused=False)
    cells["clip/stage"] = _stage(envelope, work.attempt, 50, 0)
    cells["clip/task"] = Cell(order(work.attempt), envelope.id, {"id": event.task_id})
    songs = [song.to_wire() for song in event.songs]
    cells["clip/made"] = Cell(
        order(work.attempt), envelope.id, {"songs": songs, "late": event.late}
    )
    last: Cells = clock_cells(envelope.time_ms)
    last["last"] = Cell(
        event.generation.requested_ms,
        work.job_id,
        {
            "jobId": work.job_id,
            "audioUrl": event.songs[0].audio_url if event.songs else "",
            "title": work.title,
        },
    )
    channel = channel_key(work.tenant, event.generation.channel_id)
    return (job_change(work, cells), Document(channel, last))


def _made(envelope: Envelope, event: ClipMade) -> tuple[Change, ...]:
    work = event.work
    cells = job_cells(envelope, work.track_id)
    cells["state"] = state_cell(work.attempt, SUCCEEDED, "", "succeeded")
    add_made(cells, "clip", envelope, work, event.seconds, event.reused)
    cells["clip/chained"] = Cell(
        order(work.attempt),
        "",
        {"jobId": event.chained_job_id, "trackId": event.chained_track_id},
    )
    last: Cells = clock_cells(envelope.time_ms)
    last["clip"] = Cell(
        event.generation.requested_ms,
        work.job_id,
        {"jobId": work.job_id, "video": wire_of(find(work, "clip"))},
    )
    channel = channel_key(work.tenant, event.generation.channel_id)
    return (job_change(work, cells), Document(channel, last))


def _stage(envelope: Envelope, attempt: int, stage: int, sequence: int, **more: Any) -> Cell:
    place = order(attempt, 0, RANKS[stage], sequence)
    return Cell(place, envelope.id, {"stage": stage, "atMs": envelope.time_ms, **more})


def _failed(
    cells: Cells, envelope: Envelope, attempt: int, code: str, detail: str, stage: str
) -> None:
    why = {
        "code": code,
        "message": detail,
        "stage": stage or "generation",
        "try": 1,
        "atMs": envelope.time_ms,
    }
    cells["state"] = state_cell(attempt, FAILED, envelope.id, "failed", why)


FOLDERS: Mapping[type[Event], Callable[[Envelope, Any], tuple[Change, ...]]] = {
    GenerationRequested: _requested,
    GenerationUpdated: _updated,
    Generated: _generated,
    ClipMade: _made,
}
