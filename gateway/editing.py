"""A person's change of the lyrics: a draft version that the next reprocess publishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.documents import GivenLyrics, check_length, lyrics_into, refused_lyrics
from gateway.guard.clients import Caller
from gateway.guard.idempotency import Attempt
from gateway.guard.locks import edit_of, work_on
from gateway.guard.preconditions import require_match
from gateway.guard.problems import Code, Problem
from gateway.identifiers import derive
from gateway.projection.track import Track, Version
from gateway.reprocessing import context
from gateway.services import Services
from gateway.tracks import find_track, unfinished
from schemas.documents.edits import EditRefused, LyricsEdit, apply_edits
from schemas.documents.lyrics import LyricsDocument, NothingSung, TooManyWords
from schemas.events import LyricsEdited, ReprocessRequested

ALIGN = "alignment"

MAX_EFFORT = 200_000
"""Respelled lines times words of the song: 400 lines of a song of 500 words take about a second."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What came of an edit."""

    track_id: str
    version: int
    job_id: str  # empty unless the alignment was started at once


def edit_lyrics(
    services: Services,
    caller: Caller,
    track_id: str,
    *,
    text: GivenLyrics | None,
    edits: Sequence[LyricsEdit],
    if_match: str | None,
    align: bool,
    attempt: Attempt,
) -> Draft:
    """Accept an edit of the newest version. Raises 404, 409, 412, 422 and 428.

    With ``align`` the draft and the request to align it are accepted together or not at all.
    """

    def edit() -> Draft:
        track = find_track(services, caller, track_id)
        base = track.newest
        if base is None or track.current is None:
            raise unfinished(services, track)
        job_id = derive(attempt.seed, "job") if align else ""
        if attempt.resumed:
            number = _reserve(services, track, attempt)
            if track.version(number) is not None:  # the first try was accepted
                return Draft(track_id, number, job_id)
        require_match(if_match, base.number, track_id=track_id)
        lyrics = _edited(services, base, text, edits)
        check_length(lyrics, services.settings.max_lyrics_words)
        _check_inside(lyrics, track.current.duration_ms)
        with services.locks.claiming(caller.tenant, track_id, edit_of(base.number), attempt.seed):
            return _accept(services, caller, track, base, lyrics, job_id, attempt)

    return services.locks.change(caller.tenant, track_id, edit)


def _check_inside(lyrics: LyricsDocument, duration_ms: int) -> None:
    """Raise 422 for a locked word behind the song's end: no alignment could hold it."""
    for word in lyrics.words():
        if word.locked and duration_ms and (word.end_ms or 0) > duration_ms:
            words = f"word {word.id} would end at {word.end_ms} ms, the song at {duration_ms} ms"
            raise Problem(
                Code.EDIT_INVALID,
                f"{words[:1].upper()}{words[1:]}.",
                errors=[{"pointer": "#/edits", "message": words}],
            )


def _accept(
    services: Services,
    caller: Caller,
    track: Track,
    base: Version,
    lyrics: LyricsDocument,
    job_id: str,
    attempt: Attempt,
) -> Draft:
    """Write the draft, and the request to align it when there is a job."""
    reference = services.documents.keep_lyrics(caller.tenant, lyrics)
    number = _reserve(services, track, attempt)
    draft = Version(
        number=number,
        state="draft",
        parent=base.number,
        language=lyrics.language or base.language,
        lyrics=reference,
        lyrics_origin="edited",
    )
    edited = LyricsEdited(
        track_id=track.track_id,
        tenant=caller.tenant,
        version=number,
        parent=base.number,
        language=draft.language,
        lyrics=reference,
    )
    if not job_id:
        services.publisher.accept([edited], cause=attempt.seed, traceparent=caller.traceparent)
        return Draft(track.track_id, number, job_id)
    work = context(services, track, draft, job_id=job_id, version=number, stage=ALIGN)
    request = ReprocessRequested(work=work, reason="reprocess", steps=("align",))
    # Another gateway may see the draft before it sees the job.
    with (
        services.admissions.job(caller),
        services.locks.claiming(
            caller.tenant, track.track_id, work_on(track, number), attempt.seed
        ),
    ):
        services.publisher.accept(
            [edited, request], cause=attempt.seed, traceparent=caller.traceparent
        )
    return Draft(track.track_id, number, job_id)


def _reserve(services: Services, track: Track, attempt: Attempt) -> int:
    return services.reservations.reserve_version(
        track.tenant, track.track_id, attempt.seed, floor=track.highest
    )


def lyrics_of(services: Services, version: Version) -> LyricsDocument:
    """A version's lyrics, with ids, times and locks. Raises 409 when it has none."""
    karaoke = version.artifacts.get("karaoke")
    if karaoke is not None:
        return services.documents.karaoke(karaoke).lyrics()
    if version.lyrics is None:
        raise Problem(Code.MATERIAL_MISSING, f"Version {version.number} has no lyrics.")
    return services.documents.lyrics(version.lyrics)


def _check_effort(lyrics: LyricsDocument, edits: Sequence[LyricsEdit]) -> None:
    """Each respelled line is compared with the whole song: many at once are better one text."""
    respelled = sum(1 for edit in edits if edit.line_id is not None and edit.text is not None)
    words = sum(1 for _ in lyrics.words())
    if respelled * words > MAX_EFFORT:
        most = max(1, MAX_EFFORT // words)
        raise Problem(
            Code.EDIT_INVALID,
            f"{respelled} lines have new text; up to {most} of this song can be edited singly."
            " Send the whole text as lyrics instead.",
        )


def _edited(
    services: Services, base: Version, text: GivenLyrics | None, edits: Sequence[LyricsEdit]
) -> LyricsDocument:
    lyrics = lyrics_of(services, base)
    if text is not None:
        return lyrics_into(text, lyrics, services.settings.max_lyrics_words)
    _check_effort(lyrics, edits)
    try:
        return apply_edits(lyrics, edits)
    except (NothingSung, TooManyWords) as refused:
        raise refused_lyrics(refused) from None
    except EditRefused as refused:
        words = str(refused)
        raise Problem(
            Code.EDIT_INVALID,
            f"{words[:1].upper()}{words[1:]}.",
            errors=[{"pointer": "#/edits", "message": words}],
        ) from None
