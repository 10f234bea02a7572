"""Folding recorded events, as a projector does, and what is looked at then."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from hypothesis import HealthCheck, settings

from gateway.projection.cells import Document, Key, from_json, merge, to_json
from gateway.projection.fold import fold, join
from gateway.projection.job import Job, job_of
from gateway.projection.track import Track as TrackView
from gateway.projection.track import track_of
from tests.gateway.projection.histories import TENANT
from topics.codec import Envelope

SHORT_LIVED = ("step-progressed", "step-failed")
property_test = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def folded(envelopes: Iterable[Envelope]) -> dict[Key, Document]:
    return join(change for envelope in envelopes for change in fold(envelope))


def job(envelopes: Iterable[Envelope], job_id: str = "job_1") -> Job:
    return job_of(folded(envelopes)[Key("job", TENANT, job_id)])


def track(envelopes: Iterable[Envelope]) -> TrackView:
    return track_of(folded(envelopes)[Key("track", TENANT, "trk_1")])


def standing(document: Document) -> object:
    """What a job or a track has come to, without the times shown beside it."""
    if document.key.kind == "track":
        view = track_of(document)
        current = None if view.current is None else view.current.number
        jobs = {(job.job_id, job.state, job.attempt) for job in view.jobs}
        return current, [(each.number, each.state) for each in view.versions], jobs
    view_of_job = job_of(document)
    steps = [(step.stage, step.state, step.attempt, step.progress) for step in view_of_job.steps]
    return view_of_job.state, view_of_job.attempt, view_of_job.stage, view_of_job.error, steps


def text(documents: dict[Key, Document]) -> dict[Key, str]:
    return {key: to_json(document) for key, document in documents.items()}


def assert_order_changes_nothing(envelopes: Sequence[Envelope], chance: random.Random) -> None:
    """No order, no duplicates, no loss that is replayed changes what the events come to."""
    straight = text(folded(envelopes))
    shuffled = [*envelopes, *chance.sample(envelopes, len(envelopes))]
    chance.shuffle(shuffled)
    assert text(folded(shuffled)) == straight

    # One by one, through the stored text, with some lost on the way and then replayed whole.
    documents: dict[Key, Document] = {}
    lossy = [each for each in shuffled if chance.random() < 0.7]
    for envelope in [*lossy, *envelopes]:
        for change in fold(envelope):
            before = documents.get(change.key)
            after = change if before is None else merge(before, change)
            documents[change.key] = from_json(change.key, to_json(after))
    assert text(documents) == straight


def assert_progress_never_falls(envelopes: Iterable[Envelope]) -> None:
    """Within an attempt of a job."""
    documents: dict[Key, Document] = {}
    best: dict[tuple[str, int], float] = {}
    for envelope in envelopes:
        for change in fold(envelope):
            before = documents.get(change.key)
            documents[change.key] = change if before is None else merge(before, change)
            if change.key.kind != "job":
                continue
            seen = job_of(documents[change.key])
            at = (seen.job_id, seen.attempt)
            assert seen.progress >= best.get(at, 0.0)
            best[at] = seen.progress
