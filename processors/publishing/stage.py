"""Publishing: the judged karaoke becomes a version of its track, once and for good.

Follows the quality check; a roll-back begins here with the content of an older version.
"""

from __future__ import annotations

from pathlib import Path

from processors.karaoke import read_document, required
from processors.runtime import Made, MadeFile, Sla, Task, stage
from schemas.documents.karaoke import Karaoke, KaraokeDocument, Source
from schemas.documents.karaoke import Made as MadeBy
from schemas.events import Backend, Checked, Published, ReprocessRequested, Work
from schemas.work import extend


def is_my_turn(event: Checked | ReprocessRequested) -> bool:
    """After the check; when asked to begin here."""
    return isinstance(event, Checked) or event.work.from_stage == "publishing"


@stage(
    name="publishing",
    revision=1,
    consumes=(Checked, ReprocessRequested),
    produces=(Published,),
    accepts=is_my_turn,
    sla=Sla(base_s=30),
    uses="io",
)
def publishing(event: Checked | ReprocessRequested, task: Task) -> Published:
    """Stamp the karaoke with its track and version and store it."""
    work = event.work
    for stem in ("minus", "vocals", "mix"):
        required(work, stem)
    checked = task.fetch(required(work, "checked"))
    content = read_document(Karaoke, checked.path).model_copy(update={"source": source_of(work)})
    document = KaraokeDocument.stamp(
        content, track_id=work.track_id, version=work.version, parent=work.parent or None
    )

    def write(folder: Path) -> Made:
        path = folder / "karaoke.json"
        path.write_bytes(document.to_json())
        return Made(files=(MadeFile("karaoke", path, "application/json"),), facts={})

    # Stored by content like every result: what is published under a version never changes, and a
    # try that died behind the write finds its own bytes.
    result = task.result(
        inputs=[checked.sha256],
        backend=Backend(name="karaoke/1"),
        parameters={
            "track": work.track_id,
            "version": work.version,
            "parent": work.parent,
            "source": document.source.model_dump(mode="json"),
        },
        make=write,
    )
    return Published(
        work=extend(work, *result.artifacts),
        score=content.qc.score or 0.0,
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
