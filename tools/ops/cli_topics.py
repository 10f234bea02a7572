"""The operators' commands about topics: arguments only. Each imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from tools.ops.options import Data, Output

topics = typer.Typer(help="List, follow and provision the topics.", no_args_is_help=True)


@topics.command("ls")
def topics_ls(
    all: Annotated[  # noqa: A002
        bool, typer.Option("--all", help="Empty retry topics and topics of others, too.")
    ] = False,
    data: Data = None,
    output: Output = "table",
) -> None:
    """List the topics: partitions, records written, how long they are kept."""
    from tools.ops.commands import topics as command

    command.ls(every=all, data=data, output=output)


@topics.command("tail")
def topics_tail(
    topic: Annotated[str, typer.Argument(help="Name of the topic.")],
    decode: Annotated[bool, typer.Option("--decode", help="Show the events themselves.")] = False,
    last: Annotated[int, typer.Option("-n", min=0, help="Records to begin with.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the first record that is kept.")
    ] = False,
    data: Data = None,
    output: Output = "table",
) -> None:
    """Print the last records of a topic; with -o json a document a line."""
    from tools.ops.commands import topics as command

    command.follow(
        topic,
        decode=decode,
        last=None if from_beginning else last,
        on=follow,
        data=data,
        output=output,
    )


@topics.command("apply")
def topics_apply(data: Data = None, output: Output = "table") -> None:
    """Create missing topics and register missing schemas; refuse what would break readers."""
    from tools.ops.commands import topics as command

    command.provision(data=data, output=output)


@topics.command("diff")
def topics_diff(data: Data = None, output: Output = "table") -> None:
    """Show what is missing or different from the catalog."""
    from tools.ops.commands import topics as command

    command.show_diff(data=data, output=output)


@topics.command("check")
def topics_check(data: Data = None, output: Output = "table") -> None:
    """As diff, with status 1 unless everything is there and fits."""
    from tools.ops.commands import topics as command

    command.check(data=data, output=output)
