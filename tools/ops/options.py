"""Options that many of the operators' commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of log, artifacts and projection."),
]
Output = Annotated[
    Literal["table", "json"], typer.Option("-o", "--output", help="table for people, json.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Rate = Annotated[
    str | None, typer.Option("--rate", metavar="N/s", help="At most so many: 5/s, 300/m, 1000/h.")
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="T", help="Not before: 2026-03-01T12:00:00Z or 2h ago as 2h."),
]
To = Annotated[str | None, typer.Option("--to", metavar="T", help="Before this time.")]
Url = Annotated[
    str | None, typer.Option("--url", help="Address of the gateway; PUBLIC_BASE_URL without it.")
]
MaxReplays = Annotated[
    int, typer.Option("--max-replays", min=1, help="Leave what was replayed so often already.")
]
