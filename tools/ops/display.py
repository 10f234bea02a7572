"""Tables for people, JSON for programs; nothing secret in either."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tools.ops.reading import Progress as Counted
from topics.logs import redacted

Output = Literal["table", "json"]

_LEAST = 12  # characters left of a column that is cut
_GAP = "  "

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


def print_json_secret(value: Any) -> None:
    """One JSON document on stdout with the secret that it was asked for in it."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def note(text: str) -> None:
    """A line for the person at the terminal, apart from what programs read."""
    typer.echo(text, err=True)


def print_json_line(value: Any) -> None:
    """One line of a stream of JSON documents, written at once."""
    print(json.dumps(clean(value), ensure_ascii=False, default=str), flush=True)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str, flowing: str = ""
) -> None:
    """A table in the terminal's width. Only the column ``flowing`` is cut where room is short:
    ids are there to be copied. A pipe has no width, so nothing is cut in it.
    """
    if not rows:
        print(empty)
        return
    width = shutil.get_terminal_size().columns
    bound = sys.stdout.isatty() or "COLUMNS" in os.environ
    for number, line in enumerate(table_lines(columns, rows, flowing, width if bound else None)):
        print(typer.style(line, bold=True) if number == 0 and sys.stdout.isatty() else line)


def table_lines(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], flowing: str, width: int | None
) -> list[str]:
    """The lines of a table, its header first; whole numbers stand to the right."""
    cells = [list(columns), *([_one_line(redacted(str(each))) for each in row] for row in rows)]
    widths = [max(cell_len(row[at]) for row in cells) for at in range(len(columns))]
    if flowing and width is not None:
        at = columns.index(flowing)
        rest = sum(widths) - widths[at] + len(_GAP) * (len(columns) - 1)
        widths[at] = min(widths[at], max(width - rest, _LEAST))
    right = [all(isinstance(row[at], int) for row in rows) for at in range(len(columns))]
    return [
        _GAP.join(
            " " * (widths[at] - cell_len(text)) + text if right[at] else _fitted(text, widths[at])
            for at, text in enumerate(row)
        ).rstrip()
        for row in cells
    ]


def _fitted(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text + " " * (width - cell_len(text))
    return set_cell_size(text, width - 1) + "…"


def _one_line(text: str) -> str:
    """Control characters of strangers' bytes must not move anybody's cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


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
