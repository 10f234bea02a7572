"""An album: its loudness as a whole goes to the target, and the songs keep their distances.

The album's loudness is the energy mean of its songs weighted by their length, so that a ballad
that was mixed 4 LU below the opener stays 4 LU below it. What one song cannot reach, none does:
all come down together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from processors.decision.aiming import LUFS_BOUNDS, Request, aim
from processors.decision.deciding import decide
from processors.decision.referring import follow
from processors.decision.refusals import Refused
from processors.decision.rulebook import Rulebook
from processors.decision.wording import joined, told
from schemas.documents.analysis import Analysis
from schemas.documents.decision import Compromise, Decision, Note

MOST_STEPS = 8
"""Each step down leaves less than half of the shortfall before it; 0.05 LU no longer count."""


def decide_album(
    songs: Sequence[Analysis],
    book: Rulebook,
    request: Request = Request(),  # noqa: B008 - frozen
    *,
    reference: Analysis | None = None,
) -> tuple[Decision, ...]:
    """A decision for each song, in order. Raises `Refused`, naming the song by its number."""
    alone = tuple(
        _numbered(index, song, book, request, reference) for index, song in enumerate(songs, 1)
    )
    if len(songs) < 2:
        return alone
    followed = reference
    if reference is not None:
        amount = min(1.0, max(0.0, request.reference_amount))
        usable = follow(songs[0], reference, amount).usable and amount > 0
        followed = reference if usable else None
    target, unreachable = aim(request, book, followed)
    levels = [song.loudness.integrated_lufs or 0.0 for song in songs]
    whole = album_loudness(songs)
    wanted = [target.lufs + level - whole for level in levels]
    # Above what a chain can be told, the same step down for all; below it the song is held there.
    down = max(0.0, max(wanted) - LUFS_BOUNDS[1])
    goals = [round(max(LUFS_BOUNDS[0], lufs - down), 2) for lufs in wanted]

    decisions = _towards(songs, goals, book, request, reference)
    lost = down
    for _ in range(MOST_STEPS):
        short = max(_shortfall(decision) for decision in decisions)
        if short == 0:
            break
        # A lower goal asks less of the compressor, which then helps a little less: step on.
        lost += short
        goals = [round(max(LUFS_BOUNDS[0], lufs - short), 2) for lufs in goals]
        decisions = _towards(songs, goals, book, request, reference)
    note = Note(
        code="album",
        words=told("album", {"whole": "LUFS", "target": "LUFS"}, whole=whole, target=target.lufs),
    )
    compromise: tuple[Compromise, ...] = ()
    if lost > 0.05:
        promised = round(target.lufs - lost, 2)
        words = told(
            "album-quieter",
            {"wanted": "LUFS", "promised": "LUFS"},
            wanted=target.lufs,
            promised=promised,
        )
        compromise = (
            Compromise(
                code="album",
                about="album.integratedLufs",
                wanted=target.lufs,
                promised=promised,
                unit="LUFS",
                words=words,
            ),
        )
    return tuple(
        decision.model_copy(
            update={
                "notes": (*decision.notes, note),
                "compromises": (*unreachable, *decision.compromises, *compromise),
            }
        )
        for decision in decisions
    )


def album_loudness(songs: Sequence[Analysis]) -> float:
    """Energy mean of the songs' integrated loudness by length, LUFS."""
    weights = [max(song.source.duration_s, 1e-3) for song in songs]
    powers = [10 ** ((song.loudness.integrated_lufs or -70.0) / 10) for song in songs]
    mean = sum(w * p for w, p in zip(weights, powers, strict=True)) / sum(weights)
    return 10 * math.log10(mean)


def _towards(
    songs: Sequence[Analysis],
    goals: Sequence[float],
    book: Rulebook,
    request: Request,
    reference: Analysis | None,
) -> tuple[Decision, ...]:
    return tuple(
        decide(song, book, replace(request, lufs=lufs), reference=reference)
        for song, lufs in zip(songs, goals, strict=True)
    )


def _shortfall(decision: Decision) -> float:
    gaps = [c.wanted - c.promised for c in decision.compromises if c.code == "out-of-reach"]
    return max(0.0, *gaps) if gaps else 0.0


def _numbered(
    index: int, song: Analysis, book: Rulebook, request: Request, reference: Analysis | None
) -> Decision:
    try:
        return decide(song, book, request, reference=reference)
    except Refused as refusal:
        raise Refused(
            refusal.code, joined((told("song-number", number=str(index)), refusal.words))
        ) from refusal
