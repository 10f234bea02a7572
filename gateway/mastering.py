"""From a mix to a master: accepting jobs, and new versions of their decisions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from pydantic import ValidationError

from gateway.access.quotas import job_options
from gateway.guard.clients import Caller
from gateway.guard.idempotency import Attempt
from gateway.guard.problems import Code, Problem
from gateway.identifiers import derive
from gateway.jobs import find_job
from gateway.projection.job import Job, JobState
from gateway.projection.reservations import Asset, Upload
from gateway.projection.store import Page
from gateway.services import Services
from gateway.uploading import MASTERED_FORMATS, complete, received
from gateway.webhooks.endpoints import keep_url
from schemas.documents.decision import SETTINGS, Change, Decision, Overrides
from schemas.events import Artifact, Mastering, MasteringRequested, Work
from schemas.work import MASTERING_STAGES, find, of_song

MADE_BY: Mapping[str, str] = {
    "analysis-before": "analysis",
    "analysis-reference": "analysis",
    "decision": "decision",
    **dict.fromkeys(("master", "preview", "analysis-after", "report", "words"), "rendering"),
    **dict.fromkeys(("compare-before", "compare-after", "checks"), "rendering"),
}
"""Which stage makes an artifact (of any song); any other comes from the client."""

NEEDS: Mapping[str, tuple[str, ...]] = {
    "analysis": ("source",),
    "decision": ("source", "analysis-before"),
    "rendering": ("source", "analysis-before", "decision"),
}
"""What a job that begins at a stage has to bring along, for each song."""

RETRY_BUSY_S = 30
"""What a client with too many open jobs waits: a song of four minutes takes about 20 s."""

_MOST_PAGES = 20
"""Pages of other systems' jobs that one listing looks through before it hands out its cursor."""

_LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asks for. Assets are named by their id or by the key of their upload."""

    assets: Sequence[str]
    reference: str
    mastering: Mastering
    language: str
    title: str
    artist: str
    callback_url: str


def find_master(services: Services, caller: Caller, job_id: str) -> Job:
    """A mastering job of the caller's tenant. Raises 404."""
    job = find_job(services, caller, job_id)
    if job.mastering is None and job.stage not in MASTERING_STAGES:
        raise Problem(Code.JOB_NOT_FOUND, f"There is no mastering job '{job_id[:64]}'.")
    return job


def master(services: Services, caller: Caller, wish: Wish, attempt: Attempt) -> Work:
    """Accept a mastering job; its context. Raises 404, 422, and 429 for too many at once.

    Every id follows from the attempt's seed, so a second try asks for the same master and job.
    """
    songs = [_asset(services, caller, name, "assetId") for name in wish.assets]
    for asset in songs:
        _check_masterable(services, asset)
    reference = _asset(services, caller, wish.reference, "reference") if wish.reference else None
    callback_id = ""
    if wish.callback_url:
        callback_id = keep_url(services, caller.tenant, wish.callback_url, field="callbackUrl")
    job_id, master_id = derive(attempt.seed, "mastering"), derive(attempt.seed, "master")
    sources = [
        replace(asset.artifact, name=of_song("source", number, len(songs)))
        for number, asset in enumerate(songs, start=1)
    ]
    if reference is not None:
        sources.append(replace(reference.artifact, name="reference"))
    with services.locks.holding(caller.tenant, f"masters of {caller.client_id}"):
        if not attempt.resumed or services.store.job(caller.tenant, job_id) is None:
            _check_room(services, caller)
        work = Work(
            job_id=job_id,
            track_id=master_id,
            tenant=caller.tenant,
            version=services.reservations.reserve_version(
                caller.tenant, master_id, job_id, floor=0
            ),
            from_stage=MASTERING_STAGES[0],
            language=wish.language,
            title=wish.title or PurePath(songs[0].filename).stem[:300],
            artist=wish.artist,
            artifacts=tuple(sources),
            callback_id=callback_id,
            options=job_options(services.settings, caller),
        )
        event = MasteringRequested(
            work=work,
            mastering=replace(
                wish.mastering,
                asset_ids=tuple(asset.asset_id for asset in songs),
                reference_asset_id=reference.asset_id if reference else "",
                songs=len(songs),
                client=caller.client_id,
            ),
        )
        known = attempt.resumed and services.store.job(caller.tenant, job_id) is not None
        with services.admissions.job(caller, known=known):
            services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
    return work


