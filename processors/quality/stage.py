"""Quality: the audio itself says whether the words are where they are sung, and on which notes.

Follows the alignment; a person's edits that need no new alignment can begin here. What was heard of
the same stems before is not heard again.
"""

from __future__ import annotations

from pathlib import Path

from processors.karaoke import read_document, required, spare
from processors.quality import evidence, verdict
from processors.quality.notes import METHOD, Melody, SungNote, notes
from processors.quality.stems import stems
from processors.runtime import Made, MadeFile, Sla, Task, stage
from schemas.documents.evidence import Evidence
from schemas.documents.karaoke import Karaoke, Quality
from schemas.documents.pitch import Pitch, WordNote
from schemas.events import Aligned, Backend, Checked, ReprocessRequested
from schemas.work import extend


def is_my_turn(event: Aligned | ReprocessRequested) -> bool:
    """After the alignment; when asked to begin here."""
    return isinstance(event, Aligned) or event.work.from_stage == "quality"


@stage(
    name="quality",
    revision=4,  # 2: the words' notes; 3: the whole song's flags; 4: notes on the song's grid
    consumes=(Aligned, ReprocessRequested),
    produces=(Checked,),
    accepts=is_my_turn,
    sla=Sla(base_s=30, per_second=0.5),
)
def quality(event: Aligned | ReprocessRequested, task: Task) -> Checked:
    """Judge the alignment of the job by its vocals, and the minus by what is left of them."""
    work, settings = event.work, task.settings
    aligned = task.fetch(required(work, "alignment"))
    told = spare(work, task, "evidence")
    recording = stems(work, task)
    task.sized(work.duration_ms / 1000)

    def check(folder: Path) -> Made:
        content = read_document(Karaoke, aligned.path)
        heard, kept = recording.heard(folder)
        found = verdict.judge(
            timed(content),
            verdict.Recording(heard, content.language),
            read_document(Evidence, told.path) if told else None,
            settings.quality_thresholds,
            settings.quality_bar,
        )
        judged = content.model_copy(update={"qc": behind(content.qc, found)})
        path = folder / "checked.json"
        path.write_bytes(judged.to_json())
        sung = folder / "pitch.json"
        sung.write_bytes(pitch_of(content, heard.melody).to_json())
        return Made(
            files=(
                MadeFile("checked", path, "application/json"),
                MadeFile("pitch", sung, "application/json"),
                *kept,
            ),
            facts={"score": judged.qc.score, "flags": len(judged.qc.flags)},
        )

    result = task.result(
        inputs=[aligned.sha256, *recording.inputs, *([told.sha256] if told else [])],
        backend=Backend(name="evidence", model="2", device="cpu"),
        parameters={
            "bar": settings.quality_bar,
            "thresholds": settings.quality_thresholds.model_dump(mode="json"),
        },
        make=check,
    )
    return Checked(
        work=extend(work, *result.artifacts),
        score=float(str(result.facts["score"])),
        flags=int(str(result.facts["flags"])),
        seconds=task.elapsed(),
        reused=result.reused,
    )


def behind(given: Quality, found: Quality) -> Quality:
    """The judgement, behind the reasons that alignment itself gave."""
    known = {(flag.code, flag.line_id, flag.word_id) for flag in given.flags}
    new = (flag for flag in found.flags if (flag.code, flag.line_id, flag.word_id) not in known)
    return found.model_copy(update={"flags": (*given.flags, *new)})


def pitch_of(content: Karaoke, sung: Melody) -> Pitch:
    """The notes of the placed words."""
    placed = [
        (word.id, word.start_ms, word.end_ms)
        for word in content.words()
        if word.start_ms is not None and word.end_ms is not None
    ]
    return Pitch(method=METHOD, notes=tuple(_written(note) for note in notes(placed, sung)))


def _written(note: SungNote) -> WordNote:
    nearest = None if note.midi is None else round(note.midi)
    cents = None if note.midi is None or nearest is None else round(100 * (note.midi - nearest), 1)
    return WordNote(
        word_id=note.word_id, midi=nearest, cents=cents, voiced=note.voiced, reason=note.reason
    )


def timed(content: Karaoke) -> list[evidence.TimedLine]:
    """The content as it is judged."""
    return [
        evidence.TimedLine(
            line.id,
            tuple(
                evidence.TimedWord(
                    id=word.id,
                    text=word.text,
                    start_ms=word.start_ms,
                    end_ms=word.end_ms,
                    confidence=word.confidence,
                    src=word.src,
                )
                for word in line.words
            ),
        )
        for line in content.lines
    ]
