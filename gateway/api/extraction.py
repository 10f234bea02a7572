"""Extraction: one file, ten thousand, where they stand, what was found in them.

The names of the fields are those of the first service's document: snake_case, unlike the rest.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field, JsonValue
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from gateway.api.dependencies import RETRY_AFTER_S, ServicesDep, Wire, once
from gateway.extraction import accepting, showing
from gateway.extraction.canceling import cancel_task
from gateway.guard.clients import Caller, CallerDep
from gateway.guard.idempotency import Attempt, IdempotencyKey
from gateway.guard.problems import Code, Problem
from gateway.guard.responses import documented
from gateway.projection.extraction import Batch
from gateway.projection.job import Job, JobState
from gateway.projection.reservations import Answer
from gateway.services import Services
from schemas.documents.audio_manifest import AudioManifest
from topics.inputs import LONGEST_URI

MOST_ITEMS = 10_000
"""Items of a batch."""

MOST_CONCURRENT = 1000
"""What a batch may ask for; how many are in work at once the workers decide."""

Status = Literal["pending", "processing", "completed", "failed"]
Filter = Literal["pending", "processing", "completed", "failed", "canceled"]

_STATUS: dict[JobState, Status] = {
    "queued": "pending",
    "running": "processing",
    "succeeded": "completed",
    "failed": "failed",
    "canceled": "failed",  # the first service had no word for it; error_code says canceled
}
_STATES: dict[Filter, JobState] = {
    "pending": "queued",
    "processing": "running",
    "completed": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}
_Extractor = Annotated[str, Field(min_length=1, max_length=200)]
_TASK = "ext_0a1b2c3d4e5f60718293a4b5c6d7e8f9"


class Spoken(Wire):
    """A body of the API in the words of the first service."""

    model_config = ConfigDict(alias_generator=None)


class ProcessItem(Spoken):
    """A file, and what is wanted of it."""

    input_uri: str = Field(
        min_length=1,
        max_length=LONGEST_URI,
        description="asset:ast_… (an upload), s3://bucket/key, file:///path or a path under an"
        " allowed folder. Sound or video.",
        examples=["asset:ast_0a1b2c3d4e5f60718293a4b5c6d7e8f9"],
    )
    video_id: str = Field(
        default="", max_length=200, description="Your name for it; it stands in the manifest."
    )
    extractors: list[_Extractor] | None = Field(
        default=None, max_length=100, description="All the usual ones without it."
    )
    use_gpu: bool | None = Field(
        default=None,
        description="true: on the GPU, where there is one; the manifest tells when the CPU had to"
        " do it. false: on the CPU. Without it the worker decides.",
    )
    parameters: dict[_Extractor, dict[str, JsonValue]] = Field(
        default_factory=dict, max_length=100, description="Of single extractors, by their names."
    )

    def wish(self, use_gpu: bool | None = None) -> accepting.Wish:
        """The same to those that do it; ``use_gpu`` is the batch's."""
        gpu = self.use_gpu if self.use_gpu is not None else use_gpu
        return accepting.Wish(
            input_uri=self.input_uri,
            video_id=self.video_id,
            extractors=tuple(dict.fromkeys(self.extractors or ())),
            device="auto" if gpu is None else "gpu" if gpu else "cpu",
            parameters=self.parameters,
        )


class ProcessRequest(ProcessItem):
    """One file to extract features from."""

    wait: bool = Field(
        default=False,
        description="Answer with the manifest once it is there; with the task_id after"
        " PROCESS_WAIT_SECONDS, or where too many wait.",
    )
    callback_url: str | None = Field(
        default=None, max_length=2048, description="Told extraction.completed or job.failed."
    )


class BatchRequest(Spoken):
    """Many files to extract features from."""

    items: list[ProcessItem] = Field(min_length=1, max_length=MOST_ITEMS)
    concurrency: int | None = Field(
        default=None,
        ge=1,
        le=MOST_CONCURRENT,
        description="At most so many of them are in work at once; as many as there is room for"
        " without it.",
    )
    use_gpu: bool | None = Field(default=None, description="For items that do not say it.")
    callback_url: str | None = Field(
        default=None, max_length=2048, description="Told when the last item has ended."
    )


class TaskAccepted(Spoken):
    """A task that will be worked on."""

    task_id: str


class Processed(Spoken):
    """What was found, of a request that waited for it."""

    task_id: str
    manifest: AudioManifest


class Counts(Spoken):
    """Items of a batch by where they stand; a canceled one counts as failed, too."""

    total: int
    pending: int
    processing: int
    completed: int
    failed: int
    canceled: int = Field(description="Of the failed ones.")


