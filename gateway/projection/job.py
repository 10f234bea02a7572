"""A job as its events tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gateway.projection.cells import Cell, Document, Json
from gateway.projection.clip_state import ClipState, clip_state
from schemas.events import Extraction, Generation, Mastering, Video, Work
from schemas.work import EVERY_STAGE, STAGES, pipeline_of

JobKind = Literal[
    "import", "reprocess", "rollback", "replay", "mastering", "video", "clip", "extraction", ""
]
"""What was asked for; empty while only later events of the job have been seen."""

JobState = Literal["queued", "running", "failed", "canceled", "succeeded"]

StepState = Literal["waiting", "running", "retrying", "failed", "canceled", "succeeded"]
"""``retrying``: the last try failed and another one is due after `Step.retry_after_ms`."""

SHARES: Mapping[str, int] = {
    "separation": 50,
    "transcription": 25,
    "alignment": 25,
    "quality": 4,
    "publishing": 1,
    "analysis": 15,
    "decision": 1,
    "rendering": 84,
    "video": 1,
    "submission": 1,
    "generation": 79,
    "clip": 20,
    "extraction": 1,
}
"""Share of each stage in the overall progress of its system: their relative times. The targets are
4 times real time for separation with the light backends and 8 times for alignment; 100 times for a
master's analysis (song and reference) and 12 times for its chain and MP3."""

TERMINAL: frozenset[JobState] = frozenset({"failed", "canceled", "succeeded"})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step or a job failed, or who canceled it."""

    code: str
    """Stable word; ``canceled`` for a cancel."""
    message: str
    """The reason in words that a musician understands."""
    stage: str = ""
    """The stage that gave up; empty for a cancel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stage of a job, in its newest try. Times are Unix milliseconds, for display only."""

    stage: str
    state: StepState = "waiting"
    attempt: int = 1
    try_number: int = 0
    """Try of the step within the attempt, from 1; 0 before the first."""
    sequence: int = -1
    """The newest life sign within the try; -1 before the first."""
    progress: float = 0.0
    """Share of this try done, 0 to 1."""
    note: str = ""
    due_ms: int | None = None
    """When a worker could have begun (or can begin) the try; None while an earlier step runs."""
    started_ms: int | None = None
    seen_ms: int | None = None
    """Time of the newest life sign."""
    ended_ms: int | None = None
    elapsed_seconds: float = 0.0
    """Time since the try started, as of ``seen_ms``."""
    sla_seconds: float = 0.0
    """Soft limit; 0 while unknown."""
    hard_seconds: float = 0.0
    """Hard limit; 0 while unknown."""
    worker: str = ""
    seconds: float | None = None
    """How long the finished step took."""
    reused: bool | None = None
    """Whether a stored result was adopted; None until the step succeeded."""
    error: Failure | None = None
    """Why the newest try failed."""
    retry_after_ms: int | None = None
    """Delay until the next try; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job: what was asked, where it stands, and what a retry of it needs."""

    tenant: str
    job_id: str
    track_id: str = ""
    kind: JobKind = ""
    version: int = 0
    """The track version it publishes; 0 while unknown."""
    from_stage: str = "separation"
    asked: Sequence[str] = ()
    """The API steps as the client named them."""
    lyrics_given: bool = False
    """True when the request carried lyrics, so that nothing is transcribed."""
    asset_id: str = ""
    mastering: Mastering | None = None
    """What was asked of a master; None for other jobs."""
    video: Video | None = None
    """What was asked of a video; None for other jobs."""
    generation: Generation | None = None
    """What a channel asked of the provider; None for other jobs."""
    clip: ClipState | None = None
    """Where the provider stands with it; None for other jobs."""
    extraction: Extraction | None = None
    """What is wanted of a file; None for other jobs."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Extractors without a result, with the stable word for why."""
    figures: Mapping[str, float | None] = field(default_factory=dict)
    """What a finished master measures: lufs, truePeak, shortfalls."""
    callback_id: str = ""
    replay_id: str = ""
    title: str = ""
    artist: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    """The greatest event time: for display, decides nothing."""
    state: JobState = "queued"
    attempt: int = 1
    stage: str = "separation"
    """The stage it stands at: running, due, or where it ended."""
    progress: float = 0.0
    """Share of the whole job done, 0 to 1; never falls within an attempt."""
    steps: Sequence[Step] = ()
    """The steps this job runs, in order."""
    error: Failure | None = None
    """Why it failed or was canceled; None in every other state."""
    backends: Mapping[str, str] = field(default_factory=dict)
    """Name of the backend that did each step so far, by stage."""
    work: Work | None = None
    """The newest context: artifacts, lyrics reference and backends so far."""

    @property
    def ended(self) -> bool:
        """True once no further work happens unless someone retries it."""
        return self.state in TERMINAL


