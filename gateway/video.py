"""From a published version to a karaoke video: accepting the job, and finding what came of it."""

from __future__ import annotations

from dataclasses import replace

from gateway.guard.clients import Caller
from gateway.guard.idempotency import Attempt
from gateway.guard.problems import Code, Problem
from gateway.identifiers import derive
from gateway.projection.job import Job
from gateway.projection.track import Track, TrackVideo, Version
from gateway.reprocessing import find_version
from gateway.services import Services
from gateway.tracks import RETRY_AFTER_S, find_track, unfinished
from gateway.uploading import COVER
from schemas.events import Artifact, Video, VideoRequested, Work


def ask_for_video(
    services: Services,
    caller: Caller,
    track_id: str,
    number: int | None,
    wanted: Video,
    attempt: Attempt,
) -> Work:
    """Accept a video of version ``number`` (of the current one without); its job's context.

    Raises 404 and 409.
    """
    track = find_track(services, caller, track_id)
    version = _shown(services, track, number)
    job_id = derive(attempt.seed, "video")
    work = Work(
        job_id=job_id,
        track_id=track_id,
        tenant=caller.tenant,
        version=version.number,
        from_stage="video",
        language=version.language,
        title=track.title,
        artist=track.artist,
        duration_ms=version.duration_ms,
        artifacts=_material(services, caller, version, wanted),
    )
    event = VideoRequested(work=work, video=wanted)
    known = attempt.resumed and services.store.job(caller.tenant, job_id) is not None
    with services.admissions.job(caller, known=known):
        services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
    return work


def find_video(services: Services, caller: Caller, track_id: str, video_id: str) -> TrackVideo:
    """A video of the track, the one that was asked for last where no id is given. Raises 404."""
    track = find_track(services, caller, track_id)
    for video in reversed(track.videos):
        if video_id in ("", video.video_id):
            return video
    what = f"no video '{video_id[:64]}'" if video_id else "no video yet"
    raise Problem(Code.VIDEO_NOT_FOUND, f"Track '{track_id}' has {what}.")


def rendered(services: Services, caller: Caller, video: TrackVideo) -> Artifact:
    """The MP4. Raises 425 while a job may still make it, 409 once none will."""
    if video.artifact is not None:
        return video.artifact
    job = services.store.job(caller.tenant, video.video_id)
    if job is None or not job.ended or job.state == "succeeded":
        share = f"{job.progress:.0%} done" if job is not None else "queued"
        raise Problem(
            Code.VIDEO_NOT_READY,
            f"Video '{video.video_id}' is {share}.",
            headers={"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"},
            extra=_where(video, job),
        )
    message = job.error.message if job.error else ""
    how = "was canceled" if job.state == "canceled" else "failed"
    raise Problem(
        Code.VIDEO_FAILED,
        f"Video '{video.video_id}' {how}" + (f": {message}" if message else "."),
        extra=_where(video, job)
        | {"reason": {"code": job.error.code if job.error else job.state, "message": message}},
    )


def _where(video: TrackVideo, job: Job | None) -> dict[str, object]:
    if job is None:
        return {"jobId": video.video_id}
    return {
        "jobId": job.job_id,
        "state": job.state,
        "stage": job.stage,
        "progress": round(job.progress, 4),
    }


def _shown(services: Services, track: Track, number: int | None) -> Version:
    version = track.current if number is None else find_version(track, number)
    if version is None:
        raise unfinished(services, track)
    if version.state != "published":
        raise Problem(
            Code.VERSION_NOT_PUBLISHED,
            f"Version {version.number} of track '{track.track_id}' is a draft and has no times"
            " to light up by.",
        )
    return version


def _material(
    services: Services, caller: Caller, version: Version, wanted: Video
) -> tuple[Artifact, ...]:
    names = ["karaoke", "minus", *(["vocals"] if wanted.vocals == "guide" else [])]
    missing = [name for name in names if name not in version.artifacts]
    if missing:
        raise Problem(
            Code.MATERIAL_MISSING,
            f"Version {version.number} has no {', '.join(missing)} to make a video of.",
            extra={"missing": missing},
        )
    found = [version.artifacts[name] for name in names]
    if wanted.cover_asset_id:
        asset = services.reservations.asset(caller.tenant, wanted.cover_asset_id)
        if asset is None or asset.purpose != COVER:
            raise Problem(
                Code.ASSET_NOT_FOUND,
                f"There is no cover '{wanted.cover_asset_id[:64]}': upload the picture with"
                " purpose cover.",
                errors=[{"pointer": "#/coverAssetId", "message": "unknown"}],
            )
        found.append(replace(asset.artifact, name="cover"))
    return tuple(found)
