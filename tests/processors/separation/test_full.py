"""The full separation, with tiny models that were saved and are loaded as real ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.audio.samples import Audio
from processors.choices import ModelUnavailable
from processors.gpu import Device
from processors.runtime import Retry
from processors.runtime.testing import StageEnvironment
from processors.separation.full import DemucsSeparator
from processors.separation.stage import separation
from schemas.events import ImportRequested, Work
from tests import models, songs

models.require("torch", "demucs")
pytestmark = [
    pytest.mark.models,
    # Of torch and demucs themselves, about their own future.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def _cpu() -> Device:
    return Device("cpu")


def _ignore(_: float) -> None: ...


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.demucs_repo(tmp_path_factory.mktemp("demucs"))


def _loaded(repo: Path, model: str = "tiny", **options: Any) -> DemucsSeparator:
    return DemucsSeparator(model, repo=repo, device=_cpu, **options)


def _by_demucs(repo: Path, mix: Audio, model: str = "tiny") -> Any:
    """The voice as Demucs' own separator gives it."""
    import torch
    from demucs.api import Separator

    separator = Separator(model, repo=repo, device="cpu", shifts=0)
    _, stems = separator.separate_tensor(torch.from_numpy(mix.samples), mix.rate)
    return stems["vocals"].numpy()


def _level_db(difference: Any, reference: Any) -> float:
    return float(10 * np.log10(np.sum(difference**2) / np.sum(reference**2)))


def _without_dc() -> Audio:
    """Demucs takes the song's DC off first, so that the padding at its ends differs by a step."""
    mix = songs.make("short", 3).mix
    return Audio(mix.samples - mix.samples.mean(), mix.rate)


def test_the_voice_is_the_one_that_demucs_itself_finds(repo: Path) -> None:
    mix = _without_dc()
    ours = _loaded(repo).separate(mix, _ignore).vocals.samples
    theirs = _by_demucs(repo, mix)
    assert ours.shape == theirs.shape
    assert _level_db(ours - theirs, theirs) < -100


def test_a_bag_counts_only_the_models_that_have_a_say_in_the_voice(tmp_path: Path) -> None:
    one_each = [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]]
    repo = models.demucs_repo(tmp_path, "tuned", models=4, weights=one_each)
    mix = _without_dc()
    separator = _loaded(repo, "tuned")
    assert len(separator._parts) == 1
    theirs = _by_demucs(repo, mix, "tuned")
    ours = separator.separate(mix, _ignore).vocals.samples
    assert _level_db(ours - theirs, theirs) < -100


def test_the_stems_add_up_to_the_mix_at_any_rate_and_in_mono(repo: Path) -> None:
    stereo = songs.make("short", 3).mix
    mono = Audio(stereo.samples[:1, :30_001].copy(), 32_000)
    told: list[float] = []
    stems = _loaded(repo).separate(mono, told.append)
    assert stems.vocals.samples.shape == mono.samples.shape
    np.testing.assert_allclose(stems.vocals.samples + stems.minus.samples, mono.samples, atol=1e-6)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_two_runs_give_the_same_samples(repo: Path) -> None:
    mix = songs.make("short", 3).mix
    first = _loaded(repo).separate(mix, _ignore).vocals.samples
    again = _loaded(repo).separate(mix, _ignore).vocals.samples
    np.testing.assert_array_equal(first, again)


def test_the_hash_is_of_the_weights(repo: Path, tmp_path: Path) -> None:
    same = models.demucs_repo(tmp_path / "same")
    other = models.demucs_repo(tmp_path / "other", seed=7)
    assert _loaded(repo).hash == _loaded(same).hash != _loaded(other).hash


