"""Which proposals stand when two rules want the same thing.

Rules are heard by priority, equal ones by name, so that the order of a file means nothing. A rule
that stands may veto rules of lower priority. Two moves that set the same parameter of the same
module collide: the first one heard keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from processors.decision.rules import Rule
from processors.decision.wording import told
from schemas.documents.decision import Conflict, ModuleName, Move

ROOM: Final[Mapping[ModuleName, int]] = {"eq": 16, "dynamic_eq": 8}
"""Bands that the equalisers of chain/1 have: every move is one, and they don't collide."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rule whose condition holds, and the moves it asks for (none: it only has words)."""

    rule: Rule
    moves: tuple[Move, ...]


@dataclass(slots=True)
class Resolution:
    """What stands, what gave way, and why."""

    standing: list[Proposal] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves that stand."""
        return tuple(move for proposal in self.standing for move in proposal.moves)


def resolve(proposals: Sequence[Proposal]) -> Resolution:
    """Hear the proposals in the order of their rules and keep what agrees."""
    result = Resolution()
    owners: dict[str, str] = {}
    used: dict[ModuleName, int] = {}
    for proposal in sorted(proposals, key=lambda p: (-p.rule.priority, p.rule.name)):
        kept: list[Move] = []
        for move in proposal.moves:
            clash = _vetoed(move, proposal.rule, result.standing) or _taken(move, owners, used)
            if clash is not None:
                result.conflicts.append(clash)
                continue
            kept.append(move)
            used[move.module] = used.get(move.module, 0) + 1
            owners |= dict.fromkeys(_slots(move), move.rule)
        if kept or not proposal.moves:
            result.standing.append(Proposal(proposal.rule, tuple(kept)))
    return result


def instance(move: Move) -> str:
    """Which module of the chain a move sets: the expander exists once a mode."""
    if move.module != "expander":
        return move.module
    return f"expander.{move.parameters.get('mode', 'upward')}"


def _slots(move: Move) -> tuple[str, ...]:
    if move.module in ROOM:
        return ()
    names = [name for name in move.parameters if name != "mode"] or ["itself"]
    return tuple(f"{instance(move)}.{name}" for name in names)


def _vetoed(move: Move, rule: Rule, standing: Sequence[Proposal]) -> Conflict | None:
    for other in standing:
        veto = other.rule.veto
        named = (
            move.module in veto.modules or rule.subject in veto.subjects or rule.name in veto.rules
        )
        if named and other.rule.priority > rule.priority:
            return _conflict(other.rule.name, rule.name, move.module)
    return None


def _taken(
    move: Move, owners: Mapping[str, str], used: Mapping[ModuleName, int]
) -> Conflict | None:
    for slot in _slots(move):
        if slot in owners:
            return _conflict(owners[slot], move.rule, slot)
    if used.get(move.module, 0) >= ROOM.get(move.module, 32):
        return _conflict(f"the {ROOM[move.module]} bands of {move.module}", move.rule, move.module)
    return None


def _conflict(kept: str, dropped: str, about: str) -> Conflict:
    words = told("conflict", kept=kept, dropped=dropped, about=about)
    return Conflict(kept=kept, dropped=dropped, about=about, words=words)
