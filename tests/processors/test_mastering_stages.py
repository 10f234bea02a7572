"""The mastering stages, each alone, then one after the other: no log, no child processes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from processors.analysis.stage import album_lufs, analysis
from processors.audio.tags import read_tags, write_tags
from processors.decision.stage import decision
from processors.rendering.stage import rendering
from processors.runtime import Reject, Stage, find
from processors.runtime.testing import Ran, StageEnvironment
from schemas.documents.analysis import Analysis
from schemas.documents.checks import Checks
from schemas.documents.decision import Change, Decision, Overrides
from schemas.documents.report import Report
from schemas.events import (
    Analyzed,
    Artifact,
    Decided,
    Event,
    Mastered,
    Mastering,
    MasteringRequested,
    Work,
)
from schemas.work import EVERY_STAGE, MASTERING_STAGES, SONG_SECONDS
from schemas.work import find as artifact_of
from tests import programmes

pytestmark = pytest.mark.slow

SECONDS = 4.0


def work(**fields: Any) -> Work:
    fields = {"from_stage": "analysis", "language": "en"} | fields
    return Work(job_id="mas_1", track_id="mst_1", **fields)


def song(
    folder: Path, seed: int = 1, *, gain_db: float = 0.0, suffix: str = "wav", **more: Any
) -> Path:
    made = programmes.make(seed, genre="rock", seconds=SECONDS, rms_dbfs=-20, **more)
    path = folder / f"song-{seed}-{gain_db:g}.{suffix}"
    samples = made.audio.samples.T * np.float32(10 ** (gain_db / 20))
    soundfile.write(path, samples, made.audio.rate, subtype="PCM_24")
    return path


def through(env: StageEnvironment, request: MasteringRequested) -> dict[str, Ran]:
    """All three stages, as the topics would join them."""
    ran: dict[str, Ran] = {}
    event: Event = request
    for name in MASTERING_STAGES[MASTERING_STAGES.index(request.work.from_stage) :]:
        ran[name] = env.run(find(name), event)
        event = ran[name].event
    return ran


def content(env: StageEnvironment, made: Work, name: str) -> bytes:
    artifact = artifact_of(made, name)
    assert artifact is not None, [each.name for each in made.artifacts]
    return env.store.read(artifact.uri)


def saved(env: StageEnvironment, made: Work, name: str, folder: Path) -> Path:
    artifact = artifact_of(made, name)
    assert artifact is not None
    path = folder / Path(artifact.uri).name
    path.write_bytes(env.store.read(artifact.uri))
    return path


def takers(event: Event) -> list[str]:
    stages = [find(name) for name in EVERY_STAGE]
    return [s.name for s in stages if isinstance(event, s.consumes) and s.accepts(event)]


def test_every_event_is_taken_by_exactly_one_stage() -> None:
    wanted = Mastering()
    assert takers(MasteringRequested(work=work(), mastering=wanted)) == ["analysis"]
    assert takers(Analyzed(work=work(), mastering=wanted)) == ["decision"]
    assert takers(Decided(work=work(), mastering=wanted)) == ["rendering"]
    assert takers(Mastered(work=work(), mastering=wanted)) == []


@pytest.mark.parametrize("name", MASTERING_STAGES)
def test_a_request_begins_at_the_stage_that_it_names(name: str) -> None:
    event = MasteringRequested(work=work(from_stage=name), mastering=Mastering(), reason="retry")
    assert takers(event) == [name]


@pytest.mark.parametrize(
    ("stage", "event"),
    [
        (analysis, MasteringRequested(work=work(), mastering=Mastering())),
        (decision, Analyzed(work=work(), mastering=Mastering())),
        (rendering, Decided(work=work(), mastering=Mastering())),
    ],
)
def test_a_job_without_its_artifact_is_refused_by_name(
    stage: Stage, event: Event, tmp_path: Path
) -> None:
    with pytest.raises(Reject) as refusal:
        StageEnvironment(tmp_path).run(stage, event)
    assert refusal.value.code == "artifact_missing"


def test_a_song_goes_through_every_stage(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    source = song(tmp_path)
    write_tags(source, {"title": "Tide", "isrc": "QZES72612345"})
    request = MasteringRequested(
        work=work(artifacts=(env.put("source", source),)), mastering=Mastering(lufs=-16.0)
    )
    ran = through(env, request)
    made = ran["rendering"].event
    assert {artifact.name for artifact in made.work.artifacts} == {
        "source", "analysis-before", "decision", "master", "preview", "analysis-after", "report",
        "checks", "words", "compare-before", "compare-after",
    }  # fmt: skip
    assert made.work.duration_ms == round(1000 * SECONDS)
    assert set(made.work.backends) == set(MASTERING_STAGES)
    before = Analysis.from_json(content(env, made.work, "analysis-before"))
    after = Analysis.from_json(content(env, made.work, "analysis-after"))
    assert ran["analysis"].event.lufs == before.loudness.integrated_lufs
    assert made.lufs == after.loudness.integrated_lufs == pytest.approx(-16.0, abs=0.1)
    assert made.true_peak is not None
    assert made.true_peak == after.peaks.true_peak_dbtp
    assert made.true_peak <= -0.8

    master = saved(env, made.work, "master", tmp_path)
    facts, given = soundfile.info(master), soundfile.info(source)
    assert (facts.frames, facts.samplerate, facts.channels, facts.subtype) == (
        given.frames,
        given.samplerate,
        given.channels,
        given.subtype,
    )
    assert read_tags(master) == {"title": "Tide", "isrc": "QZES72612345"}

    checks = Checks.from_json(content(env, made.work, "checks"))
    assert checks.length_kept
    assert checks.tags == ("isrc", "title")
    assert checks.preview.frames == given.frames
    assert checks.preview.under_full_scale
    assert checks.preview.lufs == pytest.approx(made.lufs, abs=0.3)
    assert b"QZES72612345" in content(env, made.work, "preview")
    report = Report.from_json(content(env, made.work, "report"))
    words = content(env, made.work, "words").decode()
    assert report.summary.en in words
    assert all(line in words for line in report.explanation.en)
    assert made.shortfalls == len(report.misses) + len(report.compromises)
    _are_equally_loud(env, made.work, checks, tmp_path)
    shares = [sign.share for sign in ran["rendering"].progress]
    assert shares == sorted(shares)
    assert ran["analysis"].length_s == pytest.approx(SECONDS)


def _are_equally_loud(env: StageEnvironment, made: Work, checks: Checks, folder: Path) -> None:
    assert checks.pair.lufs is not None
    assert min(checks.pair.before_gain_db, checks.pair.after_gain_db) <= 0
    assert max(checks.pair.before_gain_db, checks.pair.after_gain_db) == 0
    levels = []
    for name in ("compare-before", "compare-after"):
        samples, rate = soundfile.read(saved(env, made, name, folder), always_2d=True)
        heard = Artifact(name="source", uri="")
        path = folder / f"{name}.wav"
        soundfile.write(path, samples, rate, subtype="FLOAT")
        heard = env.put("source", path, key=f"test/{name}.wav")
        event = MasteringRequested(work=work(artifacts=(heard,)), mastering=Mastering())
        levels.append(env.run(analysis, event).event.lufs)
    assert levels[0] == pytest.approx(levels[1], abs=0.3)


def test_the_same_work_is_done_once_and_makes_the_same_bytes(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    source = env.put("source", song(tmp_path))
    request = MasteringRequested(work=work(artifacts=(source,)), mastering=Mastering())
    first = through(env, request)
    again = through(env, request)
    assert all(ran.event.reused for ran in again.values())
    assert again["rendering"].event.work == first["rendering"].event.work
    forced = replace(request, work=replace(request.work, force=True))
    third = through(env, forced)["rendering"].event
    assert not third.reused
    for name in ("master", "preview", "decision", "report"):
        one, other = (artifact_of(w, name) for w in (first["rendering"].event.work, third.work))
        assert one is not None
        assert other is not None
        assert one.sha256 == other.sha256, name


def test_a_reference_is_measured_and_followed(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    reference = song(tmp_path, 2, gain_db=6.0)
    artifacts = (env.put("source", song(tmp_path)), env.put("reference", reference))
    wanted = Mastering(reference_amount=0.5, reference_without=("width",))
    event = MasteringRequested(work=work(artifacts=artifacts), mastering=wanted)
    analyzed = env.run(analysis, event).event
    assert artifact_of(analyzed.work, "analysis-reference") is not None
    decided = env.run(decision, analyzed).event
    made = Decision.from_json(content(env, decided.work, "decision"))
    assert made.reference is not None
    assert made.reference.amount == 0.5
    assert "width" not in made.reference.parts


def test_an_album_keeps_its_songs_apart_in_level(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    loud, quiet = song(tmp_path, 1), song(tmp_path, 1, gain_db=-4.0)
    artifacts = (env.put("source.1", loud), env.put("source.2", quiet))
    wanted = Mastering(songs=2, lufs=-18.0, format="flac")
    event = MasteringRequested(work=work(artifacts=artifacts), mastering=wanted)
    made = through(env, event)["rendering"].event
    levels = [
        Analysis.from_json(
            content(env, made.work, f"analysis-after.{number}")
        ).loudness.integrated_lufs
        for number in (1, 2)
    ]
    assert levels[0] is not None
    assert levels[1] is not None
    assert levels[0] - levels[1] == pytest.approx(4.0, abs=0.2)
    assert made.lufs == pytest.approx(-18.0, abs=0.2)
    assert content(env, made.work, "master.2")[:4] == b"fLaC"
    assert made.work.duration_ms == round(2000 * SECONDS)


def test_what_a_person_changes_is_decided_and_the_rest_stays(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    request = MasteringRequested(
        work=work(artifacts=(env.put("source", song(tmp_path)),)), mastering=Mastering()
    )
    analyzed = env.run(analysis, request).event
    first = Decision.from_json(content(env, env.run(decision, analyzed).event.work, "decision"))

    def again(*changes: Change) -> Any:
        data = Overrides(changes=changes).to_json()
        key = f"overrides/{len(data)}-{changes[0].move}.json"
        document = env.put("overrides", data, "application/json", key=key)
        event = MasteringRequested(
            work=replace(analyzed.work, from_stage="decision"),
            mastering=Mastering(overrides=(document,)),
            reason="overrides",
        )
        return env.run(decision, event).event

    goal = next(move for move in first.moves if move.module == "loudness")
    second = again(Change(move=goal.id, parameters={"lufs": -20.0}))
    changed = Decision.from_json(content(env, second.work, "decision"))
    assert changed.chain.loudness is not None
    assert changed.chain.loudness.lufs == -20.0
    assert {m.id for m in changed.moves} == {m.id for m in first.moves}
    with pytest.raises(Reject) as refusal:
        again(Change(move="no-such-move", drop=True))
    assert refusal.value.code == "override_unknown_move"
    assert "no-such-move" in refusal.value.message

    nothing = again(*(Change(move=move.id, drop=True) for move in first.moves))
    rendered = env.run(rendering, nothing).event
    checks = Checks.from_json(content(env, rendered.work, "checks"))
    assert checks.null_test is not None
    assert (checks.null_test.differing, checks.null_test.samples) == (
        0,
        2 * round(SECONDS * 44_100),
    )
    assert "bit by bit" in content(env, rendered.work, "words").decode()


def test_words_are_russian_for_a_russian_report(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    request = MasteringRequested(
        work=work(artifacts=(env.put("source", song(tmp_path)),), language="ru"),
        mastering=Mastering(preset="gentle"),
    )
    words = content(env, through(env, request)["rendering"].event.work, "words").decode()
    assert sum("а" <= letter <= "я" for letter in words.lower()) > len(words) / 2


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: path.write_bytes(b"not a sound"), "not_audio"),
        (lambda path: path.write_bytes(b""), "empty_file"),
        (lambda path: soundfile.write(path, np.zeros((44_100, 2)), 44_100), "silent"),
        (lambda path: soundfile.write(path, np.full((44_100, 2), 0.5), 44_100), "dc_only"),
        (
            lambda path: soundfile.write(
                path, np.full((44_100, 1), np.nan), 44_100, subtype="FLOAT"
            ),
            "not_finite",
        ),
        (
            lambda path: soundfile.write(
                path, np.random.default_rng(1).uniform(-0.1, 0.1, 8_820), 44_100
            ),
            "too_short",
        ),
    ],
    ids=["text", "empty", "silence", "offset", "nan", "short"],
)
def test_what_cannot_be_mastered_fails_in_words(tmp_path: Path, make: Any, code: str) -> None:
    env = StageEnvironment(tmp_path)
    path = tmp_path / "song.wav"
    make(path)
    request = MasteringRequested(
        work=work(artifacts=(env.put("source", path),)), mastering=Mastering()
    )
    with pytest.raises(Reject) as refusal:
        through(env, request)
    assert refusal.value.code == code
    assert refusal.value.message.endswith(".")
    assert str(tmp_path) not in refusal.value.message


def test_a_song_over_the_limit_is_refused_after_decoding_too(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    limited = env.settings.bus.model_copy(update={"mastering_max_seconds": 2.0})
    env.settings = env.settings.model_copy(update={"bus": limited})
    request = MasteringRequested(
        work=work(artifacts=(env.put("source", song(tmp_path)),)), mastering=Mastering()
    )
    with pytest.raises(Reject) as refusal:
        env.run(analysis, request)
    assert refusal.value.code == "too_long"


def test_a_song_longer_than_its_tenant_may_have_is_refused(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    source = env.put("source", song(tmp_path))
    job = work(artifacts=(source,), options={SONG_SECONDS: "2.0"})
    with pytest.raises(Reject) as refusal:
        env.run(analysis, MasteringRequested(work=job, mastering=Mastering()))
    assert refusal.value.code == "quota_song_length"


def test_a_reference_that_is_no_sound_is_named(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    artifacts = (env.put("source", song(tmp_path)), env.put("reference", b"<html>"))
    request = MasteringRequested(work=work(artifacts=artifacts), mastering=Mastering())
    with pytest.raises(Reject) as refusal:
        env.run(analysis, request)
    assert refusal.value.message.startswith("The reference: ")


def test_the_loudness_of_an_album_is_the_mean_power_of_its_songs(tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path)
    artifacts = (env.put("source.1", song(tmp_path)), env.put("source.2", song(tmp_path, 2)))
    event = MasteringRequested(work=work(artifacts=artifacts), mastering=Mastering(songs=2))
    made = env.run(analysis, event).event
    each = [
        Analysis.from_json(content(env, made.work, f"analysis-before.{number}"))
        for number in (1, 2)
    ]
    levels = [one.loudness.integrated_lufs or 0.0 for one in each]
    power = sum(10 ** (level / 10) for level in levels) / 2
    assert made.lufs == pytest.approx(10 * np.log10(power))
    assert album_lufs([]) is None
    assert json.loads(each[0].to_json())["schema"] == "analysis/1"
