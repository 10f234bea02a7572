"""Transcription: what is sung, written down, when nobody gave the lyrics.

Follows the separation of songs without lyrics; its words go on to alignment like given ones.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path

from processors.alignment import memory
from processors.alignment.languages import UnknownLanguage, reader, resolve, script
from processors.audio.decoding import decode
from processors.choices import Computing, choose, loading
from processors.karaoke import required
from processors.runtime import Made, MadeFile, Reject, Sla, Task, stage
from processors.settings import Choice, StageSettings
from processors.speech_models import model_of, speech_model
from processors.transcription.recognizer import RecognizedLine, Recognizer
from schemas.documents.lyrics import LyricsDocument, LyricsLine, LyricsWord, Remark
from schemas.events import Backend, ReprocessRequested, Separated, Transcribed
from schemas.work import extend
from topics import logs

_log = logs.get(__name__)

UNSAID = "en"
"""Whose model listens when nobody said the language: most songs that come without it are English,
and its text tells the script of what was sung."""


def is_my_turn(event: Separated | ReprocessRequested) -> bool:
    """After separation when there are no lyrics; when asked to begin here."""
    if isinstance(event, Separated):
        return event.work.lyrics is None
    return event.work.from_stage == "transcription"


@stage(
    name="transcription",
    revision=3,  # 2: confidences, remarks; 3: where it was computed
    consumes=(Separated, ReprocessRequested),
    produces=(Transcribed,),
    accepts=is_my_turn,
    sla=Sla(base_s=60, per_second=4.0),
    uses="gpu",
)
def transcription(event: Separated | ReprocessRequested, task: Task) -> Transcribed:
    """Write down what the vocals of the job sing."""
    work = event.work
    with loading(partial(_recognizer, task.settings, work.language)) as loaded:
        vocals = task.fetch(required(work, "vocals"))
        recognizer = loaded()
    backend = Backend(
        name=recognizer.name,
        model=recognizer.model,
        hash=recognizer.hash,
        device=recognizer.device,
    )
    task.sized(work.duration_ms / 1000)

    def transcribe(folder: Path) -> Made:
        audio = decode(vocals.path, max_seconds=task.settings.max_song_seconds)
        try:
            with task.gpu(recognizer.gpu_mib):
                found = recognizer.transcribe(audio, work.language or None, task.progress)
        except ValueError as refusal:  # written for the person who gave the song
            raise Reject(getattr(refusal, "code", "cannot_transcribe"), str(refusal)) from refusal
        if not found.lines:
            raise Reject(
                "nothing_heard",
                "no words were heard in the vocals; give the lyrics, or check that it is sung",
            )
        lyrics = to_lyrics(found.lines, work.language)
        path = folder / "transcript.json"
        path.write_bytes(lyrics.to_json())
        files = [MadeFile("transcript", path, "application/json")]
        if found.heard:
            heard = folder / "heard.npz"
            origin = memory.Origin(vocals.sha256, backend.name, backend.model, backend.hash)
            memory.keep(heard, origin, found.heard)
            files.append(MadeFile(memory.NAME, heard, memory.MEDIA_TYPE))
        return Made(
            files=tuple(files),
            facts={
                "words": sum(1 for _ in lyrics.words()),
                "device": recognizer.device,
            },
        )

    result = task.result(
        inputs=[vocals.sha256],
        backend=backend,
        parameters={"language": work.language},
        make=transcribe,
    )
    # The memory of a GPU may have run out on the way.
    backend = replace(backend, device=str(result.facts["device"]))
    transcript = result["transcript"]
    return Transcribed(
        work=extend(
            work,
            *result.artifacts,
            lyrics=replace(transcript, name="lyrics"),
            backends={**work.backends, "transcription": backend},
        ),
        words=int(str(result.facts["words"])),
        seconds=task.elapsed(),
        reused=result.reused,
    )


def to_lyrics(lines: list[RecognizedLine], language: str) -> LyricsDocument:
    """The heard lines as a lyrics document: times are hints for people, none is locked.

    ``language``: what was asked for, empty when nobody said; the script of the text tells then.
    """
    numbers = iter(range(1, 1_000_000))
    text = " ".join(word.text for line in lines for word in line.words)
    return LyricsDocument(
        language=language or reader(text, UNSAID),
        origin="transcribed",
        remarks=remarks(text, language),
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
                        confidence=word.confidence,
                    )
                    for word in line.words
                ),
            )
            for index, line in enumerate(lines, start=1)
        ),
    )


def remarks(text: str, language: str) -> tuple[Remark, ...]:
    """What a text that was heard says about its language, and against the one asked for."""
    if not language:
        guess = reader(text, UNSAID)
        return (
            Remark(
                code="language_guessed",
                message=f"nobody said which language is sung; it was taken for '{guess}': where "
                "that is wrong, say the language and transcribe the song again",
            ),
        )
    try:
        asked = resolve(language)
    except UnknownLanguage:  # a recognizer may know what no voice speaks
        return ()
    likely = reader(text, asked)
    if likely == asked:
        return ()
    written = (script(text) or "other").lower()
    return (
        Remark(
            code="language_mismatch",
            message=f"the song was said to be in '{language}', but its words came out in {written} "
            f"letters, as '{likely}' is written; set the language and transcribe it again",
        ),
    )


# TODO(issue 5): where nobody said the language, only letters tell it; a song that the English model
# hears as English nonsense is told by nothing yet. Hearing a phrase with each model would.
def _recognizer(settings: StageSettings, language: str) -> Recognizer:
    name = model_of(language or UNSAID, settings.speech_models)
    if not name:
        if settings.transcription_backend == "full":
            _log.warning("no speech model knows the language; light listens", language=language)
        return _light()
    return _chosen(settings.transcription_backend, name, Computing.of(settings))


@lru_cache(maxsize=1)
def _chosen(choice: Choice, name: str, computing: Computing) -> Recognizer:
    """Held by the child process from one song to the next."""

    def full() -> Recognizer:
        from processors.transcription.full import SpeechRecognizer

        return SpeechRecognizer(speech_model(name, computing))

    return choose("transcription", choice, light=_light, full=full)


@cache
def _light() -> Recognizer:
    from processors.transcription.light import LightRecognizer

    return LightRecognizer()
