"""Judging again: no stem is decoded twice, and nothing comes out otherwise for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from processors.alignment.aligner import Placement
from processors.alignment.document import compose
from processors.audio.decoding import decode
from processors.audio.encoding import write_flac
from processors.audio.samples import Audio
from processors.quality import listening
from processors.quality.stage import quality
from processors.quality.thresholds import Thresholds
from processors.runtime.testing import StageEnvironment
from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import LyricsDocument
from schemas.events import Aligned, Artifact, Checked, ReprocessRequested, Work
from schemas.work import extend, find
from tests import songs

SONG = songs.make("short", 3)


class Rig:
    """A song that was judged once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = StageEnvironment(folder)
        work = Work(
            job_id="job_1",
            track_id="trk_1",
            language="en",
            duration_ms=round(1000 * SONG.mix.seconds),
            artifacts=(
                self.stem("vocals", SONG.vocals),
                self.stem("minus", SONG.backing),
                self.words(0),
            ),
        )
        self.first: Checked = self.env.run(quality, Aligned(work=work)).event

    def stem(self, name: str, sound: Audio, key: str = "") -> Artifact:
        path = self.folder / f"{key or name}.flac"
        write_flac(path, sound)
        return self.env.put(name, path, "audio/flac", key=path.name)

    def words(self, late_ms: int) -> Artifact:
        """An alignment whose words stand that late."""
        lyrics = LyricsDocument.from_text(SONG.lyrics_text, language="en")
        times = iter(SONG.words)
        placed = [
            [
                Placement(word.start_ms + late_ms, word.end_ms + late_ms, 0.9, "aligned")
                for word in islice(times, len(line.words))
            ]
            for line in lyrics.lines
        ]
        content = compose(lyrics, placed, language="en", duration_ms=round(1000 * SONG.mix.seconds))
        return self.env.put(
            "alignment", content.to_json(), "application/json", key=f"{late_ms}.json"
        )

    def again(self, late_ms: int, *others: Artifact, **changes: object) -> Checked:
        """The words moved, and judged as a job that continues the first one."""
        work = extend(self.first.work, self.words(late_ms), *others, from_stage="quality")
        request = ReprocessRequested(work=replace(work, **changes))  # type: ignore[arg-type]
        event: Checked = self.env.run(quality, request).event
        return event

    def anew(self, late_ms: int) -> Checked:
        """The same where nothing was kept."""
        kept = self.first.work.artifacts
        bare = tuple(one for one in kept if one.name != listening.NAME)
        self.first = replace(self.first, work=replace(self.first.work, artifacts=bare))
        return self.again(late_ms, force=True)

    def read(self, event: Checked, name: str) -> bytes:
        artifact = find(event.work, name)
        assert artifact is not None
        return self.env.store.read(artifact.uri)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def decoded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stems that are decoded from now on."""
    names: list[str] = []

    def noted(path: Path, *, max_seconds: float) -> Audio:
        names.append(path.stem.partition("-")[2])
        return decode(path, max_seconds=max_seconds)

    monkeypatch.setattr("processors.quality.stems.decode", noted)
    return names


@pytest.mark.parametrize("late_ms", [0, 137, 1000])
def test_moved_words_are_judged_as_if_all_were_heard_anew(
    rig: Rig, decoded: list[str], late_ms: int
) -> None:
    rig.env.settings = rig.env.settings.model_copy(
        update={"quality_thresholds": Thresholds(coverage=0.9)}  # of the judgement, not of hearing
    )
    by_memory = rig.again(late_ms)
    assert (decoded, by_memory.reused) == ([], False)
    anew = rig.anew(late_ms)
    assert (decoded, anew.reused) == (["vocals", "minus"], False)
    for name in ("checked", "pitch"):
        assert rig.read(by_memory, name) == rig.read(anew, name)
    assert rig.read(by_memory, listening.NAME) == rig.read(anew, listening.NAME)
    assert Karaoke.from_json(rig.read(anew, "checked")).qc.measures


def _other_stem(rig: Rig, name: str) -> Checked:
    return rig.again(137, rig.stem(name, songs.make("short", 4).vocals, "other"))


def _cut_off(rig: Rig) -> Checked:
    whole = rig.read(rig.first, listening.NAME)
    cut = rig.env.put(listening.NAME, whole[: len(whole) // 2], key="cut.npz")
    return rig.again(137, cut)


def _damaged(rig: Rig) -> Checked:
    whole = bytearray(rig.read(rig.first, listening.NAME))
    whole[len(whole) // 3] ^= 0xFF
    return rig.again(137, rig.env.put(listening.NAME, bytes(whole), key="damaged.npz"))


def _lost(rig: Rig) -> Checked:
    artifact = find(rig.first.work, listening.NAME)
    assert artifact is not None
    rig.env.store.delete(artifact.uri)
    return rig.again(137)


def _other_limit(rig: Rig) -> Checked:
    rig.env.settings = rig.env.settings.model_copy(update={"max_song_seconds": 300})
    return rig.again(137)


@pytest.mark.parametrize(
    "turn",
    [
        lambda rig: rig.again(137, force=True),
        lambda rig: _other_stem(rig, "vocals"),
        lambda rig: _other_stem(rig, "minus"),
        _other_limit,
        _cut_off,
        _damaged,
        _lost,
    ],
    ids=["force", "vocals", "minus", "settings", "cut off", "damaged", "lost"],
)
def test_what_was_kept_of_something_else_or_is_not_whole_is_of_no_use(
    rig: Rig, decoded: list[str], turn: Callable[[Rig], Checked]
) -> None:
    event = turn(rig)
    assert decoded == ["vocals", "minus"]
    assert find(event.work, listening.NAME) != find(rig.first.work, listening.NAME)


def test_another_revision_hears_anew(
    rig: Rig, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_REVISION", "next")
    rig.again(137)
    assert decoded == ["vocals", "minus"]


def test_what_is_kept_is_small(rig: Rig) -> None:
    kept = find(rig.first.work, listening.NAME)
    assert kept is not None
    assert kept.bytes / (SONG.mix.seconds / 60) <= 100_000
