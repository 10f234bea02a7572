"""Transcription: what is sung, written down, when nobody gave the lyrics.

Follows the separation of songs without lyrics; its words go on to alignment like given ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path

from processors.alignment import memory
from processors.alignment.languages import UnknownLanguage, reader, resolve, script
from processors.audio.decoding import decode
from processors.choices import Computing, choose, loading, may_be_full
from processors.karaoke import required
from processors.runtime import JSON, Made, MadeFile, Reject, Sla, Task, stage
from processors.settings import Choice, StageSettings
from processors.speech_models import model_of, speech_model
from processors.transcription.recognizer import RecognizedLine, Recognizer
from processors.transcription.spoken_language import (
    LIKELY,
    SURE,
    Spoken,
    SpokenLanguage,
    other_than,
    spoken_language,
    to_listen_with,
)
from schemas.documents.lyrics import LyricsDocument, LyricsLine, LyricsWord, Remark
from schemas.events import Backend, ReprocessRequested, Separated, Transcribed
from schemas.work import extend
from topics import logs

_log = logs.get(__name__)

UNSAID = "en"
"""Whose model listens when nobody said the language and nothing heard it: most songs that come
without it are English, and its text tells the script of what was sung."""


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
    task.sized(work.duration_ms / 1000)
    with loading(partial(_prepared, task.settings, work.language)) as prepared:
        vocals = task.fetch(required(work, "vocals"))
        detector = prepared()
    sung = cache(partial(decode, vocals.path, max_seconds=task.settings.max_song_seconds))
    # Whose weights listen is a part of the result's identity: the language is heard before.
    heard = () if detector is None or work.language else detector.hear(sung())
    with loading(partial(_recognizer, task.settings, work.language, heard)) as loaded:
        recognizer, detected = loaded()
    backend = Backend(
        name=recognizer.name,
        model=recognizer.model,
        hash=recognizer.hash,
        device=recognizer.device,
    )
    language = detected.language if detected else work.language

    def transcribe(folder: Path) -> Made:
        audio = sung()
        try:
            with task.gpu(recognizer.gpu_mib):
                found = recognizer.transcribe(audio, language or None, task.progress)
        except ValueError as refusal:  # written for the person who gave the song
            raise Reject(getattr(refusal, "code", "cannot_transcribe"), str(refusal)) from refusal
        if not found.lines:
            raise Reject(
                "nothing_heard",
                "no words were heard in the vocals; give the lyrics, or check that it is sung",
            )
        told = heard if detector is None else heard or detector.hear(audio)
        lyrics = to_lyrics(found.lines, work.language, told, detected)
        path = folder / "transcript.json"
        path.write_bytes(lyrics.to_json())
        files = [MadeFile("transcript", path, "application/json")]
        if found.heard:
            kept = folder / "heard.npz"
            origin = memory.Origin(vocals.sha256, backend.name, backend.model, backend.hash)
            memory.keep(kept, origin, found.heard)
            files.append(MadeFile(memory.NAME, kept, memory.MEDIA_TYPE))
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
        parameters={"language": work.language, **_by_ear(detector, detected)},
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


def to_lyrics(
    lines: list[RecognizedLine],
    language: str,
    heard: Sequence[Spoken] = (),
    detected: Spoken | None = None,
) -> LyricsDocument:
    """The heard lines as a lyrics document: times are hints for people, none is locked.

    ``language``: what was asked for, empty when nobody said; ``detected``, of ``heard``, whose
    model listened then, or else the script of the text tells.
    """
    numbers = iter(range(1, 1_000_000))
    text = " ".join(word.text for line in lines for word in line.words)
    return LyricsDocument(
        language=language or (detected.language if detected else reader(text, UNSAID)),
        origin="transcribed",
        remarks=remarks(text, language, heard, detected),
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


def remarks(
    text: str, language: str, heard: Sequence[Spoken] = (), detected: Spoken | None = None
) -> tuple[Remark, ...]:
    """What a text and its sound say about the language, and against the one asked for."""
    if not language:
        return (_unsaid(text, heard, detected),)
    return _by_letters(text, language) or _by_sound(language, heard)


def _unsaid(text: str, heard: Sequence[Spoken], detected: Spoken | None) -> Remark:
    again = "where that is wrong, say the language and transcribe the song again"
    if detected is not None:
        return Remark(
            code="language_detected",
            message="nobody said which language is sung; it sounds like "
            f"'{detected.language}' ({detected.percent} likely) and was written down as that: "
            f"{again}",
        )
    guess = reader(text, UNSAID)
    other = other_than(guess, heard, LIKELY)
    though = f", though it sounds like '{other.language}' ({other.percent} likely)" if other else ""
    return Remark(
        code="language_guessed",
        message=f"nobody said which language is sung; it was taken for '{guess}'{though}: {again}",
    )


def _by_letters(text: str, language: str) -> tuple[Remark, ...]:
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


def _by_sound(language: str, heard: Sequence[Spoken]) -> tuple[Remark, ...]:
    other = other_than(language, heard, SURE)
    if other is None:
        return ()
    return (
        Remark(
            code="language_mismatch",
            message=f"the song was said to be in '{language}', but it sounds like "
            f"'{other.language}' ({other.percent} likely); set the language and transcribe it "
            "again, or leave it where you are sure of it",
        ),
    )


def _prepared(settings: StageSettings, language: str) -> SpokenLanguage | None:
    """Who hears the language, None without; loads what a said language needs, too."""
    detector = None
    if may_be_full(settings.transcription_backend):
        detector = spoken_language(settings.language_model, Computing.of(settings))
    if language or detector is None:
        _recognizer(settings, language, ())
    return detector


def _by_ear(detector: SpokenLanguage | None, detected: Spoken | None) -> dict[str, JSON]:
    """What a result owes to the ear for languages; nothing where there is none."""
    if detector is None:
        return {}
    return {"languageModel": detector.hash, "detected": detected.language if detected else ""}


def _recognizer(
    settings: StageSettings, language: str, heard: Sequence[Spoken]
) -> tuple[Recognizer, Spoken | None]:
    """Who listens; and to which language, where that was heard and not said.

    The light recognizer knows English only, and an ear may be wrong: it never steps in for a
    language that was only heard. Raises `ModelUnavailable`.
    """
    detected = None if language else to_listen_with(heard, settings.speech_models)
    if detected is not None:
        found = _listening(settings, detected.language)
        if found.name == "full":
            return found, detected
    return _listening(settings, language or UNSAID), None


def _listening(settings: StageSettings, language: str) -> Recognizer:
    name = model_of(language, settings.speech_models)
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
