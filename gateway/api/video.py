"""Videos of a track: ask for one, fetch it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.responses import JSONResponse

from gateway.api.dependencies import ServicesDep, Wire, accepted_job, instant, once
from gateway.api.media import link
from gateway.guard.clients import Caller, CallerDep
from gateway.guard.idempotency import Attempt, IdempotencyKey
from gateway.guard.problems import Code
from gateway.guard.responses import documented
from gateway.projection.reservations import Answer
from gateway.projection.track import TrackVideo
from gateway.services import Services
from gateway.tracks import file_title, find_track
from gateway.video import ask_for_video, find_video, rendered
from schemas.events import Video

_HEIGHTS = {"360p": 360, "480p": 480, "720p": 720, "1080p": 1080}
_Resolution = Literal["360p", "480p", "720p", "1080p"]
_Color = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$", examples=["#101a30"])]


class VideoRequest(Wire):
    """How the video shall look and sound. Everything has a default."""

    version: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="A published one; the current without."
    )
    resolution: _Resolution = Field(default="720p", description="16:9.")
    fps: Literal[24, 25, 30, 50, 60] = 30
    background_color: _Color = "#101a30"
    gradient_to: _Color | None = Field(
        default=None, description="The background runs to this colour at the bottom."
    )
    cover_asset_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="A picture (an upload with purpose cover) instead; it fills the frame, dimmed.",
    )
    title_card: bool = Field(default=True, description="Title and artist at the start.")
    countdown: bool = Field(default=True, description="3, 2, 1 before singing begins again.")
    vocals: Literal["none", "guide"] = Field(
        default="none", description="guide mixes the voice in, 12 dB down, to sing along with."
    )

    def video(self) -> Video:
        """The wishes as they travel with the job."""
        height = _HEIGHTS[self.resolution]
        return Video(
            width=2 * round(height * 16 / 9 / 2),  # the colour of a video is sampled in pairs
            height=height,
            fps=self.fps,
            color=self.background_color.lower(),
            gradient_to=(self.gradient_to or "").lower(),
            cover_asset_id=self.cover_asset_id or "",
            title_card=self.title_card,
            countdown=self.countdown,
            vocals=self.vocals,
        )


class VideoAccepted(Wire):
    """A video that will be rendered. Its id is that of its job."""

    job_id: str
    track_id: str
    version: int
    video_id: str


class VideoReady(Wire):
    """A rendered video."""

    video_id: str
    track_id: str
    version: int
    url: str
    expires_at: str | None = Field(default=None, description="Until when the URL works.")
    media_type: str
    size_bytes: int
    sha256: str | None = None
    width: int
    height: int
    fps: int
    vocals: Literal["none", "guide"]
    made_at: str | None = None


router = APIRouter()

_LOOK = documented(
    Code.TRACK_NOT_FOUND, Code.VIDEO_NOT_FOUND, Code.VIDEO_NOT_READY, Code.VIDEO_FAILED
)


@router.post(
    "/tracks/{track_id}/video",
    status_code=202,
    response_model=VideoAccepted,
    summary="Make a karaoke video",
    responses=documented(
        Code.TRACK_NOT_FOUND,
        Code.VERSION_NOT_FOUND,
        Code.VERSION_NOT_PUBLISHED,
        Code.TRACK_UNFINISHED,
        Code.TRACK_FAILED,
        Code.MATERIAL_MISSING,
        Code.ASSET_NOT_FOUND,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.IDEMPOTENCY_IN_FLIGHT,
        Code.MALFORMED_JSON,
    ),
)
def start(
    track_id: str,
    request: Request,
    services: ServicesDep,
    caller: CallerDep,
    body: VideoRequest | None = None,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """An MP4 (H.264, AAC) of a published version: its lines light up word by word over the backing
    track. The same version with the same wishes is rendered once.
    """
    wanted = body or VideoRequest()

    def work(attempt: Attempt) -> Answer:
        made = ask_for_video(services, caller, track_id, wanted.version, wanted.video(), attempt)
        return accepted_job(
            made.job_id, trackId=track_id, version=made.version, videoId=made.job_id
        )

    return once(request, services, caller, idempotency_key, wanted, work)


@router.get(
    "/tracks/{track_id}/video",
    response_model=VideoReady,
    response_model_exclude_none=True,
    summary="Get the video that was asked for last",
    responses=_LOOK,
)
def last(track_id: str, services: ServicesDep, caller: CallerDep, response: Response) -> VideoReady:
    """425 with Retry-After until it is rendered."""
    response.headers["Cache-Control"] = "no-store"
    return _ready(services, caller, track_id, find_video(services, caller, track_id, ""))


@router.get(
    "/tracks/{track_id}/video/{video_id}",
    response_model=VideoReady,
    response_model_exclude_none=True,
    summary="Get a video",
    responses=_LOOK,
)
def look(
    track_id: str, video_id: str, services: ServicesDep, caller: CallerDep, response: Response
) -> VideoReady:
    """425 with Retry-After until it is rendered."""
    response.headers["Cache-Control"] = "no-store"
    return _ready(services, caller, track_id, find_video(services, caller, track_id, video_id))


def _ready(services: Services, caller: Caller, track_id: str, video: TrackVideo) -> VideoReady:
    made = rendered(services, caller, video)
    media = link(services, caller, made, file_title(find_track(services, caller, track_id)))
    wanted = video.wanted or Video()
    return VideoReady(
        video_id=video.video_id,
        track_id=track_id,
        version=video.version,
        url=media.url,
        expires_at=media.expires_at,
        media_type=media.media_type,
        size_bytes=media.size_bytes,
        sha256=media.sha256,
        width=wanted.width,
        height=wanted.height,
        fps=wanted.fps,
        vocals="guide" if wanted.vocals == "guide" else "none",
        made_at=instant(video.made_ms),
    )
