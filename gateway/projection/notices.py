"""What webhooks tell of the events that were just folded.

The projector writes notifications after the store has taken what they speak of, in the transaction
of its offsets: a receiver that asks at once sees it. Their ids follow from the events and their
sequence from a counter that gives the same notification the same number again, so a batch that is
folded twice tells nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from gateway.projection.extraction import is_batch
from gateway.projection.job import TERMINAL
from gateway.projection.reservations import Reservations
from gateway.projection.store import ProjectionStore
from schemas import webhooks
from schemas.events import (
    ClipMade,
    Event,
    FeaturesExtracted,
    JobCanceled,
    JobFailed,
    LyricsEdited,
    Mastered,
    Notified,
    Published,
    Work,
)
from topics.codec import Codec, Envelope, event_id
from topics.log import Outgoing

SOURCE = "projector"


class Notices:
    """Makes notifications of what was folded. Belongs to the projector."""

    def __init__(self, codec: Codec, store: ProjectionStore, reservations: Reservations) -> None:
        self._codec = codec
        self._store = store
        self._reservations = reservations

    def of(self, envelopes: Iterable[Envelope]) -> list[Outgoing]:
        """The notifications of these events. Raises `gateway.projection.store.StoreError`."""
        told: list[Envelope] = []
        batches: dict[tuple[str, str], Envelope] = {}
        for envelope in envelopes:
            whole = _batch_of(envelope.event)
            if whole is not None:
                batches[whole] = envelope
            elif (about := _ABOUT[type(envelope.event)](envelope.event, self._store)) is not None:
                told.append(self._of(about, envelope, envelope.id))
        for (tenant, task_id), envelope in batches.items():
            if (about := self._ended_batch(tenant, task_id)) is not None:
                # Whichever of its events is the last one here, it is told under one id.
                told.append(self._of(about, envelope, f"{task_id} ended"))
        return [self._codec.encode(each) for each in told]

    def _ended_batch(self, tenant: str, task_id: str) -> Notified | None:
        """What is told of a batch, once all of it has ended."""
        batch = self._store.batch(tenant, task_id)
        if batch is None:
            return None
        tally = self._store.tally(tenant, task_id)
        if sum(tally.get(state, 0) for state in TERMINAL) < batch.count:
            return None
        kind = webhooks.EXTRACTION_COMPLETED if batch.canceled is None else webhooks.JOB_CANCELED
        notice = _notice(kind, tenant, task_id, task_id, 0, batch.callback_id)
        if batch.canceled is None:
            return notice
        return replace(notice, code="canceled", message=batch.canceled.message)

    def _of(self, about: Notified, envelope: Envelope, cause: str) -> Envelope:
        number = event_id(cause, SOURCE, Notified.topic)
        told = replace(
            about,
            notification_id=f"msg_{number.replace('-', '')}",
            occurred_ms=envelope.time_ms,
        )
        told = replace(
            told,
            sequence=self._reservations.reserve_version(
                told.tenant, f"notices-{told.track_id}", told.notification_id, floor=0
            ),
        )
        return Envelope.caused(
            told,
            by=cause,
            source=SOURCE,
            time_ms=envelope.time_ms,
            traceparent=envelope.traceparent,
        )


def tells(event: Event) -> bool:
    """Whether webhooks may tell of an event."""
    return type(event) in _ABOUT


def _batch_of(event: Event) -> tuple[str, str] | None:
    """The batch whose item this is about: it is told of as a whole."""
    work = event.work if isinstance(event, FeaturesExtracted) else event
    tenant, task_id = getattr(work, "tenant", ""), getattr(work, "track_id", "")
    return (tenant, task_id) if is_batch(task_id) else None


About = Callable[[Any, ProjectionStore], Notified | None]


def _made(event_type: str) -> About:
    def about(event: Published | Mastered | ClipMade, store: ProjectionStore) -> Notified | None:
        work: Work = event.work
        if work.replay_id and not work.callback_id:
            return None  # a replay tells somebody only if it was asked to
        return _notice(
            event_type, work.tenant, work.track_id, work.job_id, work.version, work.callback_id
        )

    return about


def _extracted(event: FeaturesExtracted, store: ProjectionStore) -> Notified | None:
    work = event.work
    if work.replay_id and not work.callback_id:
        return None
    failed = event.status == "failed"
    kind = webhooks.JOB_FAILED if failed else webhooks.EXTRACTION_COMPLETED
    notice = _notice(kind, work.tenant, work.track_id, work.job_id, 0, work.callback_id)
    if failed:
        return replace(notice, code=event.code, message=event.message, stage="extraction")
    return notice


def _ended(event_type: str) -> About:
    def about(event: JobFailed | JobCanceled, store: ProjectionStore) -> Notified | None:
        job = store.job(event.tenant, event.job_id)
        if job is not None and job.state == "succeeded" and job.attempt == event.attempt:
            return None  # what was published before outranks it, and was told
        version, callback = (job.version, job.callback_id) if job is not None else (0, "")
        replay = job.replay_id if job is not None else ""
        if isinstance(event, JobFailed):  # its request may be behind it, on another topic
            version, callback = version or event.version, callback or event.callback_id
            replay = replay or event.replay_id
        if replay and not callback:
            return None
        notice = _notice(event_type, event.tenant, event.track_id, event.job_id, version, callback)
        if isinstance(event, JobFailed):
            return replace(notice, code=event.code, message=event.message, stage=event.stage)
        return replace(notice, code="canceled", message=event.reason)

    return about


def _edited(event: LyricsEdited, store: ProjectionStore) -> Notified | None:
    track = store.track(event.tenant, event.track_id)
    first = next(iter(track.jobs), None) if track is not None else None
    job = store.job(event.tenant, first.job_id) if first is not None else None
    callback = job.callback_id if job is not None else ""
    return _notice(
        webhooks.LYRICS_UPDATED, event.tenant, event.track_id, "", event.version, callback
    )


def _notice(
    event_type: str, tenant: str, track_id: str, job_id: str, version: int, callback_id: str
) -> Notified:
    return Notified(
        notification_id="",
        tenant=tenant,
        type=event_type,
        track_id=track_id,
        job_id=job_id,
        version=version,
        callback_id=callback_id,
    )


_ABOUT: Mapping[type[Event], About] = {
    Published: _made(webhooks.TRACK_READY),
    Mastered: _made(webhooks.MASTERING_READY),
    ClipMade: _made(webhooks.CLIP_READY),
    FeaturesExtracted: _extracted,
    JobFailed: _ended(webhooks.JOB_FAILED),
    JobCanceled: _ended(webhooks.JOB_CANCELED),
    LyricsEdited: _edited,
}
