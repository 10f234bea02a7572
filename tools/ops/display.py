"""Tables for people, JSON for programs; nothing secret in either."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from tools.ops.reading import Progress as Counted
from topics.logs import redacted

Output = Literal["table", "json"]

_UNBOUND = 1000  # characters; longer than any line of ours

MOST_ROWS = 50
"""Rows of a table about what was done; JSON holds them all."""


def clean(value: Any) -> Any:
    """The value with every string in it redacted: signed queries, tokens and keys."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {name: clean(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(each) for each in value]
    return value


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(clean(value), ensure_ascii=False, indent=2, default=str))


def print_json_line(value: Any) -> None:
    """One line of a stream of JSON documents, written at once."""
    print(json.dumps(clean(value), ensure_ascii=False, default=str), flush=True)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str, flowing: str = ""
) -> None:
    """A table in the terminal's width. Only the column ``flowing`` is cut where room is short:
    ids are there to be copied.
    """
    console = Console()
    if not rows:
        console.print(empty, highlight=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(columns):
        table.add_column(
            name,
            no_wrap=True,
            overflow="ellipsis" if name == flowing else "fold",
            min_width=12 if name == flowing else None,
            justify="right" if all(isinstance(row[at], int) for row in rows) else "left",
        )
    for row in rows:
        table.add_row(*(Text(redacted(str(each))) for each in row))
    # A pipe has no width: cut nothing that a program's user greps for.
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_UNBOUND)
    console.print(table)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Names and values, one a line; empty ones are left out."""
    width = max(len(name) for name in fields) + 2
    for name, value in fields.items():
        if value not in (None, ""):
            print(f"{name:<{width}}{redacted(str(value))}")


@contextmanager
def progress(what: str, total: int) -> Iterator[Counted]:
    """A bar on stderr while something is counted; silent where nobody watches."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda read: bar.advance(task, read)
