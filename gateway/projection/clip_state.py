"""Where the provider stands with a generated song, as the cells of its job tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.projection.cells import Cell
from schemas.events import Song

ClipStage = Literal[10, 20, 30, 40, 50, 90, 99]

RANKS: Mapping[int, int] = {10: 0, 20: 1, 30: 2, 40: 3, 99: 4, 90: 5, 50: 6}
"""Order of the stages within an attempt. A known failure says more than "out of time", and songs
that were made in the end, however late, outrank everything."""

ENDS: frozenset[int] = frozenset({50, 90, 99})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipState:
    """The newest that is known of a generated song."""

    stage: ClipStage = 10
    code: str = ""
    detail: str = ""
    status: str = ""
    """In the provider's words."""
    task_id: str = ""
    next_ms: int = 0
    """When the provider is asked next, Unix time; 0 for never."""
    reads: int = 0
    sends: int = 0
    called_back_ms: int = 0
    """When a callback came last; 0 for never."""
    read_ms: int = 0
    """When the provider's state was noted last."""
    songs: Sequence[Song] = ()
    late: bool = False
    chained_job_id: str = ""
    chained_track_id: str = ""

    @property
    def ended(self) -> bool:
        """True once the songs are there, or given up on."""
        return self.stage in ENDS


def clip_state(cells: Mapping[str, Cell]) -> ClipState:
    """What the cells ``clip/…`` say."""

    def said(name: str) -> Any:
        cell = cells.get(f"clip/{name}")
        return {} if cell is None else cell.value

    stage, task, made = said("stage"), said("task"), said("made")
    chained, called = said("chained"), said("callback")
    return ClipState(
        stage=stage.get("stage", 10),
        code=stage.get("code", ""),
        detail=stage.get("detail", ""),
        status=stage.get("status", ""),
        task_id=task.get("id", ""),
        next_ms=stage.get("nextMs", 0),
        reads=stage.get("reads", 0),
        sends=stage.get("sends", 0),
        called_back_ms=called.get("atMs", 0),
        read_ms=stage.get("atMs", 0),
        songs=tuple(Song.from_wire(song) for song in made.get("songs", ())),
        late=made.get("late", False),
        chained_job_id=chained.get("jobId", ""),
        chained_track_id=chained.get("trackId", ""),
    )
