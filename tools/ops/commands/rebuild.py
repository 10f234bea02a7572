"""``melisma rebuild``: the projection made anew from the topics."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.projection.sqlite import SqliteStore
from tools.ops import display, reading
from tools.ops.rebuild import Built, build, fold_over, replace
from tools.ops.workplace import Workplace, workplace
from topics.catalog import PROJECTED


def rebuild(*, to: Path | None, data: Path | None, output: display.Output) -> None:
    """Rebuild in place, or into another folder, and say what that changed."""
    with workplace(data) as place:
        began = time.monotonic()
        total = reading.count(place.log, [place.codec.on_log(name) for name in PROJECTED])
        with display.progress("folding", total) as counted:
            made = _made(place, to, counted)
        seconds = time.monotonic() - began
        swapped = made.swapped
        if output == "json":
            display.print_json(
                {
                    "events": made.events,
                    "poisoned": made.poisoned,
                    "seconds": round(seconds, 3),
                    "to": None if to is None else str(to),
                    "documents": None
                    if swapped is None
                    else {
                        "same": swapped.same,
                        "changed": swapped.changed,
                        "added": swapped.added,
                        "removed": swapped.removed,
                    },
                }
            )
            return
        print(
            f"{made.events} events folded in {seconds:.1f} s"
            + (f", {made.poisoned} unreadable records passed over" if made.poisoned else "")
        )
        if swapped is not None:
            print(
                f"{swapped.documents} jobs and tracks: {swapped.same} as before,"
                f" {swapped.changed} changed, {swapped.added} added, {swapped.removed} removed"
            )
        if to is not None:
            print(f"the projection is in '{to}'")


def _made(place: Workplace, to: Path | None, counted: reading.Progress) -> Built:
    if to is not None:
        return build(place.log, place.codec, to, counted)
    with place.projection() as store:
        if not isinstance(store, SqliteStore):
            return fold_over(place.log, place.codec, store, counted)
    return replace(place.log, place.codec, place.settings.data_dir, counted)
