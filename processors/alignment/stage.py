"""Alignment: every word of the lyrics gets the moment at which it is sung.

Follows the transcription, or the separation when lyrics were given; a reprocess request that
begins here re-aligns edited lyrics on the vocals that are already there.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from processors.alignment.aligner import Aligner
from processors.alignment.document import check_locked, compose, to_align
from processors.alignment.languages import reader
from processors.audio.decoding import decode
from processors.karaoke import read_document, required
from processors.runtime import Made, MadeFile, Reject, Sla, Task, stage
from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import LyricsDocument
from schemas.events import Aligned, Backend, ReprocessRequested, Separated, Transcribed
from schemas.work import extend


def is_my_turn(event: Separated | Transcribed | ReprocessRequested) -> bool:
    """After transcription; after separation when there are lyrics; when asked to begin here."""
    match event:
        case Transcribed():
            return True
        case Separated():
            return event.work.lyrics is not None
        case _:
            return event.work.from_stage == "alignment"


@stage(
    name="alignment",
    revision=1,
    consumes=(Separated, Transcribed, ReprocessRequested),
    produces=(Aligned,),
    accepts=is_my_turn,
    sla=Sla(base_s=60, per_second=2.0),
)
def alignment(event: Separated | Transcribed | ReprocessRequested, task: Task) -> Aligned:
    """Place the lyrics of the job on its vocals."""
    work = event.work
    vocals = task.fetch(required(work, "vocals"))
    if work.lyrics is None:
        raise Reject("lyrics_missing", "the track has no lyrics yet; reprocess it from transcribe")
    lyrics_file = task.fetch(work.lyrics)
    lyrics = read_document(LyricsDocument, lyrics_file.path)
    # Nobody said the language: the script tells Russian from English, and Latin is read as English.
    language = work.language or lyrics.language or reader(lyrics.text, "en")
    aligner = _aligner()
    backend = Backend(name=aligner.name, model=aligner.model, device="cpu")
    task.sized(work.duration_ms / 1000)

    def align(folder: Path) -> Made:
        audio = decode(vocals.path, max_seconds=task.settings.max_song_seconds)
        try:
            check_locked(lyrics, round(1000 * audio.seconds))
            placements = aligner.align(audio, to_align(lyrics), language, task.progress)
        except ValueError as refusal:  # written for the person who gave the song
            raise Reject(getattr(refusal, "code", "cannot_align"), str(refusal)) from refusal
        content = compose(
            lyrics,
            placements,
            language=language,
            duration_ms=round(1000 * audio.seconds),
        )
        path = folder / "alignment.json"
        path.write_bytes(content.to_json())
        return Made(
            files=(MadeFile("alignment", path, "application/json"),), facts=_counts(content)
        )

    result = task.result(
        inputs=[vocals.sha256, lyrics_file.sha256],
        backend=backend,
        parameters={"language": language},
        make=align,
    )
    return Aligned(
        work=extend(
            work,
            *result.artifacts,
            language=language,
            backends={**work.backends, "alignment": backend},
        ),
        words=int(str(result.facts["words"])),
        placed=int(str(result.facts["placed"])),
        seconds=task.elapsed(),
        reused=result.reused,
    )


def _counts(content: Karaoke) -> dict[str, int]:
    words = list(content.words())
    return {
        "words": len(words),
        "placed": sum(word.start_ms is not None for word in words),
    }


@cache
def _aligner() -> Aligner:
    """Held by the child process from one song to the next."""
    from processors.alignment.light import LightAligner

    return LightAligner()
