"""From an input_uri to an accepted item, alone or in a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from gateway.extraction.refusals import input_refused
from gateway.guard.clients import Caller
from gateway.guard.idempotency import Attempt
from gateway.guard.problems import Code, Problem
from gateway.identifiers import derive
from gateway.projection.reservations import Asset
from gateway.services import Services
from gateway.webhooks.endpoints import keep_url
from schemas.events import Extraction, ExtractionRequested, Work
from topics.admission import EXTRACTION_SPEED
from topics.inputs import AssetInput, FileInput, InputRefused, locate

_BYTES_PER_SECOND: Mapping[str, float] = {
    "wav": 176_400.0,
    "aiff": 176_400.0,
    "aif": 176_400.0,
    "flac": 100_000.0,
    "mp3": 24_000.0,
    "m4a": 24_000.0,
    "aac": 24_000.0,
    "ogg": 20_000.0,
    "opus": 16_000.0,
}
"""Of a usual file of each kind: what it says of itself would have to be read first, and only the
order of items follows from this."""

_VIDEO_BYTES_PER_SECOND = 250_000.0
_LOOKERS = 16  # assets of a batch that are looked up at once, in a database over the network
_PIECE = 1000
"""Items folded at once: while a piece is written nobody else writes to the projection."""


Located = AssetInput | FileInput | InputRefused | None
LookedUp = tuple[Located, Asset | None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of one file."""

    input_uri: str
    video_id: str = ""
    extractors: Sequence[str] = ()
    device: str = "auto"
    parameters: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)


def process(
    services: Services, caller: Caller, wish: Wish, callback_url: str, attempt: Attempt
) -> str:
    """Accept one file; its task. Raises 403, 404, 422 for the input, and 429 and 503."""
    located, asset = _looked_up(services, caller, wish)
    if isinstance(located, InputRefused):
        raise input_refused(located)
    if isinstance(located, AssetInput) and asset is None:
        raise Problem(
            Code.ASSET_NOT_FOUND,
            f"There is no asset '{located.asset_id[:64]}'.",
            errors=[{"pointer": "#/input_uri", "message": "unknown"}],
        )
    task_id = derive(attempt.seed, "extraction")
    known = attempt.resumed and services.store.job(caller.tenant, task_id) is not None
    if not known:
        services.room.require(caller, 1)
    callback_id = _callback(services, caller, callback_url)
    whole = _task(caller, task_id, services.clock_ms())
    event = _item(caller, whole, wish, (located, asset), task_id, callback_id)
    with services.admissions.job(caller, known=known):
        services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
    return task_id


def batch(
    services: Services,
    caller: Caller,
    wishes: Sequence[Wish],
    concurrency: int,
    callback_url: str,
    attempt: Attempt,
) -> str:
    """Accept many files; the task they belong to. Raises 429 and 503.

    What is wrong with one of them fails that one, as soon as a worker comes to it.
    """
    task_id = derive(attempt.seed, "batch")
    if not (attempt.resumed and services.store.batch(caller.tenant, task_id) is not None):
        services.room.require(caller, len(wishes))
    callback_id = _callback(services, caller, callback_url)
    whole = _task(caller, task_id, services.clock_ms(), count=len(wishes), concurrency=concurrency)
    with ThreadPoolExecutor(_LOOKERS) as lookers:
        looked_up = list(lookers.map(lambda wish: _looked_up(services, caller, wish), wishes))
    events = [
        _item(
            caller,
            replace(whole, index=index),
            wish,
            found,
            derive(f"{attempt.seed}/{index}", "item"),
            callback_id,
        )
        for index, (wish, found) in enumerate(zip(wishes, looked_up, strict=True))
    ]
    with services.admissions.job(caller):
        services.publisher.accept(
            events, cause=attempt.seed, traceparent=caller.traceparent, piece=_PIECE
        )
    return task_id


def _task(
    caller: Caller, task_id: str, now_ms: int, *, count: int = 1, concurrency: int = 0
) -> Extraction:
    """What the items of a task have in common."""
    return Extraction(
        task_id=task_id,
        count=count,
        concurrency=concurrency,
        video_id="",
        client=caller.client_id,
        requested_ms=now_ms,
    )


def _item(
    caller: Caller,
    task: Extraction,
    wish: Wish,
    found: LookedUp,
    item_id: str,
    callback_id: str,
) -> ExtractionRequested:
    """The request for one file of the task."""
    located, asset = found
    work = Work(
        job_id=item_id,
        track_id=task.task_id,
        tenant=caller.tenant,
        version=0,  # an extraction makes none
        from_stage="extraction",
        artifacts=() if asset is None else (asset.artifact,),
        callback_id=callback_id,
    )
    extraction = replace(
        task,
        input_uri=wish.input_uri,
        video_id=wish.video_id,
        extractors=tuple(wish.extractors),
        parameters={name: json.dumps(dict(given)) for name, given in wish.parameters.items()},
        device=wish.device,
        expected_seconds=_expected_s(located, asset),
    )
    return ExtractionRequested(work=work, extraction=extraction)


def _callback(services: Services, caller: Caller, url: str) -> str:
    return keep_url(services, caller.tenant, url, field="callback_url") if url else ""


def _looked_up(services: Services, caller: Caller, wish: Wish) -> LookedUp:
    """What an input is, as far as the gateway can know; an asset where it is one of the caller's.

    A batch passes over what is refused: the stage asks the same and fails the item by name.
    """
    try:
        found = locate(services.inputs, wish.input_uri, caller.tenant)
    except InputRefused as refused:
        return refused, None
    if isinstance(found, AssetInput):
        return found, services.reservations.asset(caller.tenant, found.asset_id)
    return (found if isinstance(found, FileInput) else None), None


def _expected_s(located: Located, asset: Asset | None) -> float:
    """What an item is thought to take on one core; 0 when nobody knows."""
    if asset is not None:
        return _guess_s(asset.format, asset.artifact.bytes) / EXTRACTION_SPEED
    if isinstance(located, FileInput):
        try:
            size = located.path.stat().st_size
        except OSError:
            return 0.0
        return _guess_s(located.path.suffix.lstrip(".").lower(), size) / EXTRACTION_SPEED
    return 0.0


def _guess_s(kind: str, size: int) -> float:
    return size / _BYTES_PER_SECOND.get(kind, _VIDEO_BYTES_PER_SECOND)
