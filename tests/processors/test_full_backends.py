"""Transcription and alignment by a NeMo model, through the stages and the settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from processors.alignment import memory
from processors.alignment.earlier import PARENT
from processors.alignment.stage import alignment
from processors.audio.encoding import write_flac
from processors.runtime import Retry
from processors.runtime.testing import StageEnvironment
from processors.transcription.stage import transcription
from schemas.documents.evidence import Evidence
from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import LyricsDocument
from schemas.events import Artifact, ReprocessRequested, Separated, Work
from schemas.work import extend, find
from tests import models, songs

models.require("torch", "nemo")
pytestmark = [
    pytest.mark.models,
    pytest.mark.timeout(600),  # NeMo alone takes half a minute to import on a busy machine
    pytest.mark.filterwarnings("ignore"),  # of NeMo, Lightning and torch, about each other
]

SONG = songs.make("short", 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("nemo")
    return str(models.nemo_model(folder / "tiny.nemo", [SONG.lyrics_text] * 20))


def environment(folder: Path, model: str, **settings: Any) -> StageEnvironment:
    backends = {"transcription_backend": "auto", "alignment_backend": "auto"}
    return StageEnvironment(
        folder,
        speech_models={"en": model},
        language_model="none",
        use_gpu=False,
        **(backends | settings),
    )


def job(env: StageEnvironment, folder: Path, **fields: Any) -> Work:
    path = folder / "vocals.flac"
    write_flac(path, SONG.vocals)
    return Work(
        job_id="job_1",
        track_id="trk_1",
        duration_ms=round(1000 * SONG.vocals.seconds),
        artifacts=(env.put("vocals", path, "audio/flac"),),
        **fields,
    )


def kept(env: StageEnvironment, lyrics: LyricsDocument, key: str = "lyrics.json") -> Artifact:
    return env.put("lyrics", lyrics.to_json(), "application/json", key=key)


def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on nothing may be loaded: as in a child process that was started for an edit."""
    from processors.alignment import stage

    def refuse(*_: object) -> None:
        raise AssertionError("the model was loaded")

    stage._chosen.cache_clear()
    monkeypatch.setattr(stage, "speech_model", refuse)


def languages_tried(env: StageEnvironment, work: Work) -> list[str]:
    """The languages that the lines were compared in, by sound."""
    artifact = find(work, "evidence")
    assert artifact is not None
    told = Evidence.from_json(env.store.read(artifact.uri))
    return [each.language for each in told.languages]


def test_lyrics_are_aligned_and_edits_need_no_model(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = environment(tmp_path, model, alignment_backend="full")
    lyrics = LyricsDocument.from_text(SONG.lyrics_text)
    first = env.run(
        alignment,
        Separated(work=job(env, tmp_path, language="en", lyrics=kept(env, lyrics))),
    ).event
    backend = first.work.backends["alignment"]
    assert (backend.name, backend.model, backend.device) == ("full", "nemo tiny", "cpu")
    assert len(backend.hash) == 64
    aligned = find(first.work, "alignment")
    assert aligned is not None
    assert find(first.work, memory.NAME) is not None
    content = Karaoke.from_json(env.store.read(aligned.uri))  # which holds all its promises
    assert languages_tried(env, first.work)
    assert len(list(content.words())) == len(SONG.words)

    no_model(monkeypatch)
    edited = lyrics.with_text(SONG.lyrics_text + "\none line more")
    work = extend(
        first.work,
        replace(aligned, name=PARENT),
        lyrics=kept(env, edited, "edited.json"),
        from_stage="alignment",
    )
    again = env.run(alignment, ReprocessRequested(work=work, reason="reprocess")).event
    found = find(again.work, "alignment")
    assert found is not None
    after = Karaoke.from_json(env.store.read(found.uri))
    assert after.lines[: len(content.lines) - 1] == content.lines[:-1]
    placed = again.work.backends["alignment"]
    assert (placed.name, placed.model, placed.hash) == ("full", backend.model, backend.hash)
    assert languages_tried(env, again.work) == languages_tried(env, first.work)


def test_other_weights_of_the_same_name_listen_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "same.nemo"
    models.nemo_model(path, [SONG.lyrics_text] * 20, seed=1)
    env = environment(tmp_path, str(path), alignment_backend="full")
    lyrics = LyricsDocument.from_text(SONG.lyrics_text)
    work = job(env, tmp_path, language="en", lyrics=kept(env, lyrics))
    first = env.run(alignment, Separated(work=work)).event
    models.nemo_model(path, [SONG.lyrics_text] * 20, seed=2)
    no_model(monkeypatch)
    with pytest.raises(AssertionError, match="loaded"):
        env.run(alignment, ReprocessRequested(work=first.work, reason="reprocess"))


def test_what_is_heard_for_transcription_is_not_heard_again_for_alignment(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = environment(tmp_path, model)
    work = job(env, tmp_path, language="en")
    heard = env.run(transcription, Separated(work=work)).event
    assert heard.work.backends["transcription"].name == "full"
    assert heard.work.backends["transcription"].hash
    transcript = LyricsDocument.from_json(env.store.read(heard.work.lyrics.uri))
    assert all(word.confidence is not None for word in transcript.words())
    assert all(word.start_ms is not None for word in transcript.words())

    no_model(monkeypatch)
    aligned = env.run(alignment, heard).event
    assert aligned.work.backends["alignment"].name == "full"
    told = find(aligned.work, memory.NAME)
    assert told is not None
    env.store.fetch(told.uri, tmp_path / "heard.npz")
    recalled = memory.recall(tmp_path / "heard.npz", work.artifacts[0].sha256)
    assert recalled is not None
    assert "cepstra" in recalled.arrays  # which edits of the transcript tell its language by


def test_missing_weights_wait_by_name_or_let_light_step_in(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.nemo")
    lyrics = LyricsDocument.from_text(SONG.lyrics_text)
    env = environment(tmp_path, missing, alignment_backend="full", transcription_backend="full")
    work = job(env, tmp_path, language="en", lyrics=kept(env, lyrics))
    for stage, event in (
        (alignment, Separated(work=work)),
        (transcription, Separated(work=replace(work, lyrics=None))),
    ):
        with pytest.raises(Retry, match="SPEECH_MODELS"):
            env.run(stage, event)
    env = environment(tmp_path / "auto", missing)
    work = job(env, tmp_path, language="en", lyrics=kept(env, lyrics))
    assert env.run(alignment, Separated(work=work)).event.work.backends["alignment"].name == "light"


def test_a_language_without_a_model_is_aligned_by_light(tmp_path: Path, model: str) -> None:
    env = environment(tmp_path, model, alignment_backend="full")
    lyrics = LyricsDocument.from_text(SONG.lyrics_text)
    work = job(env, tmp_path, language="sv", lyrics=kept(env, lyrics))
    assert env.run(alignment, Separated(work=work)).event.work.backends["alignment"].name == "light"
