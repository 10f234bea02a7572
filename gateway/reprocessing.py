"""Running part of the pipeline again: on the newest draft, or for a new version of what there is.

A request carries its whole context, filled here from the projection: the artifacts that steps
before the first one made. What that step and later ones made before is left behind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from gateway.guard.clients import Caller
from gateway.guard.idempotency import Attempt
from gateway.guard.locks import edit_of, work_on
from gateway.guard.problems import Code, Problem
from gateway.identifiers import derive
from gateway.projection.track import Track, Version
from gateway.services import Services
from gateway.tracks import find_track, unfinished
from schemas.events import Artifact, ReprocessRequested, Work
from schemas.work import BELOW_BAR, PREVIOUS, STAGES, STEPS, find

MADE_BY: Mapping[str, str] = {
    "vocals": "separation",
    "minus": "separation",
    "mix": "separation",
    "transcript": "transcription",
    "alignment": "alignment",
    "evidence": "alignment",
    "checked": "quality",
    "pitch": "quality",
    "karaoke": "publishing",
    "changes": "publishing",
}
"""Which stage makes an artifact that is made anew when the stage runs again.

Any other comes from the client (the source), or stays of use (``heard``, what the alignment's model
heard of the vocals, and ``listened``, what the quality check heard of the stems: the stages
themselves tell whether it still holds)."""

PARENT = "parent"
"""What a job that aligns calls the alignment of the version it continues: lines that were not
edited keep their places."""

_STEMS = ("vocals", "minus", "mix")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "separation": ("source",),
    "transcription": _STEMS,
    "alignment": _STEMS,
    "quality": (*_STEMS, "alignment"),
    "publishing": (*_STEMS, "checked"),
}
"""What a job that begins at a stage has to bring along."""


def earliest(steps: Collection[str]) -> str:
    """The stage of the earliest of these API steps."""
    return min((STEPS[step] for step in steps), key=STAGES.index)


def reprocess(
    services: Services,
    caller: Caller,
    track_id: str,
    steps: tuple[str, ...],
    *,
    replace_lyrics: bool,
    attempt: Attempt,
) -> Work:
    """Accept a reprocess; the context of its job. Raises 404 and 409."""
    job_id = derive(attempt.seed, "job")

    def accept() -> Work:
        track = find_track(services, caller, track_id)
        known = _accepted_before(services, caller, job_id, attempt)
        if known is not None:
            return known
        base = track.newest
        if base is None or track.current is None:
            raise unfinished(services, track)
        if "transcribe" in steps and base.lyrics_origin != "transcribed" and not replace_lyrics:
            raise Problem(
                Code.LYRICS_WERE_GIVEN,
                f"Version {base.number} of track '{track_id}' has {base.lyrics_origin} lyrics.",
            )
        _check_not_in_work(track, base)
        if base.state == "draft":
            return begin(track, base, base.number)
        # An edit of the base that another gateway accepts meanwhile would be a draft below the
        # version that is reserved here, and nobody would ever see it again.
        with services.locks.excluding(caller.tenant, track_id, edit_of(base.number), attempt.seed):
            version = services.reservations.reserve_version(
                caller.tenant, track_id, job_id, floor=track.highest
            )
            return begin(track, base, version)

    def begin(track: Track, base: Version, version: int) -> Work:
        work = context(
            services,
            track,
            base,
            job_id=job_id,
            version=version,
            stage=earliest(steps),
            transcribe="transcribe" in steps or base.lyrics_origin == "transcribed",
        )
        event = ReprocessRequested(work=work, reason="reprocess", steps=steps)
        with (
            services.admissions.job(caller),
            services.locks.claiming(caller.tenant, track_id, work_on(track, version), attempt.seed),
        ):
            services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
        return work

    return services.locks.change(caller.tenant, track_id, accept)


def roll_back(
    services: Services, caller: Caller, track_id: str, number: int, *, attempt: Attempt
) -> Work:
    """Accept that version ``number`` is published once more, as a new version. Raises 404, 409.

    A version that was held back below the quality bar is published all the same: a person says so.
    """
    job_id = derive(attempt.seed, "job")
    with services.locks.holding(caller.tenant, track_id):
        track = find_track(services, caller, track_id)
        known = _accepted_before(services, caller, job_id, attempt)
        if known is not None:
            return known
        held = _held_back(services, track, number)
        base = find_version(track, number) if held is None else None
        if base is not None and base.state != "published":
            raise Problem(
                Code.VERSION_NOT_PUBLISHED,
                f"Version {number} of track '{track_id}' is a draft and has nothing to publish.",
            )
        version = services.reservations.reserve_version(
            caller.tenant, track_id, job_id, floor=track.highest
        )
        if base is not None:
            work = context(
                services, track, base, job_id=job_id, version=version, stage="publishing"
            )
        else:
            assert held is not None
            work = _all_the_same(track, held, job_id=job_id, version=version)
        event = ReprocessRequested(work=work, reason="rollback", steps=("publish",))
        with services.admissions.job(caller):
            services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
        return work


def _held_back(services: Services, track: Track, number: int) -> Work | None:
    """The work of the job whose version ``number`` was not good enough to be published."""
    version = track.version(number)
    if version is not None and version.state == "published":
        return None
    for job in reversed(track.jobs):
        if job.version == number and job.error and job.error.code == BELOW_BAR:
            found = services.store.job(track.tenant, job.job_id)
            work = found.work if found is not None else None
            if work is not None and find(work, "checked") is not None:
                return work
    return None


def _all_the_same(track: Track, held: Work, *, job_id: str, version: int) -> Work:
    """The rest of a job that was held back, as a job of its own."""
    return replace(
        held,
        job_id=job_id,
        version=version,
        parent=held.version if track.version(held.version) else held.parent,
        attempt=1,
        from_stage="publishing",
        artifacts=with_previous(held.artifacts, track.current),
        replay_id="",
        force=False,
    )


def with_previous(artifacts: Iterable[Artifact], current: Version | None) -> tuple[Artifact, ...]:
    """The artifacts with the karaoke that is published now, so that publishing can compare."""
    own = tuple(artifact for artifact in artifacts if artifact.name != PREVIOUS)
    published = current.artifacts.get("karaoke") if current is not None else None
    return own if published is None else (*own, replace(published, name=PREVIOUS))


def find_version(track: Track, number: int) -> Version:
    """A version of the track. Raises 404."""
    version = track.version(number)
    if version is None:
        raise Problem(Code.VERSION_NOT_FOUND, f"Track '{track.track_id}' has no version {number}.")
    return version


def context(
    services: Services,
    track: Track,
    base: Version,
    *,
    job_id: str,
    version: int,
    stage: str,
    transcribe: bool = False,
    lyrics: Artifact | None = None,
) -> Work:
    """The work of a job that begins at ``stage`` with what ``base`` is made of.

    A draft has lyrics only; the rest comes from the current published version. ``transcribe``
    drops the lyrics where the transcription still lies ahead; ``lyrics`` replaces them. Raises 409
    when the stage lacks what it works on.
    """
    material = base if base.state == "published" else track.current
    if material is None:
        raise unfinished(services, track)
    ahead = STAGES[STAGES.index(stage) :]
    artifacts = {
        name: artifact
        for name, artifact in material.artifacts.items()
        if name not in (PARENT, PREVIOUS)
        and MADE_BY.get(name) not in ahead
        # a draft's words have no times yet: those of the published version are of other words
        and not (base is not material and MADE_BY.get(name) in ("alignment", "quality"))
    }
    if stage == "alignment" and "alignment" in material.artifacts:
        artifacts[PARENT] = replace(material.artifacts["alignment"], name=PARENT)
    missing = [name for name in NEEDS[stage] if name not in artifacts]
    if missing:
        raise Problem(
            Code.MATERIAL_MISSING,
            f"Version {base.number} of track '{track.track_id}' has no {', '.join(missing)}"
            f" to begin {stage} with.",
            extra={"missing": missing},
        )
    again = transcribe and "transcription" in ahead
    return Work(
        job_id=job_id,
        track_id=track.track_id,
        tenant=track.tenant,
        version=version,
        parent=_parent(base),
        from_stage=stage,
        language=base.language or material.language or track.language,
        title=track.title,
        artist=track.artist,
        duration_ms=material.duration_ms,
        lyrics=None if again else lyrics or base.lyrics,
        artifacts=with_previous(artifacts.values(), track.current),
        backends={
            name: backend for name, backend in material.backends.items() if name not in ahead
        },
        callback_id=_callback_id(services, track),
    )


def _parent(base: Version) -> int:
    """A draft continues the version it was edited from; anything else continues its base."""
    return (base.parent or 0) if base.state == "draft" else base.number


def _callback_id(services: Services, track: Track) -> str:
    """The endpoint given at import hears of later versions too."""
    for each in track.jobs:
        if each.kind == "import":
            job = services.store.job(track.tenant, each.job_id)
            return job.callback_id if job is not None else ""
    return ""


def _accepted_before(
    services: Services, caller: Caller, job_id: str, attempt: Attempt
) -> Work | None:
    """The job, when a first try of this request was accepted and died before its answer."""
    if not attempt.resumed:
        return None
    job = services.store.job(caller.tenant, job_id)
    return job.work if job is not None else None


def _check_not_in_work(track: Track, base: Version) -> None:
    """Two jobs must not publish one draft."""
    if base.state != "draft":
        return
    for job in track.jobs:
        if job.state == "open" and job.version == base.number:
            raise Problem(
                Code.REPROCESS_IN_WORK,
                f"Job '{job.job_id}' is working on version {base.number}.",
                extra={"jobId": job.job_id},
            )
