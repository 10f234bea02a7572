"""Quality: the audio itself says whether the words are where they are sung, and on which notes.

Follows the alignment; a person's edits that need no new alignment can begin here.
"""

from __future__ import annotations

from pathlib import Path

from processors.audio.decoding import decode
from processors.audio.samples import Audio
from processors.karaoke import read_document, required
from processors.quality import evidence
from processors.quality.notes import METHOD, SungNote, notes
from processors.runtime import Made, MadeFile, Sla, Task, stage
from schemas.documents.karaoke import Flag, Karaoke, Quality
from schemas.documents.pitch import Pitch, WordNote
from schemas.events import Aligned, Backend, Checked, ReprocessRequested
from schemas.work import extend


def is_my_turn(event: Aligned | ReprocessRequested) -> bool:
    """After the alignment; when asked to begin here."""
    return isinstance(event, Aligned) or event.work.from_stage == "quality"


@stage(
    name="quality",
    revision=2,  # 2: the words' notes
    consumes=(Aligned, ReprocessRequested),
    produces=(Checked,),
    accepts=is_my_turn,
    sla=Sla(base_s=30, per_second=0.5),
)
def quality(event: Aligned | ReprocessRequested, task: Task) -> Checked:
    """Judge the alignment of the job by its vocals."""
    work = event.work
    aligned = task.fetch(required(work, "alignment"))
    vocals = task.fetch(required(work, "vocals"))
    task.sized(work.duration_ms / 1000)

    def check(folder: Path) -> Made:
        content = read_document(Karaoke, aligned.path)
        audio = decode(vocals.path, max_seconds=task.settings.max_song_seconds)
        judged = content.model_copy(
            update={"qc": judge(content, evidence.assess(_timed(content), audio))}
        )
        path = folder / "checked.json"
        path.write_bytes(judged.to_json())
        sung = folder / "pitch.json"
        sung.write_bytes(pitch_of(content, audio).to_json())
        return Made(
            files=(
                MadeFile("checked", path, "application/json"),
                MadeFile("pitch", sung, "application/json"),
            ),
            facts={"score": judged.qc.score, "flags": len(judged.qc.flags)},
        )

    result = task.result(
        inputs=[aligned.sha256, vocals.sha256],
        backend=Backend(name="evidence", model="1", device="cpu"),
        parameters={},
        make=check,
    )
    return Checked(
        work=extend(work, *result.artifacts),
        score=float(str(result.facts["score"])),
        flags=int(str(result.facts["flags"])),
        seconds=task.elapsed(),
        reused=result.reused,
    )


def judge(content: Karaoke, report: evidence.QualityReport) -> Quality:
    """The report as the document tells it, behind the reasons that alignment itself gave."""
    given = {(flag.code, flag.line_id, flag.word_id) for flag in content.qc.flags}
    found = (
        Flag(
            code=flag.code,
            message=flag.message,
            line_id=flag.line_id,
            word_id=flag.word_id,
            start_ms=flag.start_ms,
            end_ms=flag.end_ms,
        )
        for flag in report.flags
    )
    new = (flag for flag in found if (flag.code, flag.line_id, flag.word_id) not in given)
    return Quality(score=round(report.score, 3), flags=(*content.qc.flags, *new))


def pitch_of(content: Karaoke, audio: Audio) -> Pitch:
    """The notes of the placed words."""
    placed = [
        (word.id, word.start_ms, word.end_ms)
        for word in content.words()
        if word.start_ms is not None and word.end_ms is not None
    ]
    return Pitch(method=METHOD, notes=tuple(_written(note) for note in notes(placed, audio)))


def _written(note: SungNote) -> WordNote:
    nearest = None if note.midi is None else round(note.midi)
    cents = None if note.midi is None or nearest is None else round(100 * (note.midi - nearest), 1)
    return WordNote(
        word_id=note.word_id, midi=nearest, cents=cents, voiced=note.voiced, reason=note.reason
    )


def _timed(content: Karaoke) -> list[evidence.TimedLine]:
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
