"""Alignment: every word of the lyrics gets the moment at which it is sung.

Follows the transcription, or the separation when lyrics were given; a reprocess request that
begins here re-aligns edited lyrics on the vocals that are already there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path

from processors.alignment import memory, recutting
from processors.alignment.aligner import Aligner, Heard
from processors.alignment.document import check_locked, compose, to_align, with_flags
from processors.alignment.keeping import keeping
from processors.alignment.languages import reader
from processors.alignment.strays import strays
from processors.alignment.testimony import sounding_of
from processors.alignment.voices import place_voices
from processors.audio.decoding import decode
from processors.choices import Computing, choose, loading
from processors.karaoke import read_document, required
from processors.runtime import Fetched, Made, MadeFile, Reject, Sla, Task, stage
from processors.settings import Choice, StageSettings
from processors.speech_models import model_of, speech_model
from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import LyricsDocument
from schemas.events import Aligned, Backend, ReprocessRequested, Separated, Transcribed, Work
from schemas.work import extend, find
from topics import logs

_log = logs.get(__name__)

PARENT = "parent"
"""The alignment of the version that a job continues, as an artifact of the job."""


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
    revision=3,  # 2: what was heard is kept; 3: how lines sound, duets
    consumes=(Separated, Transcribed, ReprocessRequested),
    produces=(Aligned,),
    accepts=is_my_turn,
    sla=Sla(base_s=60, per_second=2.0),
    uses="gpu",
)
def alignment(event: Separated | Transcribed | ReprocessRequested, task: Task) -> Aligned:
    """Place the lyrics of the job on its vocals."""
    work = event.work
    stem = required(work, "vocals")
    if work.lyrics is None:
        raise Reject("lyrics_missing", "the track has no lyrics yet; reprocess it from transcribe")
    lyrics_file = task.fetch(work.lyrics)
    lyrics = read_document(LyricsDocument, lyrics_file.path)
    # Nobody said the language: the script tells Russian from English, and Latin is read as English.
    language = work.language or lyrics.language or reader(lyrics.text, "en")
    with loading(partial(_aligner, task.settings, language)) as loaded:
        vocals = task.fetch(stem)
        aligner = loaded()
    backend = Backend(
        name=aligner.name, model=aligner.model, hash=aligner.hash, device=aligner.device
    )
    origin = memory.Origin(vocals.sha256, aligner.name, aligner.model, aligner.hash)
    known = _known(work, task, aligner, origin, language)
    task.sized(work.duration_ms / 1000)

    def align(folder: Path) -> Made:
        files: list[MadeFile] = []
        heard, said = known.heard, recutting.by_words(lyrics)
        words, run_on = to_align(said), recutting.is_run_on(lyrics)
        try:
            if heard is None:
                audio = decode(vocals.path, max_seconds=task.settings.max_song_seconds)
                song_ms = round(1000 * audio.seconds)
                check_locked(lyrics, song_ms)
                with task.gpu(aligner.gpu_mib):
                    heard = aligner.hear(audio, words, language, _shares(task, 0.0, 0.8))
                path = folder / "heard.npz"
                memory.keep(path, origin, heard.arrays())
                files.append(MadeFile(memory.NAME, path, memory.MEDIA_TYPE))
            else:
                song_ms = work.duration_ms
                check_locked(lyrics, song_ms)
            if known.content is not None and not run_on:
                words = keeping(said, known.content)
            if run_on:
                rough = heard.place(words, language, _shares(task, 0.8, 0.85))
                said = recutting.at_pauses(lyrics, rough, said)
                words = to_align(said)
            singers = [line.singer for line in said.lines]
            told = _shares(task, 0.85, 0.95)
            placements = place_voices(heard, words, singers, language, song_ms, told)
        except ValueError as refusal:  # written for the person who gave the song
            raise Reject(getattr(refusal, "code", "cannot_align"), str(refusal)) from refusal
        content = compose(said, placements, language=language, duration_ms=song_ms)
        content = with_flags(content, strays(content, heard, language))
        if run_on:
            content = with_flags(content, [recutting.told()])
        sounding = folder / "evidence.json"
        sounding.write_bytes(sounding_of(content, heard, language).to_json())
        files.append(MadeFile("evidence", sounding, "application/json"))
        path = folder / "alignment.json"
        path.write_bytes(content.to_json())
        files.append(MadeFile("alignment", path, "application/json"))
        return Made(files=tuple(files), facts={**_counts(content), "device": aligner.device})

    result = task.result(
        inputs=[vocals.sha256, lyrics_file.sha256, *known.inputs],
        backend=backend,
        parameters={"language": language},
        make=align,
    )
    kept = tuple(artifact for artifact in work.artifacts if artifact.name != PARENT)
    return Aligned(
        work=extend(
            replace(work, artifacts=kept),
            *result.artifacts,
            language=language,
            # The memory of a GPU may have run out on the way.
            backends={
                **work.backends,
                "alignment": replace(backend, device=str(result.facts["device"])),
            },
        ),
        words=int(str(result.facts["words"])),
        placed=int(str(result.facts["placed"])),
        seconds=task.elapsed(),
        reused=result.reused,
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What an earlier alignment of these vocals by this model left, as far as the job has it."""

    heard: Heard | None = None
    content: Karaoke | None = None
    inputs: tuple[str, ...] = ()


def _known(
    work: Work, task: Task, aligner: Aligner, origin: memory.Origin, language: str
) -> _Known:
    kept = None if work.force else _spare(work, task, memory.NAME)
    arrays = None if kept is None else memory.recall(kept.path, origin)
    if kept is None or arrays is None or not work.duration_ms:
        return _Known()
    heard = aligner.again(arrays)
    parent = _spare(work, task, PARENT)
    content = None if parent is None else read_document(Karaoke, parent.path)
    if parent is None or content is None or content.language != language:
        return _Known(heard, None, (kept.sha256,))
    return _Known(heard, content, (kept.sha256, parent.sha256))


def _spare(work: Work, task: Task, name: str) -> Fetched | None:
    """An artifact that the job can do without."""
    artifact = find(work, name)
    if artifact is None:
        return None
    try:
        return task.fetch(artifact)
    except Reject as reason:
        task.log.warning("an earlier alignment is of no use", artifact=name, reason=reason.message)
        return None


def _shares(task: Task, first: float, last: float) -> Callable[[float], None]:
    """Progress of a part of the work."""
    return lambda share: task.progress(first + share * (last - first), "aligning")


def _counts(content: Karaoke) -> dict[str, int]:
    words = list(content.words())
    return {
        "words": len(words),
        "placed": sum(word.start_ms is not None for word in words),
    }


# TODO(issue 5): an edit runs no model, but a child that was idle for CHILD_IDLE_SECONDS loads it
# again for its letters and its hash; both could lie beside what was heard.
def _aligner(settings: StageSettings, language: str) -> Aligner:
    name = model_of(language, settings.speech_models)
    if not name:
        if settings.alignment_backend == "full":
            _log.warning("no speech model knows the language; light aligns", language=language)
        return _light()
    return _chosen(settings.alignment_backend, name, Computing.of(settings))


@lru_cache(maxsize=1)
def _chosen(choice: Choice, name: str, computing: Computing) -> Aligner:
    def full() -> Aligner:
        from processors.alignment.full import SpeechAligner

        return SpeechAligner(speech_model(name, computing))

    return choose("alignment", choice, light=_light, full=full)


@cache
def _light() -> Aligner:
    """Held by the child process from one song to the next."""
    from processors.alignment.light import LightAligner

    return LightAligner()
