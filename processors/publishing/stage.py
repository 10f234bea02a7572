"""Publishing: the judged karaoke becomes a version of its track, once and for good.

Follows the quality check; a roll-back, or a person's word that a version is good enough, begins
here with content that was judged before.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from processors.karaoke import read_document, required, spare
from processors.publishing.policy import settled
from processors.runtime import Made, MadeFile, Sla, Task, stage
from schemas.documents.changes import Changes
from schemas.documents.karaoke import Karaoke, KaraokeDocument, Source
from schemas.documents.karaoke import Made as MadeBy
from schemas.events import Backend, Checked, Published, ReprocessRequested, Work
from schemas.work import PREVIOUS, extend


def is_my_turn(event: Checked | ReprocessRequested) -> bool:
    """After the check; when asked to begin here."""
    return isinstance(event, Checked) or event.work.from_stage == "publishing"


@stage(
    name="publishing",
    revision=2,  # 2: what it changed
    consumes=(Checked, ReprocessRequested),
    produces=(Published,),
    accepts=is_my_turn,
    sla=Sla(base_s=30),
    uses="io",
)
def publishing(event: Checked | ReprocessRequested, task: Task) -> Published:
    """Stamp the karaoke with its track and version and store it, unless it is held back."""
    work = event.work
    for stem in ("minus", "vocals", "mix"):
        required(work, stem)
    checked = task.fetch(required(work, "checked"))
    content = read_document(Karaoke, checked.path)
    asked = isinstance(event, ReprocessRequested) and event.reason == "rollback"
    qc = settled(content.qc, task.settings.quality_policy, asked=asked, version=work.version)
    document = KaraokeDocument.stamp(
        content.model_copy(update={"qc": qc, "source": source_of(work)}),
        track_id=work.track_id,
        version=work.version,
        parent=work.parent or None,
    )
    previous = spare(work, task, PREVIOUS)

    def write(folder: Path) -> Made:
        path = folder / "karaoke.json"
        path.write_bytes(document.to_json())
        files = [MadeFile("karaoke", path, "application/json")]
        if previous is not None:
            before = read_document(KaraokeDocument, previous.path)
            changed = folder / "changes.json"
            changed.write_bytes(Changes.between(before, document).to_json())
            files.append(MadeFile("changes", changed, "application/json"))
        return Made(files=tuple(files), facts={})

    # Stored by content like every result: what is published under a version never changes, and a
    # try that died behind the write finds its own bytes.
    result = task.result(
        inputs=[checked.sha256, *([previous.sha256] if previous else [])],
        backend=Backend(name="karaoke/1"),
        parameters={
            "track": work.track_id,
            "version": work.version,
            "parent": work.parent,
            "source": document.source.model_dump(mode="json"),
            "needsReview": qc.needs_review,
            "reviewed": qc.reviewed,
        },
        make=write,
    )
    kept = tuple(artifact for artifact in work.artifacts if artifact.name != PREVIOUS)
    return Published(
        work=extend(replace(work, artifacts=kept), *result.artifacts),
        score=qc.score or 0.0,
        needs_review=qc.needs_review,
        reasons=qc.reasons,
        seconds=task.elapsed(),
    )


def source_of(work: Work) -> Source:
    """Which backend did each step, as the document tells its readers."""

    def made(step: str) -> MadeBy | None:
        backend = work.backends.get(step)
        if backend is None:
            return None
        return MadeBy(backend=backend.name, model=backend.model, hash=backend.hash)

    return Source(
        separation=made("separation"),
        transcription=made("transcription"),
        alignment=made("alignment"),
    )
