"""Mastering events to changes of job and master documents. Pure, like `gateway.projection.fold`.

A master is kept as a track whose id begins with ``mst_``: its versions, its jobs and how each
ended. What was asked for stands in the job's ``request`` cell, so that a retry and a new version
can be made from the projection alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.projection.cells import Cell, order
from gateway.projection.changes import (
    QUEUED,
    RUNNING,
    SUCCEEDED,
    Change,
    about_cell,
    add_made,
    finite,
    job_cells,
    job_change,
    published_cell,
    state_cell,
    track_cells,
    track_change,
)
from schemas.events import Analyzed, Decided, Event, Mastered, MasteringRequested
from topics.codec import Envelope


def _requested(envelope: Envelope, event: MasteringRequested) -> tuple[Change, ...]:
    work, event_id = event.work, envelope.id
    cells = job_cells(envelope, work.track_id)
    cells["state"] = state_cell(work.attempt, QUEUED, "", "queued")
    cells["work"] = Cell(order(work.attempt), event_id, work.to_wire())
    master = track_cells(envelope, work.job_id, work.attempt)
    if event.reason != "retry":  # a retry does not ask anew
        asked = {
            "version": work.version,
            "kind": "replay" if event.reason == "replay" else "mastering",
            "fromStage": work.from_stage,
            "createdMs": envelope.time_ms,
        }
        cells["request"] = Cell(
            0,
            event_id,
            {
                **asked,
                "assetId": next(iter(event.mastering.asset_ids), ""),
                "callbackId": work.callback_id,
                "replayId": work.replay_id,
                "title": work.title,
                "artist": work.artist,
                "language": work.language,
                "mastering": event.mastering.to_wire(),
            },
        )
        master[f"job/{work.job_id}"] = Cell(0, event_id, {**asked, "lyrics": ""})
        master["about"] = about_cell(work, 0, event_id)
    return (job_change(work, cells), track_change(work, master))


def _made(stage: str) -> Callable[[Envelope, Analyzed | Decided], tuple[Change, ...]]:
    def folder(envelope: Envelope, event: Analyzed | Decided) -> tuple[Change, ...]:
        work = event.work
        cells = job_cells(envelope, work.track_id)
        cells["state"] = state_cell(work.attempt, RUNNING, "", "running")
        add_made(cells, stage, envelope, work, event.seconds, event.reused)
        return (job_change(work, cells),)

    return folder


def _mastered(envelope: Envelope, event: Mastered) -> tuple[Change, ...]:
    work = event.work
    cells = job_cells(envelope, work.track_id)
    cells["state"] = state_cell(work.attempt, SUCCEEDED, "", "succeeded")
    add_made(cells, "rendering", envelope, work, event.seconds, event.reused)
    figures = {"lufs": event.lufs, "truePeak": event.true_peak}
    cells["figures"] = Cell(
        order(work.attempt),
        envelope.id,
        {name: value if value is None else finite(value) for name, value in figures.items()}
        | {"shortfalls": event.shortfalls},
    )
    master = track_cells(envelope, work.job_id, work.attempt)
    master[f"end/{work.job_id}"] = state_cell(work.attempt, SUCCEEDED, "", "succeeded")
    master["about"] = about_cell(work, 1, envelope.id)
    master[f"version/{work.version}/published"] = published_cell(envelope, work, 0.0)
    return (job_change(work, cells), track_change(work, master))


FOLDERS: Mapping[type[Event], Callable[[Envelope, Any], tuple[Change, ...]]] = {
    MasteringRequested: _requested,
    Analyzed: _made("analysis"),
    Decided: _made("decision"),
    Mastered: _mastered,
}
