"""Callbacks of the provider: a hint that a look is worth while, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.projection.job import Job
from gateway.services import Services
from schemas.events import GenerationHinted
from schemas.work import provider_task_key, token_owner_key
from topics.artifacts.protocol import ArtifactMissing
from topics.outbound.provider import ProviderSettings

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LONGEST = 200


def job_of_token(services: Services, token: str) -> Job | None:
    """The job that has this address; None for one that nobody has."""
    if not _TOKEN.fullmatch(token):
        return None
    return _owner(services, token_owner_key(token))


def job_of_task(services: Services, provider: ProviderSettings, task_id: str) -> Job | None:
    """The job of a task that a stage has noted: for callbacks without an address of their own."""
    if not task_id:
        return None
    return _owner(services, provider_task_key(provider.account, task_id))


def hint(
    services: Services, job: Job, body: Mapping[str, Any], hint_id: str, traceparent: str
) -> bool:
    """Have the job looked at. False where nothing can come of it any more."""
    if job.work is None or job.generation is None or job.state == "canceled":
        return False
    if job.clip is not None and job.clip.stage == 50:
        return False
    task_id, kind = named(body)
    event = GenerationHinted(
        work=job.work,
        generation=job.generation,
        hint_id=hint_id,
        task_id=task_id,
        callback_type=kind,
    )
    services.publisher.accept([event], cause=hint_id, traceparent=traceparent)
    return True


def named(body: Mapping[str, Any]) -> tuple[str, str]:
    """``(task id, type)`` of a callback's body; "" for what it does not say."""
    data = body.get("data")
    if not isinstance(data, Mapping):
        return "", ""
    task = data.get("task_id") or data.get("taskId")
    kind = data.get("callbackType") or data.get("callback_type")
    known = isinstance(task, str) and len(task) <= _LONGEST and task.isprintable()
    return (str(task) if known else "", kind[:20] if isinstance(kind, str) else "")


def _owner(services: Services, key: str) -> Job | None:
    store = services.artifacts
    try:
        said = json.loads(store.read(store.uri(key)))
    except ArtifactMissing:
        return None
    return services.store.job(str(said["tenant"]), str(said["jobId"]))
