"""Transcription: what is sung, written down, when nobody gave the lyrics.

Follows the separation of songs without lyrics; its words go on to alignment like given ones.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from processors.audio.decoding import decode
from processors.karaoke import required
from processors.runtime import Made, MadeFile, Reject, Sla, Task, stage
from processors.transcription.recognizer import RecognizedLine, Recognizer
from schemas.documents.lyrics import LyricsDocument, LyricsLine, LyricsWord
from schemas.events import Backend, ReprocessRequested, Separated, Transcribed
from schemas.work import extend


def is_my_turn(event: Separated | ReprocessRequested) -> bool:
    """After separation when there are no lyrics; when asked to begin here."""
    if isinstance(event, Separated):
        return event.work.lyrics is None
    return event.work.from_stage == "transcription"


@stage(
    name="transcription",
    revision=1,
    consumes=(Separated, ReprocessRequested),
    produces=(Transcribed,),
    accepts=is_my_turn,
    sla=Sla(base_s=60, per_second=4.0),
)
def transcription(event: Separated | ReprocessRequested, task: Task) -> Transcribed:
    """Write down what the vocals of the job sing."""
    work = event.work
    vocals = task.fetch(required(work, "vocals"))
    recognizer = _recognizer()
    backend = Backend(name=recognizer.name, model=recognizer.model, device="cpu")
    task.sized(work.duration_ms / 1000)

    def transcribe(folder: Path) -> Made:
        audio = decode(vocals.path, max_seconds=task.settings.max_song_seconds)
        try:
            lines = recognizer.transcribe(audio, work.language or None, task.progress)
        except ValueError as refusal:  # written for the person who gave the song
            raise Reject(getattr(refusal, "code", "cannot_transcribe"), str(refusal)) from refusal
        if not lines:
            raise Reject(
                "nothing_heard",
                "no words were heard in the vocals; give the lyrics, or check that it is sung",
            )
        lyrics = to_lyrics(lines, work.language or "en")
        path = folder / "transcript.json"
        path.write_bytes(lyrics.to_json())
        return Made(
            files=(MadeFile("transcript", path, "application/json"),),
            facts={"words": sum(1 for _ in lyrics.words())},
        )

    result = task.result(
        inputs=[vocals.sha256],
        backend=backend,
        parameters={"language": work.language},
        make=transcribe,
    )
    (transcript,) = result.artifacts
    return Transcribed(
        work=extend(
            work,
            transcript,
            lyrics=replace(transcript, name="lyrics"),
            backends={**work.backends, "transcription": backend},
        ),
        words=int(str(result.facts["words"])),
        seconds=task.elapsed(),
        reused=result.reused,
    )


def to_lyrics(lines: list[RecognizedLine], language: str) -> LyricsDocument:
    """The heard lines as a lyrics document: times are hints for people, none is locked."""
    numbers = iter(range(1, 1_000_000))
    return LyricsDocument(
        language=language,
        origin="transcribed",
        lines=tuple(
            LyricsLine(
                id=f"l{index}",
                words=tuple(
                    LyricsWord(
                        id=f"w{next(numbers)}",
                        text=word.text,
                        sep="" if word is line.words[-1] else " ",
                        start_ms=word.start_ms,
                        end_ms=word.end_ms,
                    )
                    for word in line.words
                ),
            )
            for index, line in enumerate(lines, start=1)
        ),
    )


@cache
def _recognizer() -> Recognizer:
    """Held by the child process from one song to the next."""
    from processors.transcription.light import LightRecognizer

    return LightRecognizer()