class ItemStatus(Spoken):
    """Where an item of a batch stands. Its task_id is good for its own status and manifest."""

    task_id: str
    video_id: str | None = None
    input_uri: str | None = None
    status: Status
    progress: float = Field(ge=0, le=1)
    error: str | None = None
    error_code: str | None = None
    failed_extractors: dict[str, str] | None = Field(
        default=None, description="Extractors without a result, with the code of why."
    )


class TaskStatus(Spoken):
    """Where a task stands: at most a second old."""

    task_id: str
    status: Status
    progress: float = Field(ge=0, le=1)
    video_id: str | None = None
    input_uri: str | None = None
    error: str | None = None
    error_code: str | None = None
    failed_extractors: dict[str, str] | None = Field(
        default=None, description="Extractors without a result, with the code of why."
    )
    counts: Counts | None = Field(default=None, description="Of a batch.")
    items: list[ItemStatus] | None = Field(
        default=None, description="Of a batch, in the order they were sent, a page at a time."
    )
    cursor: str | None = Field(default=None, description="Continues behind these items.")


class ExtractorView(Spoken):
    """A kind of features."""

    name: str
    version: str
    device: str = Field(description="cpu, cuda, or shared: where the shared spectra are made.")
    description: str


class Extractors(Spoken):
    """What can be extracted."""

    available: list[ExtractorView]


class CancelTask(Spoken):
    """Why a task is stopped."""

    reason: str = Field(default="", max_length=500)


router = APIRouter(tags=["extraction"])

_OF_INPUTS = (
    Code.INPUT_SCHEME_UNKNOWN,
    Code.INPUT_FORBIDDEN,
    Code.INPUT_NOT_FOUND,
    Code.INPUT_NOT_A_FILE,
    Code.ASSET_NOT_FOUND,
)
_OF_BACKLOGS = (Code.BACKLOG_OF_CLIENT, Code.BACKLOG_FULL, Code.CALLBACK_REFUSED)


@router.post(
    "/process",
    status_code=202,
    response_model=TaskAccepted,
    summary="Extract the features of a file",
    responses={
        **documented(*_OF_INPUTS, *_OF_BACKLOGS, Code.EXTRACTION_FAILED, Code.MALFORMED_JSON),
        200: {"model": Processed, "description": "What was found, where the request waited."},
    },
)
async def process(
    request: Request,
    body: ProcessRequest,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """202 with the task; with ``wait`` 200 with the manifest, if it is there in time."""

    def work(attempt: Attempt) -> Answer:
        task_id = accepting.process(services, caller, body.wish(), body.callback_url or "", attempt)
        return _accepted(task_id)

    answer = await run_in_threadpool(once, request, services, caller, idempotency_key, body, work)
    if not body.wait or answer.status_code != 202:
        return answer
    task_id = answer.headers["Location"].rpartition("/")[2]
    return await _waited(request, services, caller, task_id) or answer


async def _waited(
    request: Request, services: Services, caller: Caller, task_id: str
) -> Response | None:
    """The manifest, or the refusal; None when the time was over, or nobody may wait any more."""
    settings = services.settings
    if services.waiters.full(settings.process_waiting):
        return None
    clock = asyncio.get_running_loop().time
    until = clock() + settings.process_wait_seconds
    with services.waiters.one():
        while not services.changes.closed:
            mark = services.changes.mark()
            job = await run_in_threadpool(services.store.job, caller.tenant, task_id)
            if job is not None and job.ended:
                return await run_in_threadpool(_result, services, caller, job)
            left_s = until - clock()
            if left_s <= 0 or await request.is_disconnected():
                return None
            await services.changes.wait(mark, min(left_s, _LOOK_S))
    return None


_LOOK_S = 1.0
"""Between two looks at whether the client is still there."""


def _result(services: Services, caller: Caller, job: Job) -> Response:
    manifest = showing.manifest(services, caller, job)
    return JSONResponse(
        {"task_id": job.job_id, "manifest": manifest}, 200, {"Cache-Control": "no-store"}
    )


@router.post(
    "/batch",
    status_code=202,
    response_model=TaskAccepted,
    summary="Extract the features of many files",
    responses=documented(*_OF_BACKLOGS, Code.MALFORMED_JSON),
)
def batch(
    request: Request,
    body: BatchRequest,
    services: ServicesDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """At most ``concurrency`` items in work at once; a broken one fails alone."""

    def work(attempt: Attempt) -> Answer:
        wishes = [item.wish(body.use_gpu) for item in body.items]
        task_id = accepting.batch(
            services, caller, wishes, body.concurrency or 0, body.callback_url or "", attempt
        )
        return _accepted(task_id)

    return once(request, services, caller, idempotency_key, body, work)


@router.get(
    "/status/{task_id}",
    response_model=TaskStatus,
    response_model_exclude_none=True,
    summary="See where a task stands",
    responses=documented(Code.TASK_NOT_FOUND),
)
def status(
    task_id: str,
    services: ServicesDep,
    caller: CallerDep,
    response: Response,
    state: Annotated[
        Filter | None, Query(alias="status", description="Only a batch's items that stand there.")
    ] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=0, le=1000)] = 100,
) -> TaskStatus:
    """Of a file or of a batch; an item of a batch can be asked for by its own task_id."""
    response.headers["Cache-Control"] = "no-store"
    return _status(services, caller, task_id, state, cursor, limit)


