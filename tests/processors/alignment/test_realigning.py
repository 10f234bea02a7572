"""Aligning again after an edit: nothing is listened to twice, and only what changed moves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.alignment import memory
from processors.alignment.earlier import PARENT
from processors.alignment.light import LightAligner
from processors.alignment.stage import alignment
from processors.audio.encoding import write_flac
from processors.runtime.testing import StageEnvironment
from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import LyricsDocument
from schemas.events import Aligned, Artifact, ReprocessRequested, Separated, Work
from schemas.work import extend, find
from tests import songs

pytestmark = pytest.mark.slow


def stem(env: StageEnvironment, folder: Path, song: songs.Song, key: str) -> Artifact:
    path = folder / f"{key}.flac"
    write_flac(path, song.vocals)
    return env.put("vocals", path, "audio/flac", key=f"{key}.flac")


class Rig:
    """A song that was aligned once."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.env = StageEnvironment(folder, **settings)
        self.song = songs.make("short", seed=3)
        self.lyrics = LyricsDocument.from_text(self.song.lyrics_text, language="en")
        work = Work(
            job_id="job_1",
            track_id="trk_1",
            language="en",
            duration_ms=round(1000 * self.song.vocals.seconds),
            artifacts=(stem(self.env, folder, self.song, "vocals"),),
            lyrics=self._stored(self.lyrics),
        )
        self.first: Aligned = self.env.run(alignment, Separated(work=work)).event

    def _stored(self, lyrics: LyricsDocument) -> Artifact:
        key = f"lyrics/{abs(hash(lyrics.to_json()))}.json"
        return self.env.put("lyrics", lyrics.to_json(), "application/json", key=key)

    def again(self, lyrics: LyricsDocument, **changes: Any) -> Aligned:
        """The work that the gateway makes of an edit, aligned."""
        parent = find(self.first.work, "alignment")
        assert parent is not None
        work = extend(
            self.first.work,
            replace(parent, name=PARENT),
            lyrics=self._stored(lyrics),
            from_stage="alignment",
            **changes,
        )
        event: Aligned = self.env.run(
            alignment, ReprocessRequested(work=work, reason="reprocess")
        ).event
        return event

    def content(self, event: Aligned) -> Karaoke:
        artifact = find(event.work, "alignment")
        assert artifact is not None
        return Karaoke.from_json(self.env.store.read(artifact.uri))


def _refuse(*_: object) -> None:
    raise AssertionError("the song was listened to again")


def test_an_edit_moves_only_what_is_near_and_listens_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, alignment_backend="light")
    monkeypatch.setattr(LightAligner, "hear", _refuse)
    vocals = find(rig.first.work, "vocals")
    assert vocals is not None
    rig.env.store.delete(vocals.uri)  # they are not even asked for
    before = rig.content(rig.first)
    texts = [line.text for line in rig.lyrics.lines]
    texts[-1] += " again"
    event = rig.again(rig.lyrics.with_text("\n".join(texts)))
    after = rig.content(event)
    assert after.lines[:-2] == before.lines[:-2]
    truth = rig.song.words
    for word, true in zip(after.words(), truth, strict=False):
        assert word.start_ms is not None
        assert abs(word.start_ms - true.start_ms) < 1000
    assert find(event.work, memory.NAME) == find(rig.first.work, memory.NAME)
    assert find(event.work, PARENT) is None


def test_lyrics_that_did_not_change_are_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, alignment_backend="light")
    monkeypatch.setattr(LightAligner, "hear", _refuse)
    assert rig.content(rig.again(rig.lyrics)) == rig.content(rig.first)


def test_other_vocals_or_force_are_listened_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, alignment_backend="light")
    monkeypatch.setattr(LightAligner, "hear", _refuse)
    with pytest.raises(AssertionError, match="again"):
        rig.again(rig.lyrics, force=True)
    other = stem(rig.env, tmp_path, songs.make("short", seed=4), "other")
    rig.first = replace(rig.first, work=extend(rig.first.work, other))
    with pytest.raises(AssertionError, match="again"):
        rig.again(rig.lyrics)


def test_what_is_no_memory_of_this_stem_is_none_at_all(tmp_path: Path) -> None:
    origin = memory.Origin("0" * 64, "light", "m", "")
    path = tmp_path / "heard.npz"
    memory.keep(path, origin, {"rms": np.ones(3, np.float32)})
    found = memory.recall(path, origin.vocals)
    assert found is not None
    assert found.origin == origin
    assert set(found.arrays) == {"rms"}
    assert memory.recall(path, "1" * 64) is None
    path.write_bytes(path.read_bytes()[:60])
    assert memory.recall(path, origin.vocals) is None
    path.write_bytes(b"no archive")
    assert memory.recall(path, origin.vocals) is None
    np.savez(path, rms=np.ones(3))
    assert memory.recall(path, origin.vocals) is None
