"""The decision about one song: hold the measurements against the rules, settle, assemble, predict.

A pure function: the same analysis, rules and request make the same decision, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from processors.decision.aiming import Request, aim, refuse
from processors.decision.assembling import assemble
from processors.decision.judging import Finding, judge
from processors.decision.measuring import Measurements, unit_of
from processors.decision.predicting import ALWAYS, Fact, predict
from processors.decision.proposing import Missing, about, propose
from processors.decision.referring import Following, follow
from processors.decision.resolving import Proposal, Resolution, resolve
from processors.decision.rulebook import REVISION, Rulebook, reading, tolerance
from processors.decision.rules import Adjustment, Rule
from processors.decision.wording import joined, told
from schemas.documents.analysis import Analysis
from schemas.documents.decision import (
    Considered,
    Decision,
    Move,
    Note,
    Provenance,
    ReferenceUse,
    Why,
)


def decide(
    song: Analysis,
    book: Rulebook,
    request: Request = Request(),  # noqa: B008 - frozen
    *,
    reference: Analysis | None = None,
    previous: Decision | None = None,
) -> Decision:
    """What to do with a song.

    ``previous`` is an earlier decision about the same song (another mix, another target): rules
    that acted in it keep acting within their hysteresis. Raises `Refused`.
    """
    refuse(song)
    amount = min(1.0, max(0.0, request.reference_amount))
    following = None if reference is None else follow(song, reference, amount)
    followed = reference if following is not None and following.usable and amount > 0 else None
    target, unreachable = aim(replace(request, reference_amount=amount), book, followed)
    parts = request.reference_parts
    heard = Measurements(
        analysis=song,
        target=target,
        reference=followed,
        amount=amount,
        parts=parts,
        curve_db=following.curve_db if following and followed and "eq" in parts else None,
    )
    court = _Court(book, book.presets[request.preset].rules, _acted(previous))

    first = court.hear((r for r in book.rules if r.subject != "level"), heard)
    settled = resolve(first)
    caps = [
        p.rule.most_limiting_db for p in settled.standing if p.rule.most_limiting_db is not None
    ]
    target = target.model_copy(update={"most_limiting_db": min((target.most_limiting_db, *caps))})
    heard = replace(heard, target=target)
    last = court.hear((r for r in book.rules if r.subject == "level"), heard)
    settled = resolve((*first, *last))

    moves = tuple(_dithered(move, request) for move in settled.moves)
    chain = assemble(moves)
    predicted, compromises = predict(facts(heard, book, moves), moves, chain)
    return Decision(
        preset=request.preset,
        target=target,
        moves=moves,
        considered=(*court.considered, *_outweighed(first, last, settled, heard)),
        conflicts=tuple(settled.conflicts),
        notes=_notes(settled, court.findings),
        compromises=(*unreachable, *compromises),
        reference=_use(following, followed, amount, parts),
        predicted=predicted,
        chain=chain,
        made_by=Provenance(revision=REVISION, rules_sha256=book.sha256, files=book.files),
    )


def facts(heard: Measurements, book: Rulebook, moves: Iterable[Move]) -> Mapping[str, Fact]:
    """What is foretold: what everybody asks for, and what any move says it changes."""
    paths = dict.fromkeys((*ALWAYS, *sorted({p for move in moves for p in move.predicted})))
    return {
        path: Fact(
            heard.value(path), tolerance(book, path), unit_of(path), reading(book, path).at_most
        )
        for path in paths
    }


@dataclass(slots=True)
class _Court:
    """Hears rules one after the other and remembers what it found of each."""

    book: Rulebook
    adjustments: Mapping[str, Adjustment]
    acted: frozenset[str]
    findings: dict[str, Finding] = field(default_factory=dict)
    considered: list[Considered] = field(default_factory=list)

    def hear(self, rules: Iterable[Rule], heard: Measurements) -> tuple[Proposal, ...]:
        """The proposals of those whose condition holds; of the others it is said why not."""
        proposals = []
        for rule in rules:
            adjustment = self.adjustments.get(rule.name, Adjustment())
            found = judge(rule, adjustment, heard, acted=rule.name in self.acted)
            self.findings[rule.name] = found
            why: Why
            if adjustment.skip:
                why = "preset"
            elif found.verdict == "met":
                try:
                    proposals.append(Proposal(rule, propose(rule, found, heard, self.book)))
                    continue
                except Missing:
                    why = "not measured"
            else:
                why = found.verdict
            if not rule.silent:
                self.considered.append(_considered(rule, why, found, heard))
        return tuple(proposals)


def _considered(
    rule: Rule, why: Why, found: Finding, heard: Measurements, by: str | None = None
) -> Considered:
    because = found.because
    reason = heard.analysis.reason(because.measurement) or "–"
    units = dict.fromkeys(("value", "threshold"), because.unit)
    words = told(
        "unmeasured-rule" if why == "not measured" else why.replace(" ", "-"),
        units,
        rule=rule.name,
        measurement=because.measurement,
        value=because.value,
        threshold=because.threshold,
        reason=reason,
        by=by,
    )
    return Considered(rule=rule.name, why=why, because=because, outweighed_by=by, words=words)


def _outweighed(
    first: Sequence[Proposal], last: Sequence[Proposal], settled: Resolution, heard: Measurements
) -> tuple[Considered, ...]:
    standing = {proposal.rule.name for proposal in settled.standing}
    out = []
    for proposal in (*first, *last):
        name = proposal.rule.name
        if name not in standing:
            by = next(c.kept for c in settled.conflicts if c.dropped == name)
            move = proposal.moves[0]
            found = Finding("met", 0.0, move.because, move.also)
            out.append(_considered(proposal.rule, "outweighed", found, heard, by))
    return tuple(out)


def _notes(settled: Resolution, findings: Mapping[str, Finding]) -> tuple[Note, ...]:
    """Rules that stand without a move of their own have something to say."""
    notes = []
    for proposal in settled.standing:
        rule = proposal.rule
        if not rule.do:
            because = findings[rule.name].because
            words = about(rule.reason, because)
            notes.append(Note(code=rule.name, because=because, words=words))
    return tuple(notes)


def _use(
    following: Following | None, followed: Analysis | None, amount: float, parts: frozenset[str]
) -> ReferenceUse | None:
    if following is None:
        return None
    words = following.words
    if followed is None and following.usable:
        words = joined((told("reference-amount-zero"),))
    return ReferenceUse(
        used=followed is not None,
        amount=amount,
        parts=tuple(
            part
            for part in ("eq", "loudness", "dynamics", "width")
            if followed is not None and part in parts
        ),
        words=words,
    )


def _acted(previous: Decision | None) -> frozenset[str]:
    if previous is None:
        return frozenset()
    return frozenset((*(m.rule for m in previous.moves), *(n.code for n in previous.notes)))


def _dithered(move: Move, request: Request) -> Move:
    if move.module != "dither" or request.bits is None:
        return move
    return move.model_copy(update={"parameters": {**move.parameters, "bits": request.bits}})