def test_short_memory_shortens_the_window_and_then_falls_to_the_cpu(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    mix = songs.make("short", 3).mix
    separator = _loaded(repo)
    separator.device = "cuda"
    separator._window_s = 4.0
    at_once = DemucsSeparator._at_once
    seen: list[tuple[str, float]] = []

    def short_of_memory(self: DemucsSeparator, heard: Any, progress: Any) -> Any:
        seen.append((self.device, self._window_s))
        if self.device == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return at_once(self, heard, progress)

    monkeypatch.setattr(DemucsSeparator, "_at_once", short_of_memory)
    stems = separator.separate(mix, _ignore)
    assert seen == [("cuda", 4.0), ("cuda", 2.0), ("cpu", 2.0)]
    assert separator.device == "cpu"
    assert "CPU" in separator.fallback
    assert np.abs(stems.vocals.samples).max() > 0


def test_a_shorter_window_than_the_model_was_trained_with_works(tmp_path: Path) -> None:
    separator = _loaded(models.demucs_repo(tmp_path, window_s=4))
    separator._give_way()
    assert (separator._window_s, separator.device) == (2.0, "cpu")
    assert "2.0 s" in separator.fallback
    stems = separator.separate(songs.make("short", 3).mix, _ignore)
    assert np.abs(stems.vocals.samples).max() > 0


@pytest.mark.parametrize(
    ("model", "folder", "says"),
    [
        ("absent", ".", "'absent' cannot be loaded from the folder"),
        ("tiny", "nowhere", "does not exist; set DEMUCS_REPO"),
        ("broken", ".", "'broken' cannot be loaded"),
        ("mute", ".", "no vocals; choose another in DEMUCS_MODEL"),
    ],
)
def test_a_model_that_cannot_be_had_is_named_with_its_setting(
    tmp_path: Path, model: str, folder: str, says: str
) -> None:
    repo = models.demucs_repo(tmp_path, "mute", sources=("drums", "bass", "other", "piano"))
    (repo / "bad.th").write_bytes(b"no model at all")
    (repo / "broken.yaml").write_text("models: [bad]")
    with pytest.raises(ModelUnavailable, match="separation: ") as refusal:
        _loaded(repo / folder, model)
    assert says in str(refusal.value)


def test_the_stage_separates_with_the_model_of_the_settings(repo: Path, tmp_path: Path) -> None:
    env = StageEnvironment(
        tmp_path, separation_backend="full", demucs_model="tiny", demucs_repo=repo, use_gpu=False
    )
    song = songs.make("short", 3)
    work = Work(job_id="job_1", track_id="trk_1", artifacts=(env.put("source", song.path),))
    separated = env.run(separation, ImportRequested(work=work)).event
    backend = separated.work.backends["separation"]
    assert (backend.name, backend.model, backend.device) == ("full", "demucs tiny", "cpu")
    assert backend.hash == _loaded(repo).hash
    again = env.run(separation, ImportRequested(work=work)).event
    assert again.reused


def test_full_waits_for_a_missing_model_and_auto_goes_on_with_light(tmp_path: Path) -> None:
    song = songs.make("short", 3)
    models_folder = tmp_path / "none"
    models_folder.mkdir()
    for choice in ("full", "auto"):
        env = StageEnvironment(
            tmp_path / choice, separation_backend=choice, demucs_repo=models_folder, use_gpu=False
        )
        work = Work(job_id="job_1", track_id="trk_1", artifacts=(env.put("source", song.path),))
        if choice == "full":
            with pytest.raises(Retry) as refusal:
                env.run(separation, ImportRequested(work=work))
            assert refusal.value.code == "model_unavailable"
            assert "DEMUCS_REPO" in refusal.value.message
        else:
            separated = env.run(separation, ImportRequested(work=work)).event
            assert separated.work.backends["separation"].name == "light"


def _gpu(mib: int) -> Any:
    return lambda: Device("cuda", mib)


def test_a_small_gpu_gets_a_shorter_window_or_none_before_anything_runs(tmp_path: Path) -> None:
    repo = models.demucs_repo(tmp_path, window_s=8)
    roomy = DemucsSeparator("tiny", repo=repo, device=_gpu(80_000))
    assert (roomy.device, roomy.fallback) == ("cuda", "")
    small = DemucsSeparator("tiny", repo=repo, device=_gpu(roomy.gpu_mib - 1))
    assert small.device == "cuda"
    assert 0 < small.gpu_mib < roomy.gpu_mib
    assert "windows of 4.0 s" in small.fallback
    tiny = DemucsSeparator("tiny", repo=repo, device=_gpu(100))
    assert (tiny.device, tiny.gpu_mib) == ("cpu", 0)
    assert "CPU" in tiny.fallback


def test_a_memory_limit_shortens_the_window_and_one_that_is_too_low_is_refused(
    tmp_path: Path,
) -> None:
    repo = models.demucs_repo(tmp_path, window_s=8)
    free, limited = _loaded(repo), _loaded(repo, memory_mib=1_800)
    assert limited._window_s < free._window_s == 8
    assert limited.model != free.model  # the sound is another
    assert np.abs(limited.separate(songs.make("short", 3).mix, _ignore).vocals.samples).max() > 0
    with pytest.raises(ModelUnavailable, match=r"give SEPARATION_MEMORY_LIMIT at least \d+"):
        _loaded(repo, memory_mib=600)


def test_the_lead_is_told_from_the_backing_by_a_second_model(repo: Path, tmp_path: Path) -> None:
    both = models.demucs_repo(repo, "voices", sources=("lead", "backing"), seed=3)
    env = StageEnvironment(
        tmp_path,
        separation_backend="full",
        demucs_model="tiny",
        demucs_repo=both,
        lead_split="voices",
        use_gpu=False,
    )
    song = songs.make("short", 3)
    work = Work(job_id="job_1", track_id="trk_1", artifacts=(env.put("source", song.path),))
    made = env.run(separation, ImportRequested(work=work)).event.work.artifacts
    assert {"vocals", "minus", "mix", "lead", "backing"} <= {artifact.name for artifact in made}


def test_a_split_by_a_model_that_is_not_there_waits_by_name(repo: Path, tmp_path: Path) -> None:
    env = StageEnvironment(tmp_path, demucs_repo=repo, lead_split="absent", use_gpu=False)
    song = songs.make("short", 3)
    work = Work(job_id="job_1", track_id="trk_1", artifacts=(env.put("source", song.path),))
    with pytest.raises(Retry, match="'absent' cannot be loaded"):
        env.run(separation, ImportRequested(work=work))
