"""A job as the first service's document shows it, and its details beside it. Pure."""

from __future__ import annotations

from typing import Any, Literal

from gateway.api.dependencies import instant
from gateway.clips.texts import Language, error_text, stage_text, stale_text
from gateway.projection.clip_state import ClipState
from gateway.projection.job import Job

STAGE_NAMES = {
    10: "STAGE_10_REQUEST_ACCEPTED",
    20: "STAGE_20_SUNO_REQUEST_SENT",
    30: "STAGE_30_SUNO_TASK_CREATED",
    40: "STAGE_40_SUNO_PENDING",
    50: "STAGE_50_SUNO_SUCCESS",
    90: "STAGE_90_FAILED",
    99: "STAGE_99_TIMEOUT",
}

STALE_AFTER_S = 60
"""The first service's promise; a job that is at work shows life every half a minute."""

_GRACE_MS = 15_000  # of a look that is due: a retry tier's jitter and a busy worker

Reason = Literal[
    "worker_gone", "not_started", "provider_unreachable", "provider_pending", "no_callback"
]


def stage_of(job: Job) -> int:
    """The stage, also of a job that ended outside of the provider (canceled, a worker's fault)."""
    clip = job.clip or ClipState()
    if clip.ended or job.state not in ("failed", "canceled"):
        return clip.stage
    return 90


def job_body(
    job: Job, now_ms: int, language: Language, request_id: str, minutes: float = 10
) -> dict[str, Any]:
    """``GET /jobs/{jobId}``, member for member; ``minutes`` is the time that jobs have."""
    clip = job.clip or ClipState()
    stage = stage_of(job)
    return {
        "success": True,
        "ok": True,
        "jobId": job.job_id,
        "channelId": job.generation.channel_id if job.generation else "",
        "stage": STAGE_NAMES[stage],
        "progressText": stage_text(stage, clip.code, language),
        "sunoTaskId": clip.task_id or None,
        "audioUrl": clip.songs[0].audio_url if stage == 50 and clip.songs else None,
        "error": _error(job, stage, language, minutes),
        "createdAt": instant(job.created_ms),
        "updatedAt": instant(job.updated_ms),
        "heartbeat": _heartbeat(job, now_ms),
        "requestId": request_id,
    }


def details(job: Job, now_ms: int, language: Language) -> dict[str, Any]:
    """What the document has no place for: why a job shows no life, what it waits for, its songs."""
    clip = job.clip or ClipState()
    stale = _is_stale(job, now_ms)
    reasons = waits_for(job, now_ms)
    return {
        "jobId": job.job_id,
        "clipId": job.track_id,
        "userId": (job.generation.user_id if job.generation else "") or None,
        "state": job.state,
        "stage": STAGE_NAMES[stage_of(job)],
        "elapsedSeconds": max((job.updated_ms if _ended(job) else now_ms) - job.created_ms, 0)
        // 1000,
        "stale": {"isStale": stale, "reasons": reasons if stale else []},
        "waitingFor": [
            {"reason": reason, "text": stale_text(reason, language)} for reason in reasons
        ],
        "provider": {
            "taskId": clip.task_id or None,
            "status": clip.status or None,
            "code": clip.code or None,
            "detail": clip.detail or None,
            "reads": clip.reads,
            "requestMayHaveBeenTaken": clip.sends > 0 or bool(clip.task_id),
            "nextReadAt": instant(clip.next_ms or None),
            "calledBackAt": instant(clip.called_back_ms or None),
        },
        "late": clip.late,
        "chained": {"jobId": clip.chained_job_id, "trackId": clip.chained_track_id}
        if clip.chained_job_id
        else None,
    }


def waits_for(job: Job, now_ms: int) -> list[Reason]:
    """Why nothing is seen of a job, the reason that matters most first; [] for one that ended."""
    if _ended(job):
        return []
    clip = job.clip or ClipState()
    reasons: list[Reason] = []
    if clip.stage == 10:
        return ["not_started"]
    if clip.next_ms and now_ms > clip.next_ms + _GRACE_MS:
        reasons.append("worker_gone")
    if clip.stage in (30, 40):
        away = clip.code in ("unreachable", "unreadable", "server_error", "maintenance")
        reasons.append("provider_unreachable" if away else "provider_pending")
    if not clip.called_back_ms:
        reasons.append("no_callback")
    return reasons


def _heartbeat(job: Job, now_ms: int) -> dict[str, Any]:
    return {"secondsSinceUpdate": _silent_s(job, now_ms), "isStale": _is_stale(job, now_ms)}


def _is_stale(job: Job, now_ms: int) -> bool:
    # Of a job that ended nothing is expected any more.
    return not _ended(job) and _silent_s(job, now_ms) > STALE_AFTER_S


def _silent_s(job: Job, now_ms: int) -> int:
    return max(round((now_ms - job.updated_ms) / 1000), 0)


def _ended(job: Job) -> bool:
    return stage_of(job) in (50, 90, 99)


def _error(job: Job, stage: int, language: Language, minutes: float) -> str | None:
    if stage not in (90, 99):
        return None
    clip = job.clip or ClipState()
    if clip.stage == stage:
        return error_text(clip.code or "timeout", clip.detail, language, minutes)
    failure = job.error
    if failure is None:
        return error_text("other", "", language)
    return error_text(failure.code, failure.message, language)
