"""Decision: rules over the measurements say what to do, why, and what to leave alone.

Follows the analysis; a new version with moves that a person changed begins here.
"""

from __future__ import annotations

from pathlib import Path

from processors.decision.aiming import Request
from processors.decision.album import decide_album
from processors.decision.overriding import apply_overrides
from processors.decision.refusals import OverrideRefused, Refused
from processors.decision.rulebook import REVISION, load_rulebook
from processors.mastering import Song, read_document, songs
from processors.runtime import JSON, Fetched, Made, MadeFile, Reject, Sla, Task, stage
from schemas.documents.analysis import Analysis
from schemas.documents.decision import Decision, Overrides
from schemas.events import Analyzed, Backend, Decided, Mastering, MasteringRequested
from schemas.work import extend, find


def is_my_turn(event: Analyzed | MasteringRequested) -> bool:
    """After the analysis; when asked to begin here."""
    return isinstance(event, Analyzed) or event.work.from_stage == "decision"


@stage(
    name="decision",
    revision=2,  # 2: a reference counts from 60 Hz to 12 kHz
    consumes=(Analyzed, MasteringRequested),
    produces=(Decided,),
    accepts=is_my_turn,
    sla=Sla(base_s=30),
    uses="io",
)
def decision(event: Analyzed | MasteringRequested, task: Task) -> Decided:
    """Decide about every song of the job, together: an album keeps its relative loudness."""
    work, wanted = event.work, event.mastering
    book = load_rulebook(task.settings.mastering_rules)
    backend = Backend(name="melisma", model=f"rules/{REVISION}", hash=book.sha256, device="cpu")
    each = [*songs(work, wanted, task)]
    analyses = [task.fetch(song.required("analysis-before")) for song in each]
    reference = find(work, "analysis-reference")
    heard = None if reference is None else task.fetch(reference)
    overrides = {one.name: task.fetch(one) for one in wanted.overrides}

    def decide(folder: Path) -> Made:
        try:
            decided = decide_album(
                [read_document(Analysis, one.path) for one in analyses],
                book,
                request_of(wanted),
                reference=None if heard is None else read_document(Analysis, heard.path),
            )
        except Refused as refusal:
            words = refusal.words.ru if work.language == "ru" else refusal.words.en
            raise Reject(refusal.code.replace("-", "_"), words) from refusal
        files = []
        moves = 0
        for song, one in zip(each, decided, strict=True):
            final = _overridden(one, song, overrides)
            moves += len(final.moves)
            path = folder / f"{song.named('decision')}.json"
            path.write_bytes(final.to_json())
            files.append(MadeFile(song.named("decision"), path, "application/json"))
        return Made(files=tuple(files), facts={"moves": moves})

    said = [*overrides.values()] if heard is None else [heard, *overrides.values()]
    result = task.result(
        inputs=[one.sha256 for one in (*analyses, *said)],
        backend=backend,
        parameters={
            "request": asked(wanted),
            "reference": heard is not None,
            "overrides": sorted(overrides),
            "language": work.language,
        },
        make=decide,
    )
    return Decided(
        work=extend(work, *result.artifacts, backends={**work.backends, "decision": backend}),
        mastering=wanted,
        moves=int(str(result.facts["moves"])),
        seconds=task.elapsed(),
        reused=result.reused,
    )


def request_of(wanted: Mastering) -> Request:
    """The client's wishes in the engine's words."""
    return Request(
        preset=wanted.preset,
        lufs=wanted.lufs,
        true_peak_dbtp=wanted.true_peak,
        reference_amount=wanted.reference_amount,
        reference_without=frozenset(wanted.reference_without),
        bits={16: 16, 24: 24}.get(wanted.bits),  # type: ignore[arg-type]
    )


def asked(wanted: Mastering) -> JSON:
    """What of the wishes changes a decision; who asked, and for which assets, does not."""
    return {
        "preset": wanted.preset,
        "lufs": wanted.lufs,
        "truePeak": wanted.true_peak,
        "referenceAmount": wanted.reference_amount,
        "referenceWithout": sorted(wanted.reference_without),
        "bits": wanted.bits,
    }


def _overridden(one: Decision, song: Song, overrides: dict[str, Fetched]) -> Decision:
    """The decision with what a person changed. Raises `Reject` for what cannot be done."""
    given = overrides.get(song.named("overrides"))
    if given is None:
        return one
    try:
        return apply_overrides(one, read_document(Overrides, given.path))
    except OverrideRefused as refusal:
        raise Reject(
            f"override_{refusal.code.replace('-', '_')}",
            f"The change of '{refusal.move}' cannot be made: {refusal}.",
        ) from refusal