@router.post(
    "/status/{task_id}/cancel",
    response_model=TaskStatus,
    response_model_exclude_none=True,
    summary="Cancel a task",
    responses=documented(Code.TASK_NOT_FOUND, Code.JOB_ENDED),
)
def cancel(
    task_id: str,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    body: CancelTask | None = None,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """A file, an item, or what is left of a batch; what is in work ends within two seconds."""

    def work(attempt: Attempt) -> Answer:
        cancel_task(services, caller, task_id, body.reason if body else "", attempt)
        return Answer(200, _status(services, caller, task_id, None, None, 0).wire())

    return once(request, services, caller, idempotency_key, body, work)


@router.get(
    "/manifests/{task_id}",
    response_model=AudioManifest,
    summary="Get what was found in a file",
    responses=documented(
        Code.TASK_NOT_FOUND,
        Code.MANIFEST_NOT_READY,
        Code.MANIFEST_OF_BATCH,
        Code.MANIFEST_MISSING,
        Code.EXTRACTION_FAILED,
    ),
)
def manifest(task_id: str, services: ServicesDep, caller: CallerDep) -> JSONResponse:
    """audio_manifest_v1; its arrays are linked for a few minutes. Batches: item by item."""
    found = showing.find_task(services, caller, task_id)
    if isinstance(found, Batch):
        raise Problem(
            Code.MANIFEST_OF_BATCH, f"Task '{task_id}' is a batch of {found.count} files."
        )
    return JSONResponse(
        showing.manifest(services, caller, found), headers={"Cache-Control": "no-store"}
    )


@router.get(
    "/extractors",
    response_model=Extractors,
    summary="List what can be extracted",
    responses=documented(),
)
def extractors(services: ServicesDep, caller: CallerDep) -> JSONResponse:
    """As the newest worker has them; empty before one has started."""
    return JSONResponse({"available": showing.extractors(services)})


def _accepted(task_id: str) -> Answer:
    return Answer(
        status=202,
        body={"task_id": task_id},
        headers={"Location": f"/v1/status/{task_id}", "Retry-After": str(RETRY_AFTER_S)},
    )


def _status(
    services: Services,
    caller: Caller,
    task_id: str,
    state: Filter | None,
    cursor: str | None,
    limit: int,
) -> TaskStatus:
    found = showing.find_task(services, caller, task_id)
    if isinstance(found, Job):
        return TaskStatus(**_facts(found))
    where = showing.standing(services, found)
    whole: dict[str, Any] = {
        "task_id": task_id,
        "status": _of_batch(where),
        "progress": round(where.progress, 4),
        "counts": Counts(
            total=found.count,
            pending=where.pending,
            processing=where.processing,
            completed=where.completed,
            failed=where.failed + where.canceled,
            canceled=where.canceled,
        ),
    }
    if found.canceled is not None:
        whole |= {"error": found.canceled.message or "It was canceled.", "error_code": "canceled"}
    elif where.ended and not where.completed:
        whole |= {"error": "None of its items could be used.", "error_code": "nothing_completed"}
    if limit:
        page = services.store.items(
            caller.tenant,
            task_id,
            state=_STATES[state] if state else None,
            cursor=cursor,
            limit=limit,
        )
        items = [ItemStatus(**_facts(item)) for item in page.items]
        whole |= {"items": items, "cursor": page.cursor}
    return TaskStatus(**whole)


def _of_batch(where: showing.Standing) -> Status:
    if where.ended:
        return "completed" if where.completed else "failed"
    if where.batch.canceled is not None:
        return "failed"
    return "pending" if where.pending == where.batch.count else "processing"


def _facts(job: Job) -> dict[str, Any]:
    wanted = job.extraction
    error = job.error
    return {
        "task_id": job.job_id,
        "video_id": (wanted.video_id or None) if wanted else None,
        "input_uri": (wanted.input_uri or None) if wanted else None,
        "status": _STATUS[job.state],
        "progress": round(job.progress, 4),
        "error": (error.message or f"It {showing.ended(job)}.") if error else None,
        "error_code": error.code if error else None,
        "failed_extractors": dict(job.refused) or None,
    }
