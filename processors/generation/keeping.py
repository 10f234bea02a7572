"""Copying the songs into the store: what the provider keeps expires."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from processors.generation.desk import Desk
from processors.generation.fetching import NotFetched
from processors.generation.provider import Given
from schemas.events import Artifact, Song, Work
from schemas.work import extend
from topics.sniffing import SoundFormat

MOST_SONGS = 4
"""Songs of a request that are kept; providers make two."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The job with the songs in it, and what is known of each."""

    work: Work
    songs: tuple[Song, ...]


def keep(work: Work, given: Sequence[Given], desk: Desk) -> Kept:
    """Copy sound, covers and words. Raises `NotFetched` where a song's sound is none; a cover that
    is none is left out.
    """
    artifacts: list[Artifact] = []
    for number, song in enumerate(given[:MOST_SONGS], start=1):
        artifacts.append(_copied(work, f"song-{number}", song.audio_url, "sound", desk))
        if song.image_url:
            with suppress(NotFetched):  # a song without its cover is a song
                artifacts.append(_copied(work, f"cover-{number}", song.image_url, "picture", desk))
        if song.lyrics:
            artifacts.append(_words(work, number, song, desk))
    first = given[0]
    titled = replace(
        work,
        title=work.title or " ".join(first.title.split()),
        duration_ms=first.duration_ms or work.duration_ms,
    )
    return Kept(extend(titled, *artifacts), tuple(_song(song) for song in given[:MOST_SONGS]))


def _copied(
    work: Work, name: str, url: str, what: Literal["sound", "picture"], desk: Desk
) -> Artifact:
    path = desk.folder / name
    found: SoundFormat = desk.fetcher(url, path, what)
    return _stored(work, name, path, found.media_type, f".{found.name}", desk)


def _words(work: Work, number: int, song: Given, desk: Desk) -> Artifact:
    """The words that the provider sang, beside the song."""
    path = desk.folder / f"lyrics-{number}"
    path.write_text(song.lyrics, "utf-8", "replace")
    return _stored(work, path.name, path, "text/plain; charset=utf-8", ".txt", desk)


def _stored(
    work: Work, name: str, path: Path, media_type: str, suffix: str, desk: Desk
) -> Artifact:
    key = f"clips/{work.tenant}/{work.job_id}/{work.attempt}/{name}{suffix}"
    stored = desk.store.put(key, path, media_type)
    return Artifact(
        name=name,
        uri=stored.uri,
        sha256=stored.sha256 or "",
        bytes=stored.bytes,
        media_type=media_type,
    )


def _song(given: Given) -> Song:
    return Song(
        song_id=given.song_id,
        title=given.title,
        audio_url=given.audio_url,
        image_url=given.image_url,
        duration_ms=given.duration_ms,
        tags=given.tags,
    )
