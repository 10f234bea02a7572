"""A song in the store becomes a clip, and goes on as karaoke or a master."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile

from processors.clip.stage import clip
from processors.runtime import Reject
from processors.runtime.testing import StageEnvironment
from schemas.documents.lyrics import LyricsDocument
from schemas.events import ClipMade, Generated, Generation, ImportRequested, Song, Work
from schemas.work import find


def generated(stage: StageEnvironment, folder: Path, chain: str = "") -> Generated:
    """Two seconds of a tone with words."""
    times = np.arange(2 * 44_100) / 44_100
    soundfile.write(folder / "song.wav", 0.3 * np.sin(2 * np.pi * 220 * times), 44_100)
    work = Work(
        job_id="job_1",
        track_id="clp_1",
        from_stage="submission",
        title="Огни 100% 'порта': [x]",
        language="en",
        artifacts=(
            stage.put("song-1", folder / "song.wav", "audio/wav"),
            stage.put(
                "lyrics-1", b"[Verse 1]\nHarbour lights\n\n(Guitar solo)\nshine", "text/plain"
            ),
        ),
    )
    wanted = Generation(channel_id="c", user_id="", chain=chain)
    return Generated(work=work, generation=wanted, task_id="t", songs=(Song(song_id="s"),))


def test_a_clip_with_waveform_and_title(tmp_path: Path) -> None:
    stage = StageEnvironment(tmp_path)
    made = stage.run(clip, generated(stage, tmp_path)).event
    assert isinstance(made, ClipMade)
    assert (made.chained_job_id, made.work.duration_ms) == ("", 2000)
    video = find(made.work, "clip")
    assert video is not None
    assert video.media_type == "video/mp4"
    stage.store.fetch(video.uri, tmp_path / "clip.mp4", sha256=video.sha256)
    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(tmp_path / "clip.mp4")],
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    assert "1280x720" in said
    assert "Audio: aac" in said
    assert "Duration: 00:00:02" in said


def test_karaoke_gets_the_words_without_directions_and_is_asked_for_once(tmp_path: Path) -> None:
    stage = StageEnvironment(tmp_path)
    event = generated(stage, tmp_path, "karaoke")
    made, asked = stage.run(clip, event).events
    again, asked_again = stage.run(clip, event).events
    assert isinstance(made, ClipMade)
    assert isinstance(again, ClipMade)
    assert isinstance(asked, ImportRequested)
    assert asked == asked_again
    assert again.reused
    assert made.chained_job_id == asked.work.job_id
    assert asked.work.lyrics is not None
    lyrics = LyricsDocument.from_json(stage.store.read(asked.work.lyrics.uri))
    assert [line.text.strip() for line in lyrics.lines] == ["Harbour lights", "shine"]
    source = find(asked.work, "source")
    assert source is not None
    assert source.sha256 == event.work.artifacts[0].sha256


def test_sound_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    stage = StageEnvironment(tmp_path)
    event = generated(stage, tmp_path)
    page = stage.put("song-1", b"<html>gone</html>", "audio/mpeg", key="uploads/default/page")
    with pytest.raises(Reject, match="not_audio"):
        stage.run(clip, replace(event, work=replace(event.work, artifacts=(page,))))
