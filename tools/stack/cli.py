"""``melisma stack``: the real servers from a shell. Each command imports what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from tools.stack.stack import Stack, Status

app = typer.Typer(
    help="Run released Kafka, Cassandra, schema registry and S3 servers, without containers.",
    no_args_is_help=True,
)

Only = Annotated[
    str,
    typer.Option("--only", metavar="A,B", help="Some of cassandra, kafka, registry, s3."),
]
Folder = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Folder of this stack; one stack each.")
]
_DEFAULT = Path("data/stack")


@app.command()
def up(
    only: Only = "",
    data: Folder = _DEFAULT,
    brokers: Annotated[
        int | None, typer.Option("--brokers", help="Kafka brokers, from the first start on.")
    ] = None,
) -> None:
    """Fetch, format and start what does not run; print the settings that name it."""
    with _stack(data, only, brokers) as stack:
        for name, value in stack.up().items():
            print(f"{name}={value}")
        typer.echo(f"written to {stack.data_dir / 'stack.env'}", err=True)


@app.command()
def down(
    only: Only = "",
    data: Folder = _DEFAULT,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the data, too.")] = False,
) -> None:
    """Stop what runs; data and ports are kept for the next start."""
    with _stack(data, only) as stack:
        stack.down(only=stack.services if only else None, purge=purge)


@app.command()
def status(
    data: Folder = _DEFAULT,
    output: Annotated[
        Literal["table", "json"], typer.Option("-o", "--output", help="table or json.")
    ] = "table",
) -> None:
    """Show each server's state, address, memory. Status 1 unless all of them are ready."""
    with _stack(data) as stack:
        found = stack.status()
        if output == "json":
            _print_json(stack, found)
        else:
            _print_table(found)
        if not found or any(server.condition != "ready" for server in found):
            raise typer.Exit(1)


@app.command()
def logs(
    server: Annotated[str, typer.Argument(help="kafka, kafka-2, cassandra, registry or s3.")],
    data: Folder = _DEFAULT,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, help="How many to begin with.")
    ] = 50,
) -> None:
    """Print the last lines of a server's log."""
    from tools.stack.tail import tail

    with _stack(data) as stack:
        for text in tail(stack.log(server), lines=lines, follow=follow):
            typer.echo(text)


@contextmanager
def _stack(data: Path, only: str = "", brokers: int | None = None) -> Iterator[Stack]:
    from tools.stack.errors import StackError
    from tools.stack.services import SERVICES
    from tools.stack.stack import Stack

    names = [name.strip() for name in only.split(",") if name.strip()] or list(SERVICES)
    try:
        yield Stack(data, names, brokers, say=lambda line: typer.echo(line, err=True))
    except StackError as error:
        typer.echo(f"melisma stack: {error}", err=True)
        raise typer.Exit(1) from error
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        typer.echo(f"melisma stack: {what}{error.strerror or error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        typer.echo("stopped waiting; `melisma stack down` stops what runs", err=True)
        raise typer.Exit(130) from None


def _print_json(stack: Stack, found: list[Status]) -> None:
    import json
    from dataclasses import asdict

    servers = [asdict(server) for server in found]
    print(json.dumps({"data": str(stack.data_dir), "servers": servers}, indent=2))


def _print_table(found: list[Status]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("server", "state", "address", "pid", "MB", box=None)
    for server in found:
        memory = "" if server.rss_mb is None else f"{server.rss_mb:.0f}"
        pid = "" if server.pid is None else str(server.pid)
        table.add_row(server.name, server.condition, server.address, pid, memory)
    console = Console()
    console.print(table if found else "no server was ever started here; `melisma stack up`")
