"""What two versions of a track are made of, side by side."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.guard.problems import Code, Problem
from gateway.projection.track import Version
from gateway.services import Services
from schemas.documents.karaoke import KaraokeDocument
from schemas.documents.lyrics import LyricsDocument

_MEDIA = ("mix", "minus", "vocals")


def words_of(services: Services, version: Version) -> KaraokeDocument | LyricsDocument:
    """A version's words: with times when published, as edited while a draft. Raises 409."""
    karaoke = version.artifacts.get("karaoke")
    if karaoke is not None:
        return services.documents.karaoke(karaoke)
    if version.lyrics is None:
        raise Problem(Code.MATERIAL_MISSING, f"Version {version.number} has no lyrics.")
    return services.documents.lyrics(version.lyrics)


def changed_media(before: Version, after: Version) -> Iterator[tuple[str, str | None, str | None]]:
    """Stems that differ: (name, SHA-256 before, after). A draft has none: they are those of the
    version it will be published from.
    """
    if "draft" in (before.state, after.state):
        return
    for name in _MEDIA:
        old, new = before.artifacts.get(name), after.artifacts.get(name)
        digests = (old.sha256 if old else None, new.sha256 if new else None)
        if digests[0] != digests[1]:
            yield name, *digests


def changed_backends(
    before: Version, after: Version
) -> Iterator[tuple[str, str | None, str | None]]:
    """Steps done by another backend or model: (stage, before, after)."""
    if "draft" in (before.state, after.state):
        return
    for stage in dict.fromkeys((*before.backends, *after.backends)):
        old, new = before.backends.get(stage), after.backends.get(stage)
        names = tuple(f"{one.name} {one.model}".strip() if one else None for one in (old, new))
        if names[0] != names[1]:
            yield stage, names[0], names[1]
