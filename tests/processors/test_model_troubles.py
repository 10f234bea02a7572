"""What goes wrong with models, on the loading code of the real ones: failed by name, or said."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from processors import gpu
from processors.alignment.stage import alignment
from processors.audio.encoding import write_flac
from processors.choices import Computing, ModelUnavailable
from processors.gpu import Device, GpuMemory
from processors.runtime.testing import StageEnvironment
from processors.separation.full import DemucsSeparator
from processors.separation.stage import separation
from processors.speech import SpeechModel
from schemas.documents.lyrics import LyricsDocument
from schemas.events import Artifact, ImportRequested, Separated, Work
from tests import models, songs
from tests.processors.runtime.rig import Rig, is_running, until

models.require("torch", "demucs", "nemo")
pytestmark = [
    pytest.mark.models,
    pytest.mark.timeout(600),  # NeMo alone takes half a minute to import on a busy machine
    pytest.mark.filterwarnings("ignore"),  # of NeMo, Lightning and torch, about each other
]

SONG = songs.make("short", 3)
ROOMY = 80_000  # MiB of a GPU that is not there


def _cpu() -> Device:
    return Device("cpu")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything goes through a proxy that is not there, and nothing is cached."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    for name in ("TORCH_HOME", "HF_HOME", "NEMO_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))


@pytest.mark.usefixtures("no_network")
def test_without_a_network_a_model_of_the_hub_is_missed_by_name() -> None:
    with pytest.raises(ModelUnavailable, match="'htdemucs' cannot be loaded from the hub"):
        DemucsSeparator("htdemucs", repo=None, device=_cpu)
    name = "stt_en_conformer_ctc_large"
    with pytest.raises(ModelUnavailable, match=f"'{name}' cannot be loaded.*SPEECH_MODELS"):
        SpeechModel(name, device=_cpu)


def test_a_file_that_holds_something_else_is_refused_by_name(tmp_path: Path) -> None:
    import torch

    torch.save({"epoch": 3}, tmp_path / "other.th")
    torch.save({"klass": dict, "args": [], "kwargs": {}, "state": {}}, tmp_path / "wrong.th")
    for name in ("other", "wrong"):
        (tmp_path / f"{name}.yaml").write_text(f"models: [{name}]")
        with pytest.raises(ModelUnavailable, match=f"'{name}' cannot be loaded from the folder"):
            DemucsSeparator(name, repo=tmp_path, device=_cpu)
    archive = tmp_path / "empty.nemo"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo("model_config.yaml"), io.BytesIO(b""))
    with pytest.raises(ModelUnavailable, match=r"empty.nemo' cannot be loaded"):
        SpeechModel(str(archive), device=_cpu)


def test_a_nemo_file_that_is_cut_off_is_refused_by_name(tmp_path: Path) -> None:
    whole = models.nemo_model(tmp_path / "whole.nemo", [SONG.lyrics_text] * 20).read_bytes()
    cut = tmp_path / "cut.nemo"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelUnavailable, match=r"cut.nemo' cannot be loaded"):
        SpeechModel(str(cut), device=_cpu)


@pytest.fixture
def pretended_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """A GPU as far as torch is not asked to compute on it; what was reserved, in MiB."""
    import torch

    memory = GpuMemory(tmp_path / "gpu", ROOMY)
    reserved: list[int] = []
    to = torch.nn.Module.to

    def elsewhere(module: Any, *arguments: Any, **named: Any) -> Any:
        return module if "cuda" in arguments else to(module, *arguments, **named)

    monkeypatch.setattr(Computing, "device", lambda self: Device("cuda", ROOMY))
    monkeypatch.setattr(gpu, "shared", lambda settings: memory)
    monkeypatch.setattr(gpu, "capped", reserved.append)
    monkeypatch.setattr(torch.nn.Module, "to", elsewhere)
    return reserved


def spent(compute: Callable[..., Any], after: int) -> Callable[..., Any]:
    """``compute`` on the CPU; as if on a GPU whose memory goes out after some calls."""
    import torch

    calls = 0

    def computing(model: Any, *arguments: Any) -> Any:
        nonlocal calls
        if model.device == "cpu":
            return compute(model, *arguments)
        calls += 1
        if calls > after:
            raise torch.OutOfMemoryError("CUDA out of memory")
        model.device = "cpu"
        try:
            return compute(
                model, *(("cpu" if isinstance(a, str) and a == "cuda" else a) for a in arguments)
            )
        finally:
            model.device = "cuda"

    return computing


def facts(env: StageEnvironment, stage: str) -> dict[str, Any]:
    """What the manifest of the stage's only result says."""
    keys = [key for key in env.store.keys(f"results/{stage}") if key.endswith("manifest.json")]
    (key,) = keys
    found: dict[str, Any] = json.loads(env.store.read(env.store.uri(key)))["facts"]
    return found


