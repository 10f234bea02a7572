"""Rendering: the chain becomes sound, and what came out is held against what was promised.

Follows the decision. Nothing leaves here unmeasured: neither the master nor the MP3 as a player
decodes it.
"""

from __future__ import annotations

from pathlib import Path

from processors.analysis.stage import album_lufs
from processors.audio.ffmpeg import FfmpegFailed
from processors.audio.undecodable import Undecodable
from processors.decision.explaining import Explainer, RuleExplainer
from processors.decision.model_explaining import ModelExplainer
from processors.mastering import Song, read_document, songs
from processors.runtime import Made, MadeFile, Reject, Result, Sla, Task, stage
from processors.settings import StageSettings
from schemas.documents.analysis import Analysis
from schemas.documents.decision import Decision
from schemas.events import Artifact, Backend, Decided, Mastered, Mastering, MasteringRequested
from schemas.work import extend

BACKEND = Backend(name="melisma", model="chain/1", device="cpu")


def is_my_turn(event: Decided | MasteringRequested) -> bool:
    """After the decision; when asked to begin here."""
    return isinstance(event, Decided) or event.work.from_stage == "rendering"


@stage(
    name="rendering",
    revision=2,  # 2: a match-EQ is fitted to the song; the limiter follows an offset by two poles
    consumes=(Decided, MasteringRequested),
    produces=(Mastered,),
    accepts=is_my_turn,
    # The target is 12 x real time on one core; a quarter of that is still within the limit.
    sla=Sla(base_s=60, per_second=0.35),
)
def rendering(event: Decided | MasteringRequested, task: Task) -> Mastered:
    """Master every song of the job as it was decided."""
    work, wanted = event.work, event.mastering
    task.sized(work.duration_ms / 1000)
    made: list[Artifact] = []
    heard: list[Analysis] = []
    shortfalls, reused = 0, True
    for song in songs(work, wanted, task):
        result = _mastered(song, wanted)
        made += result.artifacts
        after = task.fetch(result[song.named("analysis-after")])
        heard.append(read_document(Analysis, after.path))
        shortfalls += int(str(result.facts["shortfalls"]))
        reused = reused and result.reused
    return Mastered(
        work=extend(work, *made, backends={**work.backends, "rendering": BACKEND}),
        mastering=wanted,
        lufs=album_lufs(heard),
        true_peak=max(
            (p for each in heard if (p := each.peaks.true_peak_dbtp) is not None), default=None
        ),
        shortfalls=shortfalls,
        seconds=task.elapsed(),
        reused=reused,
    )


def explainer_of(settings: StageSettings) -> Explainer:
    """The model that the settings name, else the rules."""
    if not settings.explainer_base_url:
        return RuleExplainer()
    return ModelExplainer(
        settings.explainer_base_url,
        settings.explainer_model,
        settings.explainer_api_key.get_secret_value(),
    )


def _mastered(song: Song, wanted: Mastering) -> Result:
    """The stored master of a song. Raises `Reject` with the musician's reason."""
    # The worker only declares the stage; what it computes with would be a third of its memory.
    from processors.rendering.master import Given, finished

    task = song.task
    source = task.fetch(song.required("source"))
    decision = task.fetch(song.required("decision"))
    before = task.fetch(song.required("analysis-before"))

    def make(folder: Path) -> Made:
        given = Given(
            source=source.path,
            before=read_document(Analysis, before.path),
            decision=read_document(Decision, decision.path),
            format="flac" if wanted.format == "flac" else "wav",
            bits=wanted.bits,
            russian=song.work.language == "ru",
            explainer=explainer_of(task.settings),
        )
        try:
            files, shortfalls = finished(given, folder, song.progress)
        except Undecodable as refusal:
            raise Reject(refusal.code, refusal.message) from refusal
        except FfmpegFailed as failure:
            task.log.warning("the preview was not made", said=failure.log[-500:])
            raise
        return Made(
            files=tuple(
                MadeFile(song.named(each.name), each.path, each.media_type) for each in files
            ),
            facts={"shortfalls": shortfalls},
        )

    return task.result(
        inputs=[source.sha256, decision.sha256, before.sha256],
        backend=BACKEND,
        parameters={
            "song": song.named("master"),
            "format": wanted.format,
            "bits": wanted.bits,
            "language": song.work.language,
            # what a model said once is kept with the master; another model is asked anew
            "explainer": task.settings.explainer_model if task.settings.explainer_base_url else "",
        },
        make=make,
    )
