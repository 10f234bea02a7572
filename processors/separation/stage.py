"""Separation: the song comes apart into the voice (vocals) and the rest (minus).

The first stage of an import, so it is the one that reads the upload's bytes: what cannot be
decoded, or is not what the client promised, is refused here by name.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from processors.audio.decoding import decode
from processors.audio.encoding import shared_gain, write_flac
from processors.audio.samples import Audio
from processors.audio.undecodable import Undecodable
from processors.choices import Computing, choose, loading
from processors.karaoke import required
from processors.quotas import check_length
from processors.runtime import JSON, Made, MadeFile, Reject, Sla, Task, stage
from processors.separation.early import Early
from processors.separation.separator import Separator
from processors.settings import Choice, StageSettings
from schemas.events import Backend, ImportRequested, ReprocessRequested, Separated
from schemas.work import extend

RATE_HZ = 44_100
"""Working rate of the karaoke stages: what the separation models are trained at."""


def is_my_turn(event: ImportRequested | ReprocessRequested) -> bool:
    """At every import; when asked to begin here."""
    return isinstance(event, ImportRequested) or event.work.from_stage == "separation"


@stage(
    name="separation",
    revision=3,
    consumes=(ImportRequested, ReprocessRequested),
    produces=(Separated,),
    accepts=is_my_turn,
    sla=Sla(base_s=60, per_second=4.0),
    uses="gpu",
)
def separation(event: ImportRequested | ReprocessRequested, task: Task) -> Separated:
    """Take the song of the job apart."""
    work = event.work
    with (
        loading(partial(_splitter, task.settings)) as lead,
        Early(partial(_separator, task.settings), task, RATE_HZ) as early,
    ):
        song = task.fetch(required(work, "source"), seen=early.seen)
        separator, splitter = early.separator(), lead()
    backend = Backend(
        name=separator.name, model=separator.model, hash=separator.hash, device=separator.device
    )

    def separate(folder: Path) -> Made:
        mix = _decoded(song.path, task)
        check_length(work, mix.seconds)
        task.sized(mix.seconds)
        with task.gpu(separator.gpu_mib):
            stems = separator.separate(mix, lambda share: task.progress(0.85 * share, "separating"))
        sounds = {"vocals": stems.vocals, "minus": stems.minus, "mix": mix}
        if splitter is not None:
            sounds |= _voices(stems.vocals, splitter, task)
        # One gain for all: the stems still add up to the mix, and none clips.
        gain = shared_gain(*sounds.values())
        files: list[MadeFile] = []
        for name, sound in sounds.items():
            path = folder / f"{name}.flac"
            write_flac(path, sound, gain=gain)
            files.append(MadeFile(name, path, "audio/flac"))
        return Made(
            files=tuple(files),
            facts={
                "durationMs": round(1000 * mix.seconds),
                "device": separator.device,
                "fallback": separator.fallback,
            },
        )

    parameters: dict[str, JSON] = {"rate": RATE_HZ}
    if splitter is not None:
        parameters["lead"] = [splitter.model, splitter.hash]
    result = task.result(
        inputs=[song.sha256], backend=backend, parameters=parameters, make=separate
    )
    # Of a result that was there already, made when more was allowed.
    check_length(work, int(str(result.facts["durationMs"])) / 1000)
    # The memory of a GPU may have run out on the way.
    backend = replace(backend, device=str(result.facts["device"]))
    return Separated(
        work=extend(
            work,
            *result.artifacts,
            duration_ms=int(str(result.facts["durationMs"])),
            backends={**work.backends, "separation": backend},
        ),
        seconds=task.elapsed(),
        reused=result.reused,
    )


def _voices(vocals: Audio, splitter: Separator, task: Task) -> dict[str, Audio]:
    """The lead voice and those that back it; together they are the vocals."""
    with task.gpu(splitter.gpu_mib):
        found = splitter.separate(
            vocals, lambda share: task.progress(0.85 + 0.1 * share, "splitting the voices")
        )
    return {"lead": found.vocals, "backing": found.minus}


def _decoded(path: Path, task: Task) -> Audio:
    """The song at the working rate, mono or stereo. Raises `Reject` with the musician's reason."""
    limits = task.settings
    task.progress(0.0, "decoding")
    try:
        return decode(
            path,
            min_seconds=limits.min_song_seconds,
            max_seconds=limits.max_song_seconds,
            rate=RATE_HZ,
        )
    except Undecodable as refusal:
        raise Reject(refusal.code, refusal.message) from refusal


def _separator(settings: StageSettings) -> Separator:
    return _chosen(
        settings.separation_backend,
        settings.demucs_model,
        settings.demucs_repo,
        settings.demucs_window_seconds,
        settings.separation_memory_limit,
        Computing.of(settings),
    )


@cache
def _chosen(
    choice: Choice,
    model: str,
    repo: Path | None,
    window_s: float | None,
    memory_mib: int | None,
    computing: Computing,
) -> Separator:
    """Held by the child process from one song to the next."""

    def full() -> Separator:
        from processors.separation.full import DemucsSeparator

        return DemucsSeparator(
            model,
            repo=repo,
            device=computing.device,
            window_s=window_s,
            memory_mib=memory_mib,
        )

    return choose("separation", choice, light=_light, full=full)


def _light() -> Separator:
    from processors.separation.light import LightSeparator

    return LightSeparator()


def _splitter(settings: StageSettings) -> Separator | None:
    """What takes the vocals apart, where that is asked for."""
    if not settings.lead_split:
        return None
    return _chosen_splitter(settings.lead_split, settings.demucs_repo, Computing.of(settings))


@cache
def _chosen_splitter(name: str, repo: Path | None, computing: Computing) -> Separator:
    if name == "centre":
        from processors.separation.lead import CentreSplitter

        return CentreSplitter()
    from processors.separation.full import DemucsSeparator

    return DemucsSeparator(name, repo=repo, device=computing.device, wanted=("lead", "vocals"))
