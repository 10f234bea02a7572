"""The lead voice apart from those that back it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processors.audio.decoding import decode
from processors.audio.samples import Audio, Samples
from processors.runtime.testing import StageEnvironment
from processors.separation.lead import CentreSplitter
from processors.separation.stage import separation
from schemas.events import ImportRequested, Work
from tests import songs

RATE = 44_100


def _ignore(_: float) -> None: ...


def sung(pitch_hz: float, seconds: float, seed: int) -> Samples:
    """A tone with harmonics and vibrato."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    chance = np.random.default_rng(seed)
    wobble = 0.01 * np.sin(2 * np.pi * chance.uniform(4, 7) * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + wobble)) / RATE
    tone = sum(np.sin(number * phase) / number for number in range(1, 8))
    return np.asarray(0.1 * tone, dtype=np.float32)


def level_db(sound: Samples, reference: Samples) -> float:
    return float(10 * np.log10(np.sum(sound**2) / np.sum(reference**2)))


def test_what_is_sung_in_the_middle_is_the_lead_and_the_sides_back_it() -> None:
    lead, left, right = sung(220, 5, 1), sung(277, 5, 2), sung(370, 5, 3)
    truth = np.stack([lead, lead])
    backing = np.stack([left, right])
    told: list[float] = []
    found = CentreSplitter().separate(Audio(truth + backing, RATE), told.append)
    before = level_db(backing, truth)
    after = level_db(found.vocals.samples - truth, truth)
    assert after < before - 8
    np.testing.assert_allclose(
        found.vocals.samples + found.minus.samples, truth + backing, atol=1e-6
    )
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize("channels", [1, 2])
def test_a_voice_without_sides_is_all_lead(channels: int) -> None:
    voice = np.repeat(sung(220, 2, 1)[None], channels, axis=0)
    found = CentreSplitter().separate(Audio(voice, RATE), _ignore)
    assert level_db(found.minus.samples + np.float32(1e-9), voice) < -80


def test_a_voice_on_one_side_backs() -> None:
    voice = np.stack([sung(220, 2, 1), np.zeros(2 * RATE, np.float32)])
    found = CentreSplitter().separate(Audio(voice, RATE), _ignore)
    assert level_db(found.vocals.samples + np.float32(1e-9), voice) < -30


def separated(folder: Path, split: str) -> dict[str, Path]:
    """The files that the stage makes, by name."""
    song = songs.make("short", 3)
    env = StageEnvironment(folder, separation_backend="light", lead_split=split)
    work = Work(job_id="job_1", track_id="trk_1", artifacts=(env.put("source", song.path),))
    files: dict[str, Path] = {}
    for artifact in env.run(separation, ImportRequested(work=work)).event.work.artifacts:
        files[artifact.name] = folder / f"{artifact.name}.flac"
        env.store.fetch(artifact.uri, files[artifact.name])
    return files


def test_the_stage_keeps_both_as_stems_when_it_is_told_to(tmp_path: Path) -> None:
    whole = separated(tmp_path / "whole", "")
    split = separated(tmp_path / "split", "centre")
    assert split.keys() - whole.keys() == {"lead", "backing"}
    lead, backing, vocals = (
        decode(split[name], max_seconds=600).samples for name in ("lead", "backing", "vocals")
    )
    # Three files of 16 bits: each is rounded by half a step.
    np.testing.assert_allclose(lead + backing, vocals, atol=1.6 * 2**-15)
