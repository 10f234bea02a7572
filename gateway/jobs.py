"""Stopping jobs and starting failed ones again."""

from __future__ import annotations

from dataclasses import replace

from gateway.guard.clients import Caller
from gateway.guard.idempotency import Attempt
from gateway.guard.locks import work_on
from gateway.guard.problems import Code, Problem
from gateway.projection.job import Job
from gateway.projection.track import Track
from gateway.services import Services
from schemas.events import (
    Event,
    ExtractionRequested,
    Generated,
    Generation,
    GenerationRequested,
    JobCanceled,
    JobRetried,
    MasteringRequested,
    ReprocessRequested,
    VideoRequested,
    Work,
)


def find_job(services: Services, caller: Caller, job_id: str) -> Job:
    """A job of the caller's tenant. Raises 404."""
    job = services.store.job(caller.tenant, job_id)
    if job is None:
        raise Problem(Code.JOB_NOT_FOUND, f"There is no job '{job_id[:64]}'.")
    return job


def cancel(services: Services, caller: Caller, job_id: str, reason: str, attempt: Attempt) -> Job:
    """Stop a job that has not ended. Raises 404, and 409 when it has ended.

    A publish that was committed before wins; the answer is then 409 and says so.
    """
    track_id = find_job(services, caller, job_id).track_id
    with services.locks.holding(caller.tenant, track_id):
        job = find_job(services, caller, job_id)
        if attempt.resumed and job.state == "canceled":
            return job
        if job.ended:
            raise _ended(job)
        event = JobCanceled(
            job_id=job.job_id,
            track_id=job.track_id,
            tenant=job.tenant,
            attempt=job.attempt,
            reason=reason,
        )
        services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
        job = find_job(services, caller, job_id)
    if job.state == "succeeded":
        raise _ended(job)
    return job


def retry(services: Services, caller: Caller, job_id: str, attempt: Attempt) -> Job:
    """Start a failed job again at the stage that failed. Raises 404, and 409 when it has not
    failed or its version was published by another job since.
    """
    track_id = find_job(services, caller, job_id).track_id

    def accept() -> Job:
        job = find_job(services, caller, job_id)
        if attempt.resumed and job.attempt > 1 and not job.ended:
            return job
        track = services.store.track(caller.tenant, track_id)
        if job.state != "failed" or job.work is None:
            raise Problem(
                Code.JOB_NOT_FAILED,
                f"Job '{job.job_id}' is {job.state}.",
                extra={"state": job.state},
            )
        if _makes_a_version(job):
            _check_version_free(track, job)
        from_stage = job.error.stage if job.error and job.error.stage else job.stage
        number = job.attempt + 1
        work = replace(job.work, attempt=number, from_stage=from_stage)
        events = (
            JobRetried(
                job_id=job.job_id,
                track_id=job.track_id,
                tenant=job.tenant,
                attempt=number,
                from_stage=from_stage,
            ),
            _once_more(job, work, services.clock_ms()),
        )
        with (
            services.admissions.job(caller),
            services.locks.claiming(caller.tenant, track_id, _claim(track, job), attempt.seed),
        ):
            services.publisher.accept(events, cause=attempt.seed, traceparent=caller.traceparent)
        return find_job(services, caller, job_id)

    return services.locks.change(caller.tenant, track_id, accept)


def _claim(track: Track | None, job: Job) -> str:
    """What only one request may do: videos, songs and features take no version, so others' work
    is no rival."""
    if _makes_a_version(job):
        return work_on(track, job.version)
    return f"{job.kind} {job.job_id} after {job.attempt}"


def _makes_a_version(job: Job) -> bool:
    return job.video is None and job.generation is None and job.extraction is None


def _once_more(job: Job, work: Work, now_ms: int) -> Event:
    """What wakes the stage that a retry starts from, in the words of the job's system."""
    if job.generation is not None:
        return _song_once_more(job, work, job.generation, now_ms)
    if job.extraction is not None:
        return ExtractionRequested(work=work, extraction=job.extraction, reason="retry")
    if job.video is not None:
        return VideoRequested(work=work, video=job.video, reason="retry")
    if job.mastering is None:
        return ReprocessRequested(work=work, reason="retry")
    return MasteringRequested(work=work, mastering=job.mastering, reason="retry")


def _song_once_more(job: Job, work: Work, wanted: Generation, now_ms: int) -> Event:
    """A song that is there is not asked (and paid) for again; any other is, with all its time."""
    if job.clip is not None and job.clip.songs:
        songs, task_id = tuple(job.clip.songs), job.clip.task_id
        return Generated(work=work, generation=wanted, task_id=task_id, songs=songs)
    again = replace(wanted, requested_ms=now_ms, refusal="")
    return GenerationRequested(work=work, generation=again, reason="retry")


def _check_version_free(track: Track | None, job: Job) -> None:
    """Two jobs may have tried the same draft; what one of them published is not made again."""
    if track is None:
        return
    version = track.version(job.version)
    if version is not None and version.state == "published":
        raise Problem(
            Code.JOB_NOT_FAILED,
            f"Version {job.version} was published by job '{version.job_id}' since; published"
            " versions never change. Reprocess the track for a new version.",
        )
    other = next(
        (
            each
            for each in track.jobs
            if each.state == "open" and each.version == job.version and each.job_id != job.job_id
        ),
        None,
    )
    if other is not None:
        raise Problem(
            Code.REPROCESS_IN_WORK,
            f"Job '{other.job_id}' is working on version {job.version}.",
            extra={"jobId": other.job_id},
        )


def _ended(job: Job) -> Problem:
    done = "the video was made" if job.video else f"version {job.version} was published"
    if job.extraction is not None:
        done = "its features were extracted"
    how = {
        "succeeded": f"{done} before the cancel arrived",
        "canceled": "it was canceled already",
    }.get(job.state, "it has failed")
    return Problem(
        Code.JOB_ENDED, f"Job '{job.job_id}' cannot be canceled: {how}.", extra={"state": job.state}
    )
