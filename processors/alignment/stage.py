"""Alignment: every word of the lyrics gets the moment at which it is sung.

Follows the transcription, or the separation when lyrics were given; a reprocess request that
begins here re-aligns edited lyrics on the vocals that are already there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path

from processors.alignment import memory, recutting
from processors.alignment.aligner import Aligner, Heard
from processors.alignment.document import check_locked, compose, to_align, with_flags
from processors.alignment.earlier import PARENT, earlier, listener, origin, parent
from processors.alignment.keeping import keeping
from processors.alignment.languages import reader
from processors.alignment.strays import strays
from processors.alignment.testimony import sounding_of
from processors.alignment.voices import place_voices
from processors.audio.decoding import decode
from processors.choices import Computing, choose, loading, may_be_full
from processors.karaoke import read_document, required
from processors.runtime import Made, MadeFile, Reject, Sla, Task, stage
from processors.settings import Choice, StageSettings
from processors.speech_models import fingerprint, model_of, speech_model, title
from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import LyricsDocument
from schemas.events import Aligned, ReprocessRequested, Separated, Transcribed
from schemas.work import extend
from topics import logs

_log = logs.get(__name__)


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
    # 2: what was heard is kept; 3: how lines sound, duets; 4: languages, pace; 5: languages by ear
    revision=5,
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
    known = earlier(work, task, stem)
    find_listener = partial(
        listener,
        known,
        partial(_without_model, task.settings, language),
        partial(_aligner, task.settings, language),
    )
    with loading(find_listener) as loaded:
        vocals = None if known is not None else task.fetch(stem)
        listens = loaded()
    if vocals is None and listens.heard is None:  # known, but not to who listens now
        vocals = task.fetch(stem)
    digest = stem.sha256 if vocals is None else vocals.sha256
    backend = listens.backend
    inputs: list[str] = []
    before = None
    if known is not None and listens.heard is not None:
        inputs, before = [known.sha256], parent(work, task, language)
        inputs += [] if before is None else [before.sha256]
    task.sized(work.duration_ms / 1000)

    def align(folder: Path) -> Made:
        files: list[MadeFile] = []
        heard, said = listens.heard, recutting.by_words(lyrics)
        words, run_on = to_align(said), recutting.is_run_on(lyrics)
        try:
            if heard is None:
                aligner = listens.aligner
                assert aligner is not None
                assert vocals is not None
                audio = decode(vocals.path, max_seconds=task.settings.max_song_seconds)
                song_ms = round(1000 * audio.seconds)
                check_locked(lyrics, song_ms)
                with task.gpu(aligner.gpu_mib):
                    heard = aligner.hear(audio, words, language, _shares(task, 0.0, 0.8))
                path = folder / "heard.npz"
                memory.keep(path, origin(digest, backend), heard.arrays())
                files.append(MadeFile(memory.NAME, path, memory.MEDIA_TYPE))
            else:
                song_ms = work.duration_ms
                check_locked(lyrics, song_ms)
            if before is not None and not run_on:
                words = keeping(said, before.content)
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
        return Made(files=tuple(files), facts={**_counts(content), "device": listens.device})

    result = task.result(
        inputs=[digest, lyrics_file.sha256, *inputs],
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


def _shares(task: Task, first: float, last: float) -> Callable[[float], None]:
    """Progress of a part of the work."""
    return lambda share: task.progress(first + share * (last - first), "aligning")


def _counts(content: Karaoke) -> dict[str, int]:
    words = list(content.words())
    return {
        "words": len(words),
        "placed": sum(word.start_ms is not None for word in words),
    }


def _without_model(settings: StageSettings, language: str, kept: memory.Kept) -> Heard | None:
    """What was heard by the model that would be loaded now; None where another would listen."""
    name = model_of(language, settings.speech_models)
    if not name or not may_be_full(settings.alignment_backend):
        return None
    if (kept.origin.backend, kept.origin.model) != ("full", title(name)):
        return None
    from processors.alignment.full import without_model

    return without_model(kept.arrays, fingerprint(name))


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