def test_separation_goes_on_without_the_gpu_whose_memory_went_out(
    tmp_path: Path, pretended_gpu: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = models.demucs_repo(tmp_path / "repo", "gone")
    monkeypatch.setattr(DemucsSeparator, "_window", spent(DemucsSeparator._window, 2))
    monkeypatch.setattr(DemucsSeparator, "window_ahead", lambda *_: None)
    env = StageEnvironment(
        tmp_path, separation_backend="full", demucs_model="gone", demucs_repo=repo
    )
    work = Work(job_id="job_1", track_id="trk_1", artifacts=(env.put("source", SONG.path),))
    event = env.run(separation, ImportRequested(work=work)).event
    assert event.work.backends["separation"].device == "cpu"
    assert "CPU" in facts(env, "separation")["fallback"]
    assert len(pretended_gpu) == 1
    assert pretended_gpu[0] > 0


def test_alignment_goes_on_without_the_gpu_whose_memory_went_out(
    tmp_path: Path, pretended_gpu: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models.nemo_model(tmp_path / "gone.nemo", [SONG.lyrics_text] * 20)
    monkeypatch.setattr(SpeechModel, "_log_probs", spent(SpeechModel._log_probs, 1))
    env = StageEnvironment(tmp_path, alignment_backend="full", speech_models={"en": str(model)})
    vocals = tmp_path / "vocals.flac"
    write_flac(vocals, SONG.vocals)
    lyrics = LyricsDocument.from_text(SONG.lyrics_text)
    work = Work(
        job_id="job_1",
        track_id="trk_1",
        language="en",
        duration_ms=round(1000 * SONG.vocals.seconds),
        artifacts=(env.put("vocals", vocals, "audio/flac"),),
        lyrics=env.put("lyrics", lyrics.to_json(), "application/json"),
    )
    event = env.run(alignment, Separated(work=work)).event
    assert (event.work.backends["alignment"].name, len(pretended_gpu)) == ("full", 1)
    assert event.work.backends["alignment"].device == "cpu"


def test_a_gpu_that_fails_is_not_taken_for_one_without_memory(
    tmp_path: Path, pretended_gpu: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(*_: object) -> Any:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    repo = models.demucs_repo(tmp_path / "repo", "sick")
    monkeypatch.setattr(DemucsSeparator, "_window", fail)
    monkeypatch.setattr(DemucsSeparator, "window_ahead", lambda *_: None)
    env = StageEnvironment(
        tmp_path, separation_backend="full", demucs_model="sick", demucs_repo=repo
    )
    work = Work(job_id="job_1", track_id="trk_1", artifacts=(env.put("source", SONG.path),))
    with pytest.raises(gpu.GpuFailed, match="illegal memory access"):
        env.run(separation, ImportRequested(work=work))
    assert pretended_gpu


def _children() -> list[int]:
    return [
        process.pid
        for process in psutil.Process().children(recursive=True)
        if "processors.runtime.child" in " ".join(process.cmdline())
    ]


def _notes(rig: Rig) -> list[str]:
    return [getattr(one.event, "note", "") for one in rig.events("step-progressed")]


def test_a_cancel_stops_a_model_in_the_middle_of_a_song(tmp_path: Path) -> None:
    repo = models.demucs_repo(tmp_path / "repo", "large", real=True)  # seconds a window
    rig = Rig(
        tmp_path,
        separation,
        separation_backend="full",
        demucs_model="large",
        demucs_repo=repo,
        use_gpu=False,
    )
    store = rig.settings.bus.open_artifacts()
    stored = store.put("uploads/default/song.flac", songs.make("english").path, "audio/flac")
    source = Artifact(
        name="source",
        uri=stored.uri,
        sha256=stored.sha256 or "",
        bytes=stored.bytes,
        media_type="audio/flac",
    )
    work = Work(job_id="a", track_id="track-a", artifacts=(source,))
    rig.write(ImportRequested(work=work), "request a")
    try:
        with rig.host():
            until(lambda: "separating" in _notes(rig), "the model is at work", 240.0)
            pids = _children()  # and its guard
            assert pids
            rig.cancel("a")
            # What design.md promises, and what people wait for.
            until(lambda: not any(map(is_running, pids)), "the child is gone", 2.0)
            until(lambda: rig.states("a")[-1] == "canceled", "the job says so")
    finally:
        rig.log.close()
