"""Quality: the audio itself says whether the words are where they are sung, and on which notes.

Follows the alignment; a person's edits that need no new alignment can begin here.
"""

from __future__ import annotations

from pathlib import Path

from processors.audio.decoding import decode
from processors.audio.samples import Audio
from processors.karaoke import read_document, required, spare
from processors.quality import evidence, verdict
from processors.quality.notes import METHOD, SungNote, notes
from processors.runtime import Made, MadeFile, Sla, Task, stage
from schemas.documents.evidence import Evidence
from schemas.documents.karaoke import Karaoke, Quality
from schemas.documents.pitch import Pitch, WordNote
from schemas.events import Aligned, Backend, Checked, ReprocessRequested
from schemas.work import extend


# TODO(issue 5): an edit judges the whole song anew, 12 % of a light import's time (its alignment
# takes 5 %): notes of words that stayed, and the bleed, could be kept as what was heard is.
def is_my_turn(event: Aligned | ReprocessRequested) -> bool:
    """After the alignment; when asked to begin here."""
    return isinstance(event, Aligned) or event.work.from_stage == "quality"


@stage(
    name="quality",
    revision=3,  # 2: the words' notes; 3: the whole song's flags
    consumes=(Aligned, ReprocessRequested),
    produces=(Checked,),
    accepts=is_my_turn,
    sla=Sla(base_s=30, per_second=0.5),
)
def quality(event: Aligned | ReprocessRequested, task: Task) -> Checked:
    """Judge the alignment of the job by its vocals, and the minus by what is left of them."""
    work, settings = event.work, task.settings
    aligned = task.fetch(required(work, "alignment"))
    vocals = task.fetch(required(work, "vocals"))
    minus, told = spare(work, task, "minus"), spare(work, task, "evidence")
    task.sized(work.duration_ms / 1000)

    def check(folder: Path) -> Made:
        content = read_document(Karaoke, aligned.path)
        audio = decode(vocals.path, max_seconds=settings.max_song_seconds)
        backing = decode(minus.path, max_seconds=settings.max_song_seconds) if minus else None
        found = verdict.judge(
            timed(content),
            verdict.Recording(audio, backing, content.language),
            read_document(Evidence, told.path) if told else None,
            settings.quality_thresholds,
            settings.quality_bar,
        )
        judged = content.model_copy(update={"qc": behind(content.qc, found)})
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
        inputs=[aligned.sha256, vocals.sha256, *(one.sha256 for one in (minus, told) if one)],
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
