"""Which recorded events begin which jobs again, and why the others do not. Pure.

A replay makes one new version a track: from the newest recorded event that holds what the stage
works on, with the words of the version that is published now. So a replay never takes back what a
person edited since the event, and never publishes a draft behind that person's back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from gateway import mastering
from gateway.identifiers import derive
from gateway.projection.track import Track, Version
from gateway.reprocessing import MADE_BY, NEEDS, with_previous
from schemas.events import (
    EVENTS,
    Artifact,
    Backend,
    Mastering,
    MasteringRequested,
    ReprocessRequested,
    Work,
)
from schemas.webhooks import STANDING_ONLY
from schemas.work import STAGES, pipeline_of
from topics.catalog import CATALOG

WORK_TOPICS = tuple(
    name
    for name, kind in EVENTS.items()
    if "work" in kind.__dataclass_fields__
    and not {"generation", "extraction"} & set(kind.__dataclass_fields__)
)
"""Topics of the catalog whose events carry a job's context. Those of generated songs are not among
them: the provider would be paid again. Nor those of extractions: they make no versions."""

MAX_REPLAYS = 3
"""Replays that may lie behind an event which is replayed once more, unless the operator says."""

Reason = Literal[
    "in_work", "draft", "canceled", "no_material", "no_lyrics", "lyrics_given", "edited_since",
    "loop", "requested",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recorded event that carries a job's context."""

    topic: str  # in the catalog
    partition: int
    offset: int
    event_id: str
    work: Work
    replays: int = 0  # how many replays led to it
    mastering: Mastering | None = None  # what was asked for, where it is a master's

    @property
    def place(self) -> str:
        """Where it lies on the log."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Order:
    """What the operator asked for."""

    replay_id: str
    stage: str
    webhooks: bool = False
    """Tell the job's callback about the new version."""
    replace_lyrics: bool = False
    """Transcribe even where a person gave the lyrics."""
    force: bool = False
    """Compute again even where a result is stored."""
    max_replays: int = MAX_REPLAYS