def decide_again(
    services: Services,
    caller: Caller,
    job_id: str,
    changes: Sequence[Change],
    song: int,
    attempt: Attempt,
) -> Work:
    """Accept a new version of a finished job's master, with these changes of one song's moves.

    What a person changed before stays changed. Raises 404, 409 and 422, and 429.
    """
    base = find_master(services, caller, job_id)
    if base.state != "succeeded" or base.work is None or base.mastering is None:
        raise Problem(
            Code.MASTER_UNFINISHED,
            f"Job '{base.job_id}' is {base.state}; its decision can be changed once it is done.",
            extra={"state": base.state},
        )
    work, wanted = base.work, base.mastering
    if song > wanted.songs:
        raise _invalid("song", f"the master has {wanted.songs} song(s)")
    overrides = _overridden(services, caller, work, wanted, changes, song)
    new_id = derive(attempt.seed, "mastering")
    with services.locks.holding(caller.tenant, f"masters of {caller.client_id}"):
        if not attempt.resumed or services.store.job(caller.tenant, new_id) is None:
            _check_room(services, caller)
        track = services.store.track(caller.tenant, work.track_id)
        again = replace(
            work,
            job_id=new_id,
            version=services.reservations.reserve_version(
                caller.tenant, work.track_id, new_id, floor=track.highest if track else work.version
            ),
            parent=work.version,
            attempt=1,
            from_stage="decision",
            artifacts=kept(work, "decision"),
            backends={n: b for n, b in work.backends.items() if n == "analysis"},
            replay_id="",
            force=False,
        )
        event = MasteringRequested(
            work=again,
            mastering=replace(wanted, overrides=overrides, client=caller.client_id),
            reason="overrides",
        )
        known = attempt.resumed and services.store.job(caller.tenant, new_id) is not None
        with services.admissions.job(caller, known=known):
            services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
    return again


def kept(work: Work, stage: str) -> tuple[Artifact, ...]:
    """The artifacts that neither the stage nor a later one makes."""
    ahead = MASTERING_STAGES[MASTERING_STAGES.index(stage) :]
    return tuple(a for a in work.artifacts if MADE_BY.get(a.name.split(".")[0]) not in ahead)


def masters(
    services: Services,
    caller: Caller,
    *,
    state: JobState | None,
    cursor: str | None,
    limit: int,
) -> Page[Job]:
    """Mastering jobs, newest first. A page may be short where many other jobs lie between; its
    cursor goes on. Raises `gateway.projection.store.BadCursor`.
    """
    found: list[Job] = []
    for _ in range(_MOST_PAGES):
        page = services.store.jobs(
            caller.tenant, state=state, cursor=cursor, limit=limit - len(found)
        )
        found += [job for job in page.items if job.mastering is not None]
        cursor = page.cursor
        if cursor is None or len(found) == limit:
            break
    return Page(found, cursor)


def _asset(services: Services, caller: Caller, name: str, what: str) -> Asset:
    """The asset of an id, or of an upload's object key. Raises 404."""
    asset_id = name
    if "/" in name:
        upload = _upload(services, caller, name)
        asset_id = upload.asset_id
        if upload.state != "completed":
            # The first service had no call to complete an upload: naming its object is one.
            parts = [(part.number, part.etag) for part in received(services, upload)]
            asset_id = complete(services, caller, upload, parts)
    asset = services.reservations.asset(caller.tenant, asset_id)
    if asset is None:
        raise Problem(
            Code.ASSET_NOT_FOUND,
            f"There is no asset '{name[:64]}'.",
            errors=[{"pointer": f"#/{what}", "message": "unknown"}],
        )
    return asset


def _upload(services: Services, caller: Caller, key: str) -> Upload:
    upload = services.reservations.upload(caller.tenant, key.rpartition("/")[2])
    if upload is None or upload.key != key:
        raise Problem(Code.OBJECT_KEY_UNKNOWN, f"There is no upload '{key[:200]}'.")
    return upload


