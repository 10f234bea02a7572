"""Video events to changes of job and track documents. Pure, like `gateway.projection.fold`.

A video belongs to a track and to one of its published versions, and makes no version itself. Its
id is that of its job (``vid_…``), by which its cells in the track's document are told from those
of the jobs that make versions: ``video/<id>/asked``, ``video/<id>/made`` and ``end/<id>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.projection.cells import Cell, order
from gateway.projection.changes import (
    QUEUED,
    SUCCEEDED,
    Change,
    add_made,
    job_cells,
    job_change,
    state_cell,
    track_cells,
    track_change,
    wire_of,
)
from schemas.events import Event, VideoRendered, VideoRequested
from schemas.work import find
from topics.codec import Envelope


def _requested(envelope: Envelope, event: VideoRequested) -> tuple[Change, ...]:
    work, event_id = event.work, envelope.id
    cells = job_cells(envelope, work.track_id)
    cells["state"] = state_cell(work.attempt, QUEUED, "", "queued")
    cells["work"] = Cell(order(work.attempt), event_id, work.to_wire())
    track = track_cells(envelope, work.job_id, work.attempt)
    if event.reason != "retry":  # a retry does not ask anew
        asked = {
            "version": work.version,
            "video": event.video.to_wire(),
            "createdMs": envelope.time_ms,
        }
        cells["request"] = Cell(
            0,
            event_id,
            {
                **asked,
                "kind": "video",
                "fromStage": work.from_stage,
                "callbackId": work.callback_id,
                "title": work.title,
                "artist": work.artist,
                "language": work.language,
            },
        )
        track[f"video/{work.job_id}/asked"] = Cell(0, event_id, asked)
    return (job_change(work, cells), track_change(work, track))


def _rendered(envelope: Envelope, event: VideoRendered) -> tuple[Change, ...]:
    work = event.work
    cells = job_cells(envelope, work.track_id)
    cells["state"] = state_cell(work.attempt, SUCCEEDED, "", "succeeded")
    add_made(cells, "video", envelope, work, event.seconds, event.reused)
    track = track_cells(envelope, work.job_id, work.attempt)
    track[f"end/{work.job_id}"] = state_cell(work.attempt, SUCCEEDED, "", "succeeded")
    # The lowest attempt wins: what was handed out once stays.
    track[f"video/{work.job_id}/made"] = Cell(
        -order(work.attempt),
        envelope.id,
        {"artifact": wire_of(find(work, "video")), "atMs": envelope.time_ms},
    )
    return (job_change(work, cells), track_change(work, track))


FOLDERS: Mapping[type[Event], Callable[[Envelope, Any], tuple[Change, ...]]] = {
    VideoRequested: _requested,
    VideoRendered: _rendered,
}
