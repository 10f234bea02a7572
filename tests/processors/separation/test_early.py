"""Windows that are separated while the song is still on its way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.audio.encoding import write_flac
from processors.audio.samples import Audio
from processors.gpu import Device
from processors.runtime import Reject
from processors.runtime.testing import StageEnvironment
from processors.separation.full import DemucsSeparator
from processors.separation.stage import separation
from schemas.events import Artifact, ImportRequested, Separated, Work
from tests import models, songs

models.require("torch", "demucs")
pytestmark = [
    pytest.mark.models,
    # Of torch and demucs themselves, about their own future.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

MIX = songs.make("short", 3).mix
_CHUNK = 100_000  # bytes


def _ignore(_: float) -> None: ...


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.demucs_repo(tmp_path_factory.mktemp("demucs"))


def loaded(repo: Path) -> DemucsSeparator:
    return DemucsSeparator("tiny", repo=repo, device=lambda: Device("cpu"))


def window(separator: DemucsSeparator, number: int, mix: Audio) -> tuple[int, Audio]:
    span = separator.window_ahead(number, mix.rate)
    assert span is not None
    return span[0], Audio(mix.samples[:, slice(*span)], mix.rate)


class Slow:
    """A store whose download stops until a window was separated."""

    def __init__(self, env: StageEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead: list[int] = []
        self.windows = 0
        self._found = threading.Event()
        fetch, find, window = env.store.fetch, DemucsSeparator.find_ahead, DemucsSeparator._window

        def slowly(
            uri: str,
            target: Path,
            *,
            sha256: str | None = None,
            seen: Callable[[bytes], None] | None = None,
        ) -> str:
            if seen is None:
                return fetch(uri, target, sha256=sha256)
            data = env.store.read(uri)
            for at in range(0, len(data), _CHUNK):
                seen(data[at : at + _CHUNK])
            assert self._found.wait(120), "nothing was separated ahead"
            return fetch(uri, target, sha256=sha256)

        def finding(separator: DemucsSeparator, start: int, mix: Audio) -> None:
            find(separator, start, mix)
            self.ahead.append(start)
            if len(self.ahead) == 3:
                self._found.set()

        def counted(separator: DemucsSeparator, *arguments: Any) -> Any:
            self.windows += 1
            return window(separator, *arguments)

        monkeypatch.setattr(env.store, "fetch", slowly)
        monkeypatch.setattr(DemucsSeparator, "find_ahead", finding)
        monkeypatch.setattr(DemucsSeparator, "_window", counted)


def separated(env: StageEnvironment, song: Artifact) -> Separated:
    work = Work(job_id="job_1", track_id="trk_1", artifacts=(song,))
    event = env.run(separation, ImportRequested(work=work)).event
    assert isinstance(event, Separated)
    return event


def stems(event: Separated) -> dict[str, str]:
    return {artifact.name: artifact.sha256 for artifact in event.work.artifacts}


def environment(folder: Path, repo: Path) -> StageEnvironment:
    return StageEnvironment(
        folder, separation_backend="full", demucs_model="tiny", demucs_repo=repo, use_gpu=False
    )


def song_file(folder: Path) -> Path:
    path = folder / "song.flac"
    write_flac(path, MIX)
    return path


def test_no_window_is_separated_twice_and_the_stems_are_the_same(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = song_file(tmp_path)
    usual = environment(tmp_path / "usual", repo)
    expected = separated(usual, usual.put("source", path))
    env = environment(tmp_path / "slow", repo)
    song = env.put("source", path)
    slow = Slow(env, monkeypatch)
    found = separated(env, song)
    assert stems(found) == stems(expected)
    assert len(slow.ahead) >= 3
    length, stride = 44_100, 33_075  # of the tiny model: 1 s, three quarters of it
    assert slow.ahead[:3] == [0, stride, 2 * stride]
    assert slow.windows == -(-MIX.frames // stride)
    assert length < MIX.frames


def test_what_was_found_of_damaged_bytes_is_published_nowhere(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = environment(tmp_path, repo)
    song = env.put("source", song_file(tmp_path))
    promised = replace(song, sha256="0" * 64)
    slow = Slow(env, monkeypatch)
    with pytest.raises(Reject) as refusal:
        separated(env, promised)
    assert refusal.value.code == "checksum_mismatch"
    assert slow.ahead
    assert not list(env.store.keys("results/separation"))


def test_windows_of_another_song_count_for_nothing(repo: Path) -> None:
    expected = loaded(repo).separate(MIX, _ignore).vocals.samples
    separator = loaded(repo)
    other = Audio(MIX.samples[:, ::-1].copy(), MIX.rate)
    separator.find_ahead(*window(separator, 0, other))
    separator.find_ahead(*window(separator, 1, MIX))
    np.testing.assert_array_equal(separator.separate(MIX, _ignore).vocals.samples, expected)


def test_nothing_is_kept_from_one_song_to_the_next(repo: Path) -> None:
    separator = loaded(repo)
    separator.find_ahead(*window(separator, 0, MIX))
    separator.separate(MIX, _ignore)
    assert not separator._ahead
    separator.find_ahead(*window(separator, 0, MIX))
    separator.forget_ahead()
    assert not separator._ahead


def test_other_rates_and_models_that_look_around_wait_for_the_whole_song(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    separator = loaded(repo)
    assert separator.window_ahead(0, 48_000) is None
    assert separator.window_ahead(1, 44_100) == (33_075, 77_175)
    monkeypatch.setattr("processors.separation.full._looks_around", lambda module: True)
    assert separator.window_ahead(0, 44_100) is None


def test_a_download_that_breaks_off_ends_the_work_ahead(repo: Path, tmp_path: Path) -> None:
    env = environment(tmp_path, repo)
    song = env.put("source", song_file(tmp_path))
    env.store.delete(song.uri)
    with pytest.raises(Reject, match="no longer in the store"):
        separated(env, song)
    assert not [thread for thread in threading.enumerate() if thread.name == "arriving"]