@dataclass(frozen=True, slots=True)
class Request:
    """A job to ask for. Its version number is still to be reserved, above ``floor``."""

    source: Candidate
    work: Work
    floor: int

    @property
    def replays(self) -> int:
        """For the loop guard's header: this one included."""
        return self.source.replays + 1

    def event(self, version: int) -> MasteringRequested | ReprocessRequested:
        """What is written, once the version is known."""
        work = replace(self.work, version=version)
        if self.source.mastering is None:
            return ReprocessRequested(work=work, reason="replay")
        return MasteringRequested(work=work, mastering=self.source.mastering, reason="replay")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A track that is left as it is."""

    tenant: str
    track_id: str
    reason: Reason
    why: str
    source: Candidate | None = None


def plan(
    candidates: Collection[Candidate], track: Track | None, order: Order
) -> Request | Skipped | None:
    """What becomes of one track, given its recorded events and what the projection shows of it.

    The order of the candidates does not matter. None when only this replay's own events are left.
    """
    usable = [one for one in candidates if one.work.replay_id != order.replay_id]
    if not usable:
        return None
    newest_first = sorted(usable, key=_age, reverse=True)
    newest = newest_first[0]

    def skip(reason: Reason, why: str, source: Candidate = newest) -> Skipped:
        return Skipped(source.work.tenant, source.work.track_id, reason, why, source)

    usable = [one for one in usable if pipeline_of(one.work.from_stage) == pipeline_of(order.stage)]
    if not usable:
        return skip("no_material", f"it belongs to a system that has no stage {order.stage}")
    newest_first = sorted(usable, key=_age, reverse=True)
    newest = newest_first[0]
    refused = _refused(track)
    if refused is not None:
        return skip(*refused)
    current = track.current if track is not None else None
    theirs = order.stage == "transcription" and _lyrics_are_a_persons(track, newest.work)
    if theirs and not order.replace_lyrics:
        return skip("lyrics_given", "its lyrics were given; --replace-lyrics transcribes them")
    unfit: Skipped | None = None
    for source in newest_first:
        missing = _missing(source.work, order.stage)
        if missing:
            why = f"{source.place} has no {', '.join(missing)} to begin {order.stage} with"
            unfit = unfit or skip("no_material", why, source)
            continue
        if not _same_words(source.work, current, order.stage):
            why = f"its words were edited since {source.place}; replay it at stage alignment"
            unfit = skip("edited_since", why, source)
            continue
        lyrics = _lyrics(source.work, track, order)
        if lyrics is None and order.stage in STAGES[2:]:
            unfit = unfit or skip("no_lyrics", f"{source.place} has no lyrics yet", source)
            continue
        if source.replays >= order.max_replays:
            why = f"{source.place} is of replay number {source.replays} already; see --max-replays"
            return skip("loop", why, source)
        floor = max([track.highest if track else 0, *(one.work.version for one in candidates)])
        return Request(source, _work(source, current, lyrics, order), floor)
    return unfit


def _age(one: Candidate) -> tuple[int, int, int, str, int, int]:
    """Versions are given out in order, so they tell age better than clocks do."""
    work = one.work
    order = enumerate(pipeline_of(work.from_stage), 1)
    stages = [i for i, name in order if CATALOG[one.topic].owner == name]
    return (work.version, work.attempt, sum(stages), one.topic, one.partition, one.offset)


def _refused(track: Track | None) -> tuple[Reason, str] | None:
    """Why a track is left alone whatever its events are."""
    if track is None:
        return None
    if track.pending is not None:
        job = track.pending
        return "in_work", f"{job.job_id} is working on version {job.version}"
    newest = track.newest
    if newest is not None and newest.state == "draft":
        return "draft", f"version {newest.number} is a draft; reprocess it instead"
    if newest is None and track.last_job is not None and track.last_job.state == "canceled":
        return "canceled", f"{track.last_job.job_id} was canceled and nothing is published"
    return None


def _missing(work: Work, stage: str) -> list[str]:
    have = {artifact.name.split(".")[0] for artifact in _kept(work, stage)}
    return [name for name in {**NEEDS, **mastering.NEEDS}[stage] if name not in have]


def _kept(work: Work, stage: str) -> tuple[Artifact, ...]:
    """The artifacts that neither the stage nor a later one makes."""
    if stage not in STAGES:
        return mastering.kept(work, stage)
    ahead = STAGES[STAGES.index(stage) :]
    return tuple(each for each in work.artifacts if MADE_BY.get(each.name) not in ahead)


def _same_words(work: Work, current: Version | None, stage: str) -> bool:
    """Behind the alignment the words are in the artifacts, so they must be the published ones."""
    if current is None or stage not in ("quality", "publishing"):
        return True
    return _digest(work.lyrics) == _digest(current.lyrics)


def _digest(lyrics: Artifact | None) -> tuple[str, str] | None:
    return None if lyrics is None else (lyrics.uri, lyrics.sha256)


def _lyrics_are_a_persons(track: Track | None, work: Work) -> bool:
    origin = track.lyrics_origin if track is not None else ""
    return origin in ("given", "edited") if origin else work.lyrics is not None


def _lyrics(work: Work, track: Track | None, order: Order) -> Artifact | None:
    """The words to work with: those that are published now; None has the song transcribed."""
    if order.stage == "transcription":
        return None
    if order.stage == "separation" and not _lyrics_are_a_persons(track, work):
        return None
    current = track.current if track is not None else None
    return (current.lyrics if current is not None else None) or work.lyrics


def _work(
    source: Candidate, current: Version | None, lyrics: Artifact | None, order: Order
) -> Work:
    stages = pipeline_of(order.stage)
    ahead = stages[stages.index(order.stage) :]
    backends: Mapping[str, Backend] = source.work.backends
    if current is not None:  # who wrote the words down goes with the words
        own = {name: made for name, made in backends.items() if name != "transcription"}
        words = {n: made for n, made in current.backends.items() if n == "transcription"}
        backends = own | words
    return replace(
        source.work,
        job_id=derive(
            f"{order.replay_id}/{source.event_id}", "mastering" if source.mastering else "job"
        ),
        version=0,
        parent=current.number if current is not None else 0,
        attempt=1,
        from_stage=order.stage,
        language=(current.language if current is not None else "") or source.work.language,
        lyrics=lyrics,
        artifacts=with_previous(_kept(source.work, order.stage), current),
        backends={name: made for name, made in backends.items() if name not in ahead},
        callback_id=(source.work.callback_id or STANDING_ONLY) if order.webhooks else "",
        replay_id=order.replay_id,
        force=order.force,
    )
