"""Lyrics: read in a player's format, edit into a draft."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Header, Query, Request
from pydantic import Field, model_validator
from starlette.responses import JSONResponse, Response

from gateway.api.dependencies import ServicesDep, Wire, once
from gateway.api.given import LYRICS_FORMAT, LYRICS_TIMES, LyricsFormat, LyricsTimes, given
from gateway.editing import edit_lyrics
from gateway.filenames import offered_as
from gateway.guard.clients import CallerDep
from gateway.guard.idempotency import Attempt, IdempotencyKey
from gateway.guard.preconditions import etag, matches
from gateway.guard.problems import Code, Problem
from gateway.guard.responses import documented
from gateway.projection.reservations import Answer
from gateway.reprocessing import find_version
from gateway.tracks import file_title, find_track, unfinished
from schemas.documents.edits import LyricsEdit
from schemas.documents.formats import WRITTEN, About
from schemas.documents.karaoke import KaraokeDocument

MAX_EDITS = 5_000
"""One for each word of the longest song."""

_EXAMPLES = {
    "lrc": "[ti:The Star]\n[00:12.34]Twinkle, twinkle, little star\n",
    "vtt": "WEBVTT The Star\n\nl1\n00:00:12.340 --> 00:00:12.800\nTwinkle\n",
    "srt": "1\n00:00:12,340 --> 00:00:12,800\nTwinkle\n",
}


def _offered() -> dict[str, Any]:
    """The formats by media type, for the description; those of one type share its entry."""
    content: dict[str, Any] = {}
    for one in WRITTEN.values():
        if one.name == "karaoke":
            continue  # the model's own
        kind = content.setdefault(one.media_type, {"schema": {"type": "string"}, "examples": {}})
        if one.name in _EXAMPLES:
            kind["examples"][one.name] = {"summary": one.label, "value": _EXAMPLES[one.name]}
    return content


OFFERED: dict[int | str, dict[str, Any]] = {
    200: {
        "model": KaraokeDocument,
        "description": "The lyrics in the format that was asked for.",
        "headers": {"ETag": {"schema": {"type": "string"}, "description": "The version."}},
        "content": _offered(),
    },
    304: {"description": "If-None-Match names the version: it has not changed."},
}


class LyricsPatch(Wire):
    """Either the whole text, or single edits."""

    lyrics: str | None = Field(
        default=None, description="The whole text; words that stay keep their ids, times and locks."
    )
    lyrics_format: LyricsFormat = LYRICS_FORMAT
    lyrics_times: LyricsTimes = LYRICS_TIMES
    edits: list[LyricsEdit] | None = Field(default=None, min_length=1, max_length=MAX_EDITS)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.lyrics is None) == (self.edits is None):
            raise ValueError("send either lyrics or edits")
        return self


class DraftMade(Wire):
    """The draft that holds the edit."""

    track_id: str
    version: int
    state: Literal["draft"] = "draft"
    job_id: str | None = Field(default=None, description="With reprocess=auto: the alignment.")


router = APIRouter()


@router.head("/tracks/{track_id}/lyrics", include_in_schema=False)
@router.get(
    "/tracks/{track_id}/lyrics",
    response_class=Response,
    summary="Get the lyrics with times",
    responses=OFFERED
    | documented(
        Code.TRACK_NOT_FOUND,
        Code.VERSION_NOT_FOUND,
        Code.VERSION_NOT_PUBLISHED,
        Code.TRACK_UNFINISHED,
        Code.TRACK_FAILED,
        Code.FORMAT_UNKNOWN,
    ),
)
def read(
    track_id: str,
    services: ServicesDep,
    caller: CallerDep,
    format_: Annotated[
        str, Query(alias="format", max_length=50, description=f"{', '.join(WRITTEN)}.")
    ] = "karaoke",
    version: Annotated[int | None, Query(ge=1, description="Default: the published one.")] = None,
    if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
) -> Response:
    """karaoke-json (the product's own format) or what players read: LRC, enhanced LRC, ASS, WebVTT,
    SRT, TTML and UltraStar TXT; of the published version or a given one.
    """
    wanted = WRITTEN.get(format_)
    if wanted is None:
        raise Problem(
            Code.FORMAT_UNKNOWN,
            f"Lyrics are offered as {', '.join(WRITTEN)}, not as '{format_}'.",
            extra={"formats": list(WRITTEN)},
        )
    track = find_track(services, caller, track_id)
    if version is not None:
        chosen = find_version(track, version)
    elif track.current is not None:
        chosen = track.current
    else:
        raise unfinished(services, track)
    if chosen.state == "draft":
        raise Problem(
            Code.VERSION_NOT_PUBLISHED,
            f"Version {chosen.number} of track '{track_id}' has no times yet.",
        )
    headers = {"ETag": etag(chosen.number), "Cache-Control": "private, no-cache"}
    if matches(if_none_match, chosen.number):
        return Response(status_code=304, headers=headers)
    document = services.documents.karaoke(chosen.artifacts["karaoke"])
    sung = chosen.artifacts.get("pitch") if wanted.name == "ultrastar" else None
    pitches = services.documents.pitch(sung).midi() if sung is not None else {}
    text = wanted.write(document, About(track.title, track.artist), pitches)
    headers["Content-Disposition"] = offered_as(f"{file_title(track)}{wanted.suffix}")
    # every format is UTF-8; JSON and TTML say so themselves
    plain = wanted.media_type.startswith("text/") or wanted.name == "srt"
    charset = "; charset=utf-8" if plain else ""
    return Response(text, media_type=wanted.media_type + charset, headers=headers)


@router.patch(
    "/tracks/{track_id}/lyrics",
    response_model=DraftMade,
    response_model_exclude_none=True,
    summary="Edit the lyrics",
    responses=documented(
        Code.TRACK_NOT_FOUND,
        Code.TRACK_UNFINISHED,
        Code.TRACK_FAILED,
        Code.PRECONDITION_REQUIRED,
        Code.PRECONDITION_FAILED,
        Code.TRACK_CHANGING,
        Code.EDIT_INVALID,
        Code.LYRICS_WITHOUT_WORDS,
        Code.LYRICS_TOO_LONG,
        Code.LYRICS_UNREADABLE,
        Code.IDEMPOTENCY_IN_FLIGHT,
        Code.MALFORMED_JSON,
    ),
)
def edit(
    track_id: str,
    request: Request,
    body: LyricsPatch,
    services: ServicesDep,
    caller: CallerDep,
    if_match: Annotated[
        str | None,
        Header(description="ETag of the newest version, drafts included.", examples=['"1"']),
    ] = None,
    reprocess: Annotated[
        Literal["auto", "none"], Query(description="auto starts the alignment at once.")
    ] = "none",
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Makes a draft version. Words whose times are given are locked: alignment moves the others."""

    def work(attempt: Attempt) -> Answer:
        draft = edit_lyrics(
            services,
            caller,
            track_id,
            text=given(body.lyrics, body.lyrics_format, body.lyrics_times),
            edits=body.edits or (),
            if_match=if_match,
            align=reprocess == "auto",
            attempt=attempt,
        )
        made = DraftMade(track_id=track_id, version=draft.version, job_id=draft.job_id or None)
        return Answer(200, made.wire(), {"ETag": etag(draft.version)})

    return once(request, services, caller, idempotency_key, body, work)
