"""From an input_uri to an accepted item, alone or in a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

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
from topics.inputs import AssetInput, FileInput, InputRefused, locate

REAL_TIME = 25.0
"""How many times faster than it plays a file is analysed on one core, all extractors together: the
target of the analysis."""

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
    extraction = Extraction(
        task_id=task_id,
        input_uri=wish.input_uri,
        video_id=wish.video_id,
        extractors=tuple(wish.extractors),
        parameters=_parameters(wish),
        device=wish.device,
        client=caller.client_id,
        expected_seconds=_expected_s(located, asset),
        requested_ms=services.clock_ms(),
    )
    event = ExtractionRequested(
        work=_work(caller, task_id, task_id, asset, callback_id), extraction=extraction
    )
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
    now_ms = services.clock_ms()
    with ThreadPoolExecutor(_LOOKERS) as lookers:
        looked_up = list(lookers.map(lambda wish: _looked_up(services, caller, wish), wishes))
    events = []
    for index, (wish, (located, asset)) in enumerate(zip(wishes, looked_up, strict=True)):
        item_id = derive(f"{attempt.seed}/{index}", "item")
        extraction = Extraction(
            task_id=task_id,
            index=index,
            count=len(wishes),
            concurrency=concurrency,
            input_uri=wish.input_uri,
            video_id=wish.video_id,
            extractors=tuple(wish.extractors),
            parameters=_parameters(wish),
            device=wish.device,
            client=caller.client_id,
            expected_seconds=_expected_s(located, asset),
            requested_ms=now_ms,
        )
        work = _work(caller, item_id, task_id, asset, callback_id)
        events.append(ExtractionRequested(work=work, extraction=extraction))
    with services.admissions.job(caller):
        services.publisher.accept(
            events, cause=attempt.seed, traceparent=caller.traceparent, piece=_PIECE
        )
    return task_id


def _work(caller: Caller, job_id: str, task_id: str, asset: Asset | None, callback_id: str) -> Work:
    return Work(
        job_id=job_id,
        track_id=task_id,
        tenant=caller.tenant,
        version=0,  # an extraction makes none
        from_stage="extraction",
        artifacts=() if asset is None else (asset.artifact,),
        callback_id=callback_id,
    )


def _callback(services: Services, caller: Caller, url: str) -> str:
    return keep_url(services, caller.tenant, url, field="callback_url") if url else ""


def _parameters(wish: Wish) -> dict[str, str]:
    return {name: json.dumps(dict(given)) for name, given in wish.parameters.items()}


Located = AssetInput | FileInput | InputRefused | None


def _looked_up(services: Services, caller: Caller, wish: Wish) -> tuple[Located, Asset | None]:
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
        return _guess_s(asset.format, asset.artifact.bytes) / REAL_TIME
    if isinstance(located, FileInput):
        try:
            size = located.path.stat().st_size
        except OSError:
            return 0.0
        return _guess_s(located.path.suffix.lstrip(".").lower(), size) / REAL_TIME
    return 0.0


def _guess_s(kind: str, size: int) -> float:
    return size / _BYTES_PER_SECOND.get(kind, _VIDEO_BYTES_PER_SECOND)