def _check_masterable(services: Services, asset: Asset) -> None:
    """An asset may have been uploaded for karaoke, under other rules."""
    most = services.settings.mastering_max_bytes
    if asset.format not in MASTERED_FORMATS:
        raise Problem(
            Code.UPLOAD_NOT_FOR_MASTERING,
            f"'{asset.filename}' is {asset.format.upper()}, which is not mastered.",
        )
    if asset.artifact.bytes > most:
        raise Problem(
            Code.UPLOAD_TOO_LARGE,
            f"'{asset.filename}' has {asset.artifact.bytes} bytes; up to {most} are mastered.",
            extra={"maxBytes": most},
        )


def _check_room(services: Services, caller: Caller) -> None:
    """Raise 429 when the client has as many open jobs as it may have.

    Asked under a lock of this process; between gateways the limit can be passed by a job for each
    of them, which is a matter of fairness and not of safety.
    """
    most = services.settings.mastering_jobs_per_client
    count = 0
    for job in _open_jobs(services, caller):
        count += job.mastering is not None and job.mastering.client == caller.client_id
        if count >= most:
            raise Problem(
                Code.TOO_MANY_JOBS,
                f"{count} mastering jobs of this client are open; {most} may be.",
                headers={"Retry-After": str(RETRY_BUSY_S)},
                extra={"limit": most},
            )


def _open_jobs(services: Services, caller: Caller) -> Iterator[Job]:
    states: tuple[JobState, ...] = ("queued", "running")
    for state in states:
        cursor: str | None = None
        while True:
            page = services.store.jobs(caller.tenant, state=state, cursor=cursor, limit=_LOOKED_AT)
            yield from page.items
            cursor = page.cursor
            if cursor is None:
                break


def _overridden(
    services: Services,
    caller: Caller,
    work: Work,
    wanted: Mastering,
    changes: Sequence[Change],
    song: int,
) -> tuple[Artifact, ...]:
    """The overrides of every song, those of ``song`` with these changes over the older ones."""
    decided = find(work, of_song("decision", song, wanted.songs))
    if decided is None:
        raise Problem(Code.MATERIAL_MISSING, f"Job '{work.job_id}' has no decision to change.")
    decision = Decision.from_json(services.artifacts.read(decided.uri))
    name = of_song("overrides", song, wanted.songs)
    earlier = next((each for each in wanted.overrides if each.name == name), None)
    merged: dict[str, Change] = {}
    if earlier is not None:
        before = Overrides.from_json(services.artifacts.read(earlier.uri))
        merged = {change.move: change for change in before.changes}
    for index, change in enumerate(changes):
        _check_change(decision, merged, change, index)
        merged[change.move] = _joined(merged.get(change.move), change)
    document = Overrides(changes=tuple(merged.values()))
    others = (each for each in wanted.overrides if each.name != name)
    return (*others, _keep(services, caller.tenant, name, document))


def _check_change(decision: Decision, older: dict[str, Change], change: Change, index: int) -> None:
    """Raise 422 for a change of no move, or one that the move cannot take."""
    move = next((each for each in decision.moves if each.id == change.move), None)
    if move is None and change.move not in older:  # a dropped move can be had back
        known = ", ".join(each.id for each in decision.moves) or "none"
        raise _invalid(f"changes/{index}/move", f"no such move; there are: {known}")
    if move is None or change.drop:
        return
    try:
        SETTINGS[move.module].model_validate({**move.parameters, **change.parameters})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(["changes", str(index), "parameters", *map(str, first["loc"])])
        raise _invalid(where, first["msg"]) from None


def _joined(before: Change | None, change: Change) -> Change:
    if before is None or before.drop or change.drop:
        return change
    return change.model_copy(update={"parameters": {**before.parameters, **change.parameters}})


def _keep(services: Services, tenant: str, name: str, document: Overrides) -> Artifact:
    data = document.to_json()
    digest = hashlib.sha256(data).hexdigest()
    key = f"overrides/{tenant}/{digest}.json"
    services.artifacts.put_if_absent(key, data, "application/json")
    return Artifact(
        name=name,
        uri=services.artifacts.uri(key),
        sha256=digest,
        bytes=len(data),
        media_type="application/json",
    )


def _invalid(pointer: str, message: str) -> Problem:
    return Problem(
        Code.VALIDATION_FAILED,
        f"#/{pointer}: {message}.",
        errors=[{"pointer": f"#/{pointer}", "message": message}],
    )