def job_of(document: Document) -> Job:
    """The job that a document's cells describe, complete whatever is missing yet."""
    job = outline_of(document)
    cell = document.cells.get("work")
    if cell is None:
        return job
    work = Work.from_wire(cell.value)
    backends = {stage: backend.name for stage, backend in work.backends.items()}
    return replace(job, work=work, backends=backends, version=job.version or work.version)


def outline_of(document: Document) -> Job:
    """The job without its work context: enough to list it by, at half the cost."""
    cells = document.cells
    request = _value(cells, "request", {})
    status = _value(cells, "state", {"attempt": 1, "state": "queued"})
    attempt, state, why = status["attempt"], status["state"], status.get("why")
    created_ms = created_ms_of(document)
    plan = _plan(request, cells)
    wanted, shown = request.get("mastering"), request.get("video")
    sung, wanted_of = request.get("generation"), request.get("extraction")
    failure = None if why is None else Failure(why["code"], why["message"], why["stage"])
    steps = _steps(cells, plan, attempt, created_ms)
    if why is not None:
        steps = [_ended(step, state, failure, why) for step in steps]
    if state == "succeeded":
        # Nothing is published before the steps before it: what is missing here is detail only.
        steps = [_done(step) for step in steps]
    return Job(
        tenant=document.key.tenant,
        job_id=document.key.id,
        track_id=_value(cells, "track", ""),
        kind=request.get("kind", ""),
        version=request.get("version", 0),
        from_stage=plan[0],
        asked=tuple(request.get("steps", ())),
        lyrics_given=request.get("lyricsGiven", False),
        asset_id=request.get("assetId", ""),
        mastering=None if wanted is None else Mastering.from_wire(wanted),
        video=None if shown is None else Video.from_wire(shown),
        generation=None if sung is None else Generation.from_wire(sung),
        clip=None if sung is None else clip_state(cells),
        extraction=None if wanted_of is None else Extraction.from_wire(wanted_of),
        refused=_value(cells, "refused", {}),
        figures=_value(cells, "figures", {}),
        callback_id=request.get("callbackId", ""),
        replay_id=request.get("replayId", ""),
        title=request.get("title", ""),
        artist=request.get("artist", ""),
        created_ms=created_ms,
        updated_ms=_value(cells, "updated", 0),
        state=state,
        attempt=attempt,
        stage=_stands_at(steps, failure),
        progress=_overall(cells, steps, attempt, state),
        steps=tuple(steps),
        error=failure,
    )


def created_ms_of(document: Document) -> int:
    """When the job was asked for, or its first event where the request has not been seen."""
    asked: int = _value(document.cells, "request", {}).get("createdMs")
    return asked or int(_value(document.cells, "first", 0))


def _value(cells: Mapping[str, Cell], name: str, default: Json) -> Any:
    cell = cells.get(name)
    return default if cell is None else cell.value


def _plan(request: Mapping[str, Any], cells: Mapping[str, Cell]) -> list[str]:
    """The stages a job runs: from its first on, without transcription where lyrics are given."""
    # Where the request has not been seen yet, any step that has tells which system it is.
    seen = next((name.split("/")[1] for name in cells if name.startswith("step/")), STAGES[0])
    stages = pipeline_of(request.get("fromStage") or seen)
    first = request.get("fromStage") or stages[0]
    plan = list(stages[stages.index(first) if first in stages else 0 :])
    if request.get("lyricsGiven") and first != "transcription" and "transcription" in plan:
        plan.remove("transcription")
    return plan


def _steps(
    cells: Mapping[str, Cell], plan: Sequence[str], attempt: int, created_ms: int
) -> list[Step]:
    """The planned steps. Those before the stage a retry starts from keep their older attempt."""
    retry = _value(cells, "retry", {})
    again, begun_ms = plan[0], created_ms
    if retry.get("attempt") == attempt:
        again, begun_ms = retry["fromStage"] or plan[0], retry["atMs"]
    start = plan.index(again) if again in plan else 0
    steps: list[Step] = []
    due_ms: int | None = None
    for position, stage in enumerate(plan):
        if position == start:
            due_ms = begun_ms
        step = _step(cells, stage, attempt, due_ms, older=position < start)
        steps.append(step)
        due_ms = step.ended_ms if step.state == "succeeded" else None
    return steps


