"""The same song with the same settings gives the same bytes; another model is told of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from processors.alignment.stage import alignment
from processors.publishing.stage import publishing
from processors.quality.stage import quality
from processors.runtime.testing import StageEnvironment
from processors.separation.stage import separation
from schemas.documents.changes import Changes
from schemas.documents.lyrics import LyricsDocument
from schemas.events import Checked, ImportRequested, Published, Work
from schemas.work import PREVIOUS, extend, find
from tests import songs

pytestmark = pytest.mark.slow

SONG = songs.make("short", 3)


def published(folder: Path) -> tuple[StageEnvironment, Published]:
    """The song through every stage, in a store of its own."""
    env = StageEnvironment(folder, separation_backend="light", alignment_backend="light")
    lyrics = LyricsDocument.from_text(SONG.lyrics_text, language=SONG.language)
    work = Work(
        job_id="job_1",
        track_id="trk_1",
        artifacts=(env.put("source", SONG.path),),
        lyrics=env.put("lyrics", lyrics.to_json(), "application/json"),
        language=SONG.language,
    )
    event = env.run(separation, ImportRequested(work=work)).event
    for stage in (alignment, quality, publishing):
        event = env.run(stage, event).event
    return env, event


def test_two_stores_hold_the_same_stems_and_karaoke(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        _, event = published(tmp_path / name)
        digests.append({artifact.name: artifact.sha256 for artifact in event.work.artifacts})
        assert not any(artifact.sha256 == "" for artifact in event.work.artifacts)
    for name in ("vocals", "minus", "mix", "alignment", "evidence", "checked", "pitch", "karaoke"):
        assert digests[0][name] == digests[1][name], name


def test_a_newer_model_leaves_a_report_of_what_it_changed(tmp_path: Path) -> None:
    env, first = published(tmp_path)
    assert find(first.work, "changes") is None
    karaoke, checked = find(first.work, "karaoke"), find(first.work, "checked")
    assert karaoke is not None
    assert checked is not None
    newer = replace(first.work.backends["alignment"], model="pocketsphinx-99", hash="ab" * 32)
    work = extend(
        first.work,
        replace(karaoke, name=PREVIOUS),
        version=2,
        parent=1,
        backends={**first.work.backends, "alignment": newer},
    )
    second = env.run(publishing, Checked(work=work)).event
    report = find(second.work, "changes")
    assert report is not None
    assert find(second.work, PREVIOUS) is None
    changes = Changes.from_json(env.store.read(report.uri))
    assert (changes.before, changes.after) == (1, 2)
    assert [backend.step for backend in changes.backends] == ["alignment"]
    assert "pocketsphinx-99 (weights abababababab)" in changes.told[0]
    assert changes.difference.words == ()
