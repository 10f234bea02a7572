"""Requests of items for tests, and a log of a room's life in memory."""

from __future__ import annotations

from dataclasses import replace

from processors.admission.room import Item, Release
from schemas.events import Extraction, ExtractionAdmitted, ExtractionRequested, Work


def requested(
    name: str,
    task: str = "",
    *,
    client: str = "a",
    concurrency: int = 0,
    seconds: float = 5.0,
    attempt: int = 1,
    tenant: str = "default",
) -> ExtractionRequested:
    """Somebody wants the features of a file."""
    return ExtractionRequested(
        work=Work(job_id=name, track_id=task or name, tenant=tenant, attempt=attempt),
        extraction=Extraction(
            task_id=task or name,
            concurrency=concurrency,
            video_id="",
            client=client,
            expected_seconds=seconds,
        ),
    )


def item(event: ExtractionRequested, offset: int, arrived_ms: int | None = None) -> Item:
    """The same as the room has it; by default they arrive a second apart."""
    arrived = 1000 * offset if arrived_ms is None else arrived_ms
    return Item(event, f"cause-{offset}", offset, arrived)


def admitted(release: Release) -> ExtractionAdmitted:
    """What is written of a release."""
    event = release.item.event
    return ExtractionAdmitted(
        work=replace(event.work),
        extraction=event.extraction,
        sequence=release.sequence,
        virtual_start=release.start,
        virtual_finish=release.finish,
    )
