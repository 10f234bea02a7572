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
from processors.choices import Computing, choose
from processors.karaoke import required
from processors.runtime import Made, MadeFile, Reject, Sla, Task, stage
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
    with Early(partial(_separator, task.settings), task, RATE_HZ) as early:
        song = task.fetch(required(work, "source"), seen=early.seen)
        separator = early.separator()
    backend = Backend(
        name=separator.name, model=separator.model, hash=separator.hash, device=separator.device
    )

    def separate(folder: Path) -> Made:
        mix = _decoded(song.path, task)
        task.sized(mix.seconds)
        with task.gpu(separator.gpu_mib):
            stems = separator.separate(mix, lambda share: task.progress(0.95 * share, "separating"))
        # One gain for all three: the stems still add up to the mix, and none clips.
        gain = shared_gain(mix, stems.vocals, stems.minus)
        files: list[MadeFile] = []
        for name, sound in (("vocals", stems.vocals), ("minus", stems.minus), ("mix", mix)):
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

    result = task.result(
        inputs=[song.sha256], backend=backend, parameters={"rate": RATE_HZ}, make=separate
    )
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
