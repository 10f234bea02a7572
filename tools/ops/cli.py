"""The operators' commands: arguments only. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tools.ops.cli_topics import topics
from tools.ops.options import Data, DryRun, From, MaxReplays, Output, Rate, To, Url, Yes

keys = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)
dlq = typer.Typer(help="Look at dead letters; replay or drop them.", no_args_is_help=True)
jobs = typer.Typer(help="List, show, retry and cancel jobs.", no_args_is_help=True)


def replay(
    stage: Annotated[
        str, typer.Option("--stage", help="First stage to run again; the rest follows.")
    ],
    topic: Annotated[
        str | None, typer.Argument(help="Topic of recorded events, e.g. separated.")
    ] = None,
    job: Annotated[str | None, typer.Option("--job", metavar="ID", help="Events of a job.")] = None,
    track: Annotated[
        str | None, typer.Option("--track", metavar="ID", help="Events of a track.")
    ] = None,
    since: From = None,
    until: To = None,
    dry_run: DryRun = False,
    rate: Rate = None,
    yes: Yes = False,
    id: Annotated[  # noqa: A002  (the option's name)
        str, typer.Option("--id", help="Go on with an interrupted replay.")
    ] = "",
    webhooks: Annotated[
        bool, typer.Option("--webhooks", help="Tell callbacks about the new versions.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Compute again even where a result is stored.")
    ] = False,
    replace_lyrics: Annotated[
        bool, typer.Option("--replace-lyrics", help="Transcribe where lyrics were given, too.")
    ] = False,
    max_replays: MaxReplays = 3,
    data: Data = None,
    output: Output = "table",
) -> None:
    """Run recorded events through the pipeline again, as new versions of their tracks.

    One version a track: from the newest event that holds what the stage works on, with the words
    that are published now. Published versions stay; tracks with a draft or a job in work are left.
    """
    from tools.ops.commands import replay as command
    from tools.ops.replay import Order

    selection = command.selection_of(topic, job, track, since, until)
    order = Order(
        replay_id=id,
        stage=command.stage_of(stage),
        webhooks=webhooks,
        replace_lyrics=replace_lyrics,
        force=force,
        max_replays=max_replays,
    )
    per_second = command.rate_of(rate)
    command.replay(
        selection, order, data=data, dry_run=dry_run, per_second=per_second, yes=yes, output=output
    )


def rebuild(
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Build here instead, to look at."),
    ] = None,
    data: Data = None,
    output: Output = "table",
) -> None:
    """Make the projection anew from the topics; the product may run meanwhile."""
    from tools.ops.commands import rebuild as command

    command.rebuild(to=to, data=data, output=output)


# -- dead letters ------------------------------------------------------------------------------

Letters = Annotated[
    list[str] | None, typer.Argument(metavar="LETTER", help="As listed: stage/0/12.")
]
OfStage = Annotated[str | None, typer.Option("--stage", help="Of this stage, or of the projector.")]
OfCode = Annotated[str | None, typer.Option("--code", help="With this error code, e.g. poison.")]
OfJob = Annotated[str | None, typer.Option("--job", metavar="ID", help="Of this job.")]
Why = Annotated[str | None, typer.Option("--reason", help="Why; it is kept.")]
Everything = Annotated[bool, typer.Option("--everything", help="All that nobody has handled.")]


@dlq.command("ls")
def dlq_ls(
    stage: OfStage = None,
    code: OfCode = None,
    job: OfJob = None,
    since: From = None,
    until: To = None,
    all: Annotated[bool, typer.Option("--all", help="Handled ones, too.")] = False,  # noqa: A002
    data: Data = None,
    output: Output = "table",
) -> None:
    """List dead letters that nobody has replayed or dropped, the oldest first."""
    from tools.ops.commands import dlq as command

    wanted = command.filter_of((), stage, code, job, since, until, handled=all)
    command.ls(wanted, data=data, output=output)


@dlq.command("show")
def dlq_show(
    letter: Annotated[str, typer.Argument(help="As listed: stage/0/12.")],
    diff: Annotated[
        bool, typer.Option("--diff", help="Against the nearest record that is fine.")
    ] = False,
    data: Data = None,
    output: Output = "table",
) -> None:
    """Show a dead letter decoded, with its headers and why it is one."""
    from tools.ops.commands import dlq as command

    command.show(letter, diff=diff, data=data, output=output)


@dlq.command("replay")
def dlq_replay(
    letters: Letters = None,
    stage: OfStage = None,
    code: OfCode = None,
    job: OfJob = None,
    since: From = None,
    until: To = None,
    everything: Everything = False,
    reason: Why = None,
    dry_run: DryRun = False,
    rate: Rate = None,
    yes: Yes = False,
    again: Annotated[
        bool, typer.Option("--again", help="Named letters that were handled, too.")
    ] = False,
    max_replays: MaxReplays = 3,
    data: Data = None,
    output: Output = "table",
) -> None:
    """Write dead letters, bytes unchanged, to the topics they came from."""
    from tools.ops.commands import dlq as command
    from tools.ops.commands.replay import rate_of

    # Named letters that were handled are answered for by name, not passed over.
    wanted = command.filter_of(
        letters or (), stage, code, job, since, until, handled=again or bool(letters)
    )
    command.narrowed(wanted, everything=everything)
    command.replay(
        wanted,
        reason=reason,
        dry_run=dry_run,
        per_second=rate_of(rate),
        max_replays=max_replays,
        again=again,
        yes=yes,
        data=data,
        output=output,
    )


@dlq.command("drop")
def dlq_drop(
    letters: Letters = None,
    stage: OfStage = None,
    code: OfCode = None,
    job: OfJob = None,
    since: From = None,
    until: To = None,
    everything: Everything = False,
    reason: Why = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    data: Data = None,
    output: Output = "table",
) -> None:
    """Mark dead letters as not worth another try; they leave the list, not the topic."""
    from tools.ops.commands import dlq as command

    wanted = command.filter_of(letters or (), stage, code, job, since, until, handled=bool(letters))
    command.narrowed(wanted, everything=everything)
    command.drop(wanted, reason=reason, dry_run=dry_run, yes=yes, data=data, output=output)


# -- jobs --------------------------------------------------------------------------------------


@jobs.command("ls")
def jobs_ls(
    state: Annotated[
        str | None,
        typer.Option("--state", help="queued, running, failed, canceled or succeeded."),
    ] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="That stand at this stage.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="T", help="Created since: a time, or 2h, 7d.")
    ] = None,
    most: Annotated[int, typer.Option("-n", min=1, help="At most so many.")] = 50,
    url: Url = None,
    output: Output = "table",
) -> None:
    """List jobs, newest first."""
    from tools.ops.commands import jobs as command

    command.ls(state=state, stage=stage, since=since, most=most, url=url, output=output)


@jobs.command("show")
def jobs_show(
    job: Annotated[str, typer.Argument(help="Id of the job.")],
    url: Url = None,
    output: Output = "table",
) -> None:
    """Show a job and its steps."""
    from tools.ops.commands import jobs as command

    command.show(job, url=url, output=output)


@jobs.command("retry")
def jobs_retry(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB", help="Ids of failed jobs.")],
    url: Url = None,
    output: Output = "table",
) -> None:
    """Start failed jobs again, each at the stage that failed."""
    from tools.ops.commands import jobs as command

    command.retry(jobs, url=url, output=output)


@jobs.command("cancel")
def jobs_cancel(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB", help="Ids of the jobs.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; shown with the job.")] = "",
    url: Url = None,
    output: Output = "table",
) -> None:
    """Stop jobs that have not ended."""
    from tools.ops.commands import jobs as command

    command.cancel(jobs, reason=reason, url=url, output=output)


# -- keys ----------------------------------------------------------------------------------------

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, as listed.")]


@keys.command("create")
def keys_create(
    tenant: Annotated[str, typer.Option("--tenant", help="Whose key it is.")] = "default",
    name: Annotated[str, typer.Option("--name", help="What it is for; shown in the list.")] = "",
    role: Annotated[
        Literal["user", "operator", "admin"],
        typer.Option(
            "--role", help="operator: in every tenant; admin: without limits and quotas, too."
        ),
    ] = "user",
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="tracks:read, jobs:write, …; again for more. All without it."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="AGE", help="Works so long: 30d, 12h.")
    ] = None,
    data: Data = None,
    output: Output = "table",
) -> None:
    """Make a key. It is shown once, and kept nowhere."""
    from tools.ops.commands import keys as command

    command.create(
        tenant=tenant,
        name=name,
        role=role,
        scopes=scope or [],
        expires=expires,
        data=data,
        output=output,
    )


@keys.command("ls")
def keys_ls(
    all: Annotated[  # noqa: A002
        bool, typer.Option("--all", help="Those that work no more, too.")
    ] = False,
    data: Data = None,
    output: Output = "table",
) -> None:
    """List the keys by their beginnings."""
    from tools.ops.commands import keys as command

    command.ls(every=all, data=data, output=output)


@keys.command("rotate")
def keys_rotate(
    key: KeyId,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="AGE", help="The old key works so much longer.")
    ] = "24h",
    data: Data = None,
    output: Output = "table",
) -> None:
    """Make a key's successor with the same rights; both work for a while."""
    from tools.ops.commands import keys as command

    command.rotate(key, overlap=overlap, data=data, output=output)


@keys.command("revoke")
def keys_revoke(
    key: KeyId,
    data: Data = None,
    output: Output = "table",
) -> None:
    """End a key; gateways notice within 5 seconds."""
    from tools.ops.commands import keys as command

    command.revoke(key, data=data, output=output)


def mount(app: typer.Typer) -> None:
    """Add the operators' commands to ``melisma``."""
    app.command()(replay)
    app.command()(rebuild)
    app.add_typer(dlq, name="dlq")
    app.add_typer(jobs, name="jobs")
    app.add_typer(keys, name="keys")
    app.add_typer(topics, name="topics")