def _step(
    cells: Mapping[str, Cell], stage: str, attempt: int, due_ms: int | None, *, older: bool
) -> Step:
    """A step in its newest try: of this attempt, or of an older one whose result is still used."""

    def newest(name: str) -> Any:
        found = _value(cells, f"step/{stage}/{name}", None)
        return found if found is not None and (found["attempt"] == attempt or older) else None

    # Collected first and made once: every write of a job makes all of its steps.
    facts: dict[str, Any] = {"state": "waiting", "attempt": attempt, "due_ms": due_ms}
    seen, failed, made = newest("seen"), newest("failed"), newest("made")
    if seen is not None:
        facts |= _alive(cells, stage, seen)
    if failed is not None and _after_try(failed, seen):
        facts |= _retrying(stage, failed)
    # The stage's own event outranks every try of its attempt: one of them succeeded.
    if made is not None and (facts["state"] == "waiting" or made["attempt"] >= facts["attempt"]):
        facts |= _DONE
        facts |= {
            "attempt": made["attempt"],
            "ended_ms": made["atMs"],
            "seconds": made["seconds"],
            "reused": made["reused"],
        }
    return Step(stage=stage, **facts)


def _after_try(failed: Json, seen: Json) -> bool:
    """Whether a failed try is the newest thing known of its step."""
    if seen is None:
        return True
    latest = (seen["attempt"], seen["try"])
    ended = (failed["attempt"], failed["try"])
    return ended > latest or (ended == latest and seen["state"] not in ("done", "canceled"))


def _alive(cells: Mapping[str, Cell], stage: str, seen: Json) -> dict[str, Any]:
    number = [seen["attempt"], seen["try"]]
    reached = _value(cells, f"step/{stage}/reached", [0, 0, 0.0])
    started = _value(cells, f"step/{stage}/started", [0, 0, 0])
    begun_ms = seen["atMs"] - round(seen["elapsed"] * 1000)
    facts: dict[str, Any] = {
        "state": "canceled" if seen["state"] == "canceled" else "running",
        "attempt": seen["attempt"],
        "try_number": seen["try"],
        "sequence": seen["sequence"],
        "progress": reached[2] if reached[:2] == number else 0.0,
        "note": seen["note"],
        "started_ms": started[2] if started[:2] == number else begun_ms,
        "seen_ms": seen["atMs"],
        "ended_ms": seen["atMs"] if seen["state"] in ("done", "canceled") else None,
        "elapsed_seconds": seen["elapsed"],
        "sla_seconds": seen["sla"],
        "hard_seconds": seen["hard"],
        "worker": seen["worker"],
    }
    return facts | _DONE | {"seconds": seen["elapsed"]} if seen["state"] == "done" else facts


def _retrying(stage: str, failed: Json) -> dict[str, Any]:
    waits = failed["retryAfterMs"] >= 0
    return {
        "state": "retrying" if waits else "failed",
        "attempt": failed["attempt"],
        "try_number": failed["try"],
        "ended_ms": failed["atMs"],
        "error": Failure(failed["code"], failed["message"], stage),
        "retry_after_ms": failed["retryAfterMs"] if waits else None,
        "due_ms": failed["atMs"] + failed["retryAfterMs"] if waits else None,
    }


_DONE: dict[str, Any] = {
    "state": "succeeded",
    "progress": 1.0,
    "error": None,
    "retry_after_ms": None,
}


def _done(step: Step) -> Step:
    return step if step.state == "succeeded" else replace(step, **_DONE)


def _ended(step: Step, state: JobState, why: Failure | None, cell: Json) -> Step:
    """A step of a job that failed or was canceled: nothing of it goes on."""
    if state == "failed" and why is not None and step.stage == why.stage:
        return replace(
            step,
            state="failed",
            error=why,
            retry_after_ms=None,
            try_number=max(step.try_number, cell["try"]),
            ended_ms=step.ended_ms or cell["atMs"],
        )
    if step.state in ("running", "retrying"):
        return replace(step, state="canceled", retry_after_ms=None, ended_ms=cell["atMs"])
    return step


def _stands_at(steps: Sequence[Step], failure: Failure | None) -> str:
    if failure is not None and failure.stage in EVERY_STAGE:
        return failure.stage
    return next((step.stage for step in steps if step.state != "succeeded"), steps[-1].stage)


def _overall(
    cells: Mapping[str, Cell], steps: Sequence[Step], attempt: int, state: JobState
) -> float:
    if state == "succeeded":
        return 1.0
    reached = 0.0
    for step in steps:
        peak = _value(cells, f"step/{step.stage}/peak", [0, 0.0])
        share = peak[1] if peak[0] == attempt else 0.0
        reached += SHARES[step.stage] * (1.0 if step.state == "succeeded" else share)
    # 1 means published: a hair below it until then.
    return min(round(reached / sum(SHARES[step.stage] for step in steps), 4), 0.99)
