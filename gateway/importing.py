"""From an asset to a track: the request that starts the whole pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.access.quotas import job_options
from gateway.documents import GivenLyrics, lyrics_from
from gateway.guard.clients import Caller
from gateway.guard.idempotency import Attempt
from gateway.guard.problems import Code, Problem
from gateway.identifiers import derive
from gateway.services import Services
from gateway.uploading import COVER
from gateway.webhooks.endpoints import keep_url
from schemas.events import ImportRequested, Work


@dataclass(frozen=True, slots=True)
class Import:
    """What a client asks for."""

    asset_id: str
    lyrics: GivenLyrics | None
    language: str
    title: str
    artist: str
    callback_url: str


def import_track(services: Services, caller: Caller, wanted: Import, attempt: Attempt) -> Work:
    """Accept an import; the context of its job. Raises 404 and 422.

    Every id follows from the attempt's seed, so a second try asks for the same track and job.
    """
    asset = services.reservations.asset(caller.tenant, wanted.asset_id)
    if asset is None:
        raise Problem(Code.ASSET_NOT_FOUND, f"There is no asset '{wanted.asset_id[:64]}'.")
    if asset.purpose == COVER:
        raise Problem(Code.UPLOAD_NOT_AUDIO, f"'{asset.filename}' was uploaded as a cover.")
    settings = services.settings
    callback_id = ""
    if wanted.callback_url:
        callback_id = keep_url(services, caller.tenant, wanted.callback_url, field="callbackUrl")
    lyrics = None
    language = wanted.language
    if wanted.lyrics is not None and wanted.lyrics.text.strip():
        document = lyrics_from(
            wanted.lyrics, language=wanted.language, max_words=settings.max_lyrics_words
        )
        language = document.language  # a file with times may say it
        # Stored before the event that names it: a reader of the event finds it.
        lyrics = services.documents.keep_lyrics(caller.tenant, document)
    job_id, track_id = derive(attempt.seed, "job"), derive(attempt.seed, "track")
    work = Work(
        job_id=job_id,
        track_id=track_id,
        tenant=caller.tenant,
        version=services.reservations.reserve_version(caller.tenant, track_id, job_id, floor=0),
        language=language,
        title=wanted.title,
        artist=wanted.artist,
        lyrics=lyrics,
        artifacts=(asset.artifact,),
        callback_id=callback_id,
        options=job_options(settings, caller),
    )
    event = ImportRequested(work=work, asset_id=asset.asset_id)
    known = attempt.resumed and services.store.job(caller.tenant, job_id) is not None
    with services.admissions.job(caller, known=known):
        services.publisher.accept([event], cause=attempt.seed, traceparent=caller.traceparent)
    return work
