"""The karaoke stages, each alone, then one after the other: no log, no child processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from processors.alignment.stage import alignment
from processors.audio.decoding import decode
from processors.publishing.stage import publishing
from processors.quality.stage import quality
from processors.runtime import Reject, Stage, find
from processors.runtime.testing import StageEnvironment
from processors.separation.stage import separation
from processors.transcription.recognizer import RecognizedLine, RecognizedWord
from processors.transcription.stage import to_lyrics, transcription
from schemas.documents.karaoke import Karaoke, KaraokeDocument
from schemas.documents.lyrics import LyricsDocument
from schemas.events import (
    Aligned,
    Artifact,
    Checked,
    Event,
    ImportRequested,
    ReprocessRequested,
    Separated,
    Transcribed,
    Work,
)
from schemas.work import SONG_SECONDS, STAGES
from schemas.work import find as artifact_of
from tests import songs

LYRICS = Artifact(name="lyrics", uri="local:///lyrics.json")


def work(**fields: object) -> Work:
    return replace(Work(job_id="job_1", track_id="trk_1"), **fields)  # type: ignore[arg-type]


def every_event(given: Work) -> list[Event]:
    return [
        ImportRequested(work=given),
        Separated(work=given),
        Transcribed(work=given),
        Aligned(work=given),
        Checked(work=given),
    ]


def takers(event: Event) -> list[str]:
    """The stages that take an event, in the order of the pipeline."""
    stages = [find(name) for name in STAGES]
    return [s.name for s in stages if isinstance(event, s.consumes) and s.accepts(event)]


@pytest.mark.parametrize(
    ("lyrics", "flow"),
    [
        (LYRICS, [["separation"], ["alignment"], ["alignment"], ["quality"], ["publishing"]]),
        (None, [["separation"], ["transcription"], ["alignment"], ["quality"], ["publishing"]]),
    ],
)
def test_every_event_is_taken_by_exactly_one_stage(
    lyrics: Artifact | None, flow: list[list[str]]
) -> None:
    assert [takers(event) for event in every_event(work(lyrics=lyrics))] == flow


@pytest.mark.parametrize("name", STAGES)
def test_a_reprocess_begins_at_the_stage_that_it_names_and_nowhere_else(name: str) -> None:
    assert takers(ReprocessRequested(work=work(from_stage=name))) == [name]


@pytest.mark.parametrize(
    ("stage", "event"),
    [
        (separation, ImportRequested(work=work())),
        (transcription, Separated(work=work())),
        (alignment, Separated(work=work(lyrics=LYRICS))),
        (quality, Aligned(work=work())),
        (publishing, Checked(work=work())),
    ],
)
def test_a_job_without_its_artifact_is_refused_by_name(
    stage: Stage, event: Event, tmp_path: Path
) -> None:
    with pytest.raises(Reject) as refusal:
        StageEnvironment(tmp_path).run(stage, event)
    assert refusal.value.code == "artifact_missing"


def test_a_song_goes_through_every_stage(tmp_path: Path) -> None:
    song = songs.make("short", seed=3)
    env = StageEnvironment(tmp_path)
    lyrics = LyricsDocument.from_text(song.lyrics_text, language=song.language)
    request = work(
        artifacts=(env.put("source", song.path),),
        lyrics=env.put("lyrics", lyrics.to_json(), "application/json"),
        language=song.language,
    )

    separated = env.run(separation, ImportRequested(work=request)).event
    aligned = env.run(alignment, separated).event
    checked = env.run(quality, aligned).event
    published = env.run(publishing, checked).event

    assert {artifact.name for artifact in published.work.artifacts} == {
        "source",
        "vocals",
        "minus",
        "mix",
        "heard",
        "alignment",
        "evidence",
        "listened",
        "checked",
        "pitch",
        "karaoke",
    }
    assert separated.work.duration_ms == round(1000 * song.mix.seconds)
    assert aligned.words == aligned.placed == len(song.words)

    document = artifact_of(published.work, "karaoke")
    assert document is not None
    karaoke = KaraokeDocument.from_json(env.store.read(document.uri))
    assert (karaoke.track_id, karaoke.version, karaoke.parent) == ("trk_1", 1, None)
    assert [word.text for word in karaoke.words()] == [word.text for word in song.words]
    assert karaoke.source.separation is not None
    assert karaoke.source.separation.backend == "light"
    assert karaoke.qc.score == checked.score > 0
    _stems_add_up(env, published.work, tmp_path)

    again = env.run(separation, ImportRequested(work=replace(request, track_id="trk_2"))).event
    assert again.reused
    assert again.work.artifacts == separated.work.artifacts


def _stems_add_up(env: StageEnvironment, work: Work, folder: Path) -> None:
    sound = {}
    for name in ("vocals", "minus", "mix"):
        artifact = artifact_of(work, name)
        assert artifact is not None
        env.store.fetch(artifact.uri, folder / f"{name}.flac")
        sound[name] = decode(folder / f"{name}.flac", max_seconds=60).samples
    rest = abs(sound["vocals"] + sound["minus"] - sound["mix"]).max()
    assert rest <= 2 / 32768  # each of two stems is rounded to 16 bits


def test_an_undecodable_song_is_refused_in_words(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    source = env.put("source", b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav")
    with pytest.raises(Reject) as refusal:
        env.run(separation, ImportRequested(work=work(artifacts=(source,))))
    assert refusal.value.message.endswith(".")
    assert str(tmp_path) not in refusal.value.message


def test_a_song_longer_than_the_limit_is_refused(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path, max_song_seconds=5)
    source = env.put("source", songs.make("short", seed=3).path)
    with pytest.raises(Reject) as refusal:
        env.run(separation, ImportRequested(work=work(artifacts=(source,))))
    assert refusal.value.code == "too_long"


def test_a_song_longer_than_its_tenant_may_have_is_refused(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    source = env.put("source", songs.make("short", seed=3).path)
    allowed = work(artifacts=(source,), options={SONG_SECONDS: "60.0"})
    env.run(separation, ImportRequested(work=allowed))
    shorter = replace(allowed, job_id="job_2", options={SONG_SECONDS: "5.0"})
    for job in (shorter, replace(shorter, job_id="job_3", force=True)):
        with pytest.raises(Reject) as refusal:  # also where the result is there already
            env.run(separation, ImportRequested(work=job))
        assert refusal.value.code == "quota_song_length"
        assert "may have 5 s" in refusal.value.message


def test_silence_cannot_be_aligned_and_says_so(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    song = songs.make("short", seed=3)
    lyrics = LyricsDocument.from_text("never sung")
    silent = _silence(tmp_path, song.mix.seconds)
    job = work(
        artifacts=(env.put("vocals", silent),),
        lyrics=env.put("lyrics", lyrics.to_json(), "application/json"),
    )
    with pytest.raises(Reject) as refusal:
        env.run(alignment, Separated(work=job))
    assert "no singing" in refusal.value.message


def _silence(folder: Path, seconds: float) -> Path:
    import numpy as np

    from processors.audio.encoding import write_flac
    from processors.audio.samples import Audio

    path = folder / "silence.flac"
    write_flac(path, Audio(np.zeros((1, round(44_100 * seconds)), np.float32), 44_100))
    return path


def test_what_was_heard_becomes_lyrics_with_times_that_bind_nobody() -> None:
    lines = [
        RecognizedLine(
            (RecognizedWord("hello", 100, 400, 0.9), RecognizedWord("you", 420, 700, 0.5))
        ),
        RecognizedLine((RecognizedWord("again", 2000, 2500, 0.7),)),
    ]
    lyrics = to_lyrics(lines, "en")
    assert lyrics.text == "hello you\nagain"
    assert lyrics.origin == "transcribed"
    assert [word.id for word in lyrics.words()] == ["w1", "w2", "w3"]
    assert not any(word.locked for word in lyrics.words())
    assert [word.confidence for word in lyrics.words()] == [0.9, 0.5, 0.7]
    assert lyrics.remarks == ()


@pytest.mark.parametrize(
    ("text", "asked", "language", "code"),
    [
        ("над рекой", "", "ru", "language_guessed"),
        ("over the river", "", "en", "language_guessed"),
        ("over the river", "ru", "ru", "language_mismatch"),
        ("над рекой", "en", "en", "language_mismatch"),
        ("над рекой", "bg", "bg", None),
    ],
)
def test_a_transcript_says_which_language_it_took_and_where_its_letters_disagree(
    text: str, asked: str, language: str, code: str | None
) -> None:
    words = tuple(RecognizedWord(word, 0, 1, 0.5) for word in text.split())
    lyrics = to_lyrics([RecognizedLine(words)], asked)
    assert lyrics.language == language
    assert [remark.code for remark in lyrics.remarks] == ([code] if code else [])
    edited = lyrics.with_text("quite another text")
    assert edited.remarks == ()
    assert all(word.confidence is None for word in edited.words())


def test_a_roll_back_publishes_old_content_as_a_new_version(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    content = Karaoke.model_validate(
        {
            "durationMs": 5000,
            "singers": [{"id": "s1", "name": ""}],
            "lines": [
                {
                    "id": "l1",
                    "text": "hello",
                    "startMs": 100,
                    "endMs": 900,
                    "words": [{"id": "w1", "text": "hello", "startMs": 100, "endMs": 900}],
                }
            ],
            "qc": {"score": 0.5, "flags": []},
        }
    )
    stems = [env.put(name, name.encode(), "audio/flac") for name in ("minus", "vocals", "mix")]
    checked = env.put("checked", content.to_json(), "application/json")
    request = work(artifacts=(*stems, checked), from_stage="publishing", version=4, parent=2)
    published = env.run(publishing, ReprocessRequested(work=request, reason="rollback")).event
    document = artifact_of(published.work, "karaoke")
    assert document is not None
    karaoke = KaraokeDocument.from_json(env.store.read(document.uri))
    assert (karaoke.version, karaoke.parent, karaoke.lines) == (4, 2, content.lines)
    assert published.score == 0.5
