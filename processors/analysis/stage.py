"""Analysis: the song is measured, and the reference with it.

The first stage of a master, so it is the one that reads the uploads' bytes: what cannot be
decoded, is too long, or is not what the client promised, is refused here by name.
"""

from __future__ import annotations

import math
from pathlib import Path

from processors.mastering import read_document, required, songs
from processors.quotas import check_length
from processors.runtime import Made, MadeFile, Reject, Result, Sla, Task, stage
from schemas.documents.analysis import Analysis
from schemas.events import Analyzed, Artifact, Backend, MasteringRequested
from schemas.work import extend, find

BACKEND = Backend(name="melisma", model="meter/1", device="cpu")


def is_my_turn(event: MasteringRequested) -> bool:
    """When asked to begin here, as every new master is."""
    return event.work.from_stage == "analysis"


@stage(
    name="analysis",
    revision=1,
    consumes=(MasteringRequested,),
    produces=(Analyzed,),
    accepts=is_my_turn,
    # Ten times the target of 100 x real time, for the song and a reference of its length.
    sla=Sla(base_s=30, per_second=0.2),
)
def analysis(event: MasteringRequested, task: Task) -> Analyzed:
    """Measure the songs of the job and its reference."""
    work, wanted = event.work, event.mastering
    made: list[Artifact] = []
    measured: list[Analysis] = []
    reused = True
    for song in songs(work, wanted, task):
        song.progress(0.0, "measuring")
        result = _measured(song.required("source"), song.named("analysis-before"), task)
        made += result.artifacts
        measured.append(_read(result, task))
        check_length(work, measured[-1].source.duration_s)
        reused = reused and result.reused
        task.sized(sum(each.source.duration_s for each in measured) * wanted.songs / len(measured))
    if find(work, "reference") is not None:
        task.progress(0.9, "measuring the reference")
        result = _measured(required(work, "reference"), "analysis-reference", task)
        made += result.artifacts
    return Analyzed(
        work=extend(
            work,
            *made,
            duration_ms=round(1000 * sum(each.source.duration_s for each in measured)),
            backends={**work.backends, "analysis": BACKEND},
        ),
        mastering=wanted,
        lufs=album_lufs(measured),
        true_peak=max(
            (p for each in measured if (p := each.peaks.true_peak_dbtp) is not None), default=None
        ),
        seconds=task.elapsed(),
        reused=reused,
    )


def album_lufs(measured: list[Analysis]) -> float | None:
    """Integrated loudness of the songs one after the other: the mean of their powers over time.

    Each song's own gates stand for the gates of the whole (ITU-R BS.1770-5); exact for one song.
    None when all are silent.
    """
    known = [
        (each.loudness.integrated_lufs, each.source.duration_s)
        for each in measured
        if each.loudness.integrated_lufs is not None
    ]
    if not known:
        return None
    if len(known) == 1:
        return known[0][0]
    power = sum(seconds * 10 ** (lufs / 10) for lufs, seconds in known)
    return 10 * math.log10(power / sum(seconds for _, seconds in known))


def _measured(source: Artifact, name: str, task: Task) -> Result:
    """The stored analysis of a file. Raises `Reject` with the musician's reason."""
    from processors.analysis.meter import measure
    from processors.audio.undecodable import Undecodable

    file = task.fetch(source)

    def make(folder: Path) -> Made:
        try:
            found = measure(file.path, max_seconds=task.settings.bus.mastering_max_seconds)
        except Undecodable as refusal:
            about = "The reference: " if name == "analysis-reference" else ""
            raise Reject(refusal.code, f"{about}{refusal.message}") from refusal
        path = folder / f"{name}.json"
        path.write_bytes(found.to_json())
        return Made(files=(MadeFile(name, path, "application/json"),))

    return task.result(inputs=[file.sha256], backend=BACKEND, parameters={"name": name}, make=make)


def _read(result: Result, task: Task) -> Analysis:
    return read_document(Analysis, task.fetch(result.artifacts[0]).path)
