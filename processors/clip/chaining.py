"""What a channel wants done with its song besides the clip: karaoke, or a master."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from processors.karaoke import required
from processors.runtime import Task
from schemas.documents.lyrics import LyricsDocument, NothingSung, TooManyWords
from schemas.events import (
    Artifact,
    Event,
    Generation,
    ImportRequested,
    Mastering,
    MasteringRequested,
    Work,
)
from schemas.work import MASTERING_STAGES, find

_IDS = uuid.UUID("d2c0a7b4-55d5-5b0e-8c0d-6d656c69736d")
"""Namespace of the ids of what a clip starts. Never change it: a replayed clip starts the same."""

_DIRECTION = re.compile(r"^\s*[\[(][^\])]{0,80}[\])]\s*$", re.MULTILINE)
"""Lines such as [Verse] or (Guitar solo): directions to the generator, which nobody sings."""


@dataclass(frozen=True, slots=True)
class Chained:
    """The job that goes on with the song, and the event that starts it."""

    job_id: str = ""
    track_id: str = ""
    events: Sequence[Event] = ()


def chained(clip: Work, wanted: Generation, task: Task) -> Chained:
    """What follows from the channel's choice."""
    song = required(clip, "song-1")
    seed = f"{clip.tenant}/{clip.job_id}/{clip.attempt}"
    work = Work(
        job_id=_id("job" if wanted.chain == "karaoke" else "mas", seed),
        track_id=_id("trk" if wanted.chain == "karaoke" else "mst", seed),
        tenant=clip.tenant,
        title=clip.title,
        artist=clip.artist,
        artifacts=(replace(song, name="source"),),
        callback_id="",
    )
    if wanted.chain == "mastering":
        work = replace(work, from_stage=MASTERING_STAGES[0])
        master = MasteringRequested(work=work, mastering=Mastering(asset_ids=(clip.track_id,)))
        return Chained(work.job_id, work.track_id, (master,))
    if wanted.chain == "karaoke":
        work = replace(work, lyrics=None if wanted.instrumental else _lyrics(clip, task))
        imported = ImportRequested(work=work, asset_id=clip.track_id)
        return Chained(work.job_id, work.track_id, (imported,))
    return Chained()


def _lyrics(clip: Work, task: Task) -> Artifact | None:
    """The words that the provider sang, as lyrics to align; None where it gave none: then they are
    transcribed.
    """
    given = find(clip, "lyrics-1")
    if given is None:
        return None
    text = task.fetch(given).path.read_text("utf-8", "replace")
    try:
        document = LyricsDocument.from_text(_DIRECTION.sub("", text), language=clip.language)
    except (NothingSung, TooManyWords):
        return None
    key = f"clips/{clip.tenant}/{clip.job_id}/{clip.attempt}/lyrics.json"
    path = task.folder / "lyrics.json"
    path.write_bytes(document.to_json())
    stored = task.store.put(key, path, "application/json")
    return Artifact(
        name="lyrics",
        uri=stored.uri,
        sha256=stored.sha256 or "",
        bytes=stored.bytes,
        media_type="application/json",
    )


def _id(kind: str, seed: str) -> str:
    return f"{kind}_{uuid.uuid5(_IDS, f'{kind}/{seed}').hex}"
