"""Links to media: signed and short-lived, or through the CDN."""

from __future__ import annotations

from pydantic import Field

from gateway.api.dependencies import Wire, instant
from gateway.guard.clients import Caller
from gateway.services import Services
from schemas.events import Artifact

_SUFFIX = {
    "audio/flac": ".flac",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/mp4": ".m4a",
    "audio/aiff": ".aiff",
    "video/mp4": ".mp4",
    "application/json": ".json",
    "text/plain": ".txt",
}


class Link(Wire):
    """Where to get an object."""

    url: str
    expires_at: str | None = Field(default=None, description="Absent for CDN addresses.")
    media_type: str
    size_bytes: int
    sha256: str | None = None


def link(services: Services, caller: Caller, artifact: Artifact, title: str) -> Link:
    """A link to published media that saves under a telling name."""
    cdn = services.settings.cdn_base_url
    if cdn:
        url, expires_ms = f"{cdn}/{_key(services, artifact.uri)}", None
    else:
        suffix = _SUFFIX.get(artifact.media_type, "")
        signed = services.artifacts.sign_get(
            artifact.uri,
            ttl_s=services.settings.download_url_ttl_seconds,
            ip=caller.address or None,
            filename=f"{title} ({artifact.name}){suffix}",
        )
        url, expires_ms = signed.url, signed.expires_at_ms
    return Link(
        url=url,
        expires_at=instant(expires_ms),
        media_type=artifact.media_type,
        size_bytes=artifact.bytes,
        sha256=artifact.sha256 or None,
    )


def _key(services: Services, uri: str) -> str:
    """The key in a URI of the store: what follows what every URI begins with."""
    return uri.removeprefix(services.artifacts.uri("_").removesuffix("_"))
