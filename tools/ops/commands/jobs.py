"""``melisma jobs``: what runs, what failed and why, through the REST API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import typer

from gateway.client import Client, Refused
from gateway.steps import step_of
from schemas.work import EVERY_STEP
from tools.ops import display
from tools.ops.asking import gateway_client
from tools.ops.times import age, instant_ms, rfc3339
from tools.ops.workplace import checked, fail

STATES = ("queued", "running", "failed", "canceled", "succeeded")
_PAGE = 200  # the API's largest


def ls(
    *, state: str | None, stage: str | None, since: str | None, most: int, url: str | None,
    output: display.Output,
) -> None:  # fmt: skip
    """List jobs, newest first."""
    query: dict[str, str | int] = {}
    if state:
        if state not in STATES:
            fail(f"there is no state '{state}'; the states are {', '.join(STATES)}")
        query["state"] = state
    if stage:
        if step_of(stage) not in EVERY_STEP:
            fail(f"there is no stage '{stage}'; the stages are {', '.join(EVERY_STEP.values())}")
        query["step"] = step_of(stage)
    since_ms = checked(instant_ms, since, time.time_ns() // 1_000_000)
    if since_ms is not None:
        query["since"] = rfc3339(since_ms)
    with gateway_client(url) as client:
        jobs = list(_pages(client, query, most))
    if output == "json":
        display.print_json(jobs)
        return
    _print_jobs(jobs)


def show(job_id: str, *, url: str | None, output: display.Output) -> None:
    """One job with its steps."""
    with gateway_client(url) as client:
        job = client.job(job_id)
    _print_job(job, output)


def retry(job_ids: Sequence[str], *, url: str | None, output: display.Output) -> None:
    """Start failed jobs again."""
    _each(job_ids, lambda client, job_id: client.retry(job_id), url, output)


def cancel(job_ids: Sequence[str], *, reason: str, url: str | None, output: display.Output) -> None:
    """Stop jobs."""
    _each(job_ids, lambda client, job_id: client.cancel(job_id, reason), url, output)


def _each(
    job_ids: Sequence[str],
    ask: Callable[[Client, str], object],
    url: str | None,
    output: display.Output,
) -> None:
    """Ask for every job, show what became of each; status 1 when one was refused."""
    done: list[dict[str, Any]] = []
    refusals: list[str] = []
    with gateway_client(url) as client:
        for job_id in job_ids:
            try:
                ask(client, job_id)
                done.append(client.job(job_id))
            except Refused as refused:  # the others are no worse for it
                refusals.append(str(refused))
    if output == "json":
        display.print_json(done)
    elif done:
        _print_jobs(done)
    for why in refusals:
        typer.echo(f"melisma: {why}", err=True)
    if refusals:
        raise typer.Exit(1)


def _pages(client: Client, query: dict[str, str | int], most: int) -> Iterator[dict[str, Any]]:
    left, cursor = most, None
    while left > 0:
        more: dict[str, str | int] = {"cursor": cursor} if cursor else {}
        page = client.jobs(**query, **more, limit=min(left, _PAGE))
        yield from page["jobs"]
        left -= len(page["jobs"])
        cursor = page.get("cursor")
        if not cursor:
            return


def _print_jobs(jobs: Sequence[dict[str, Any]]) -> None:
    display.print_table(
        ("job", "state", "stage", "done", "age", "title or reason"),
        [
            (
                job["jobId"],
                job["state"],
                job.get("stage", ""),
                f"{job['progress']:.0%}",
                _age(job.get("createdAt")),
                _about(job),
            )
            for job in jobs
        ],
        empty="no such job",
        flowing="title or reason",
    )


def _print_job(job: dict[str, Any], output: display.Output) -> None:
    if output == "json":
        display.print_json(job)
        return
    error = job.get("error", {})
    display.print_fields(
        {
            "job": job["jobId"],
            "track": job["trackId"],
            "title": job.get("title"),
            "kind": job.get("kind"),
            "version": job.get("version"),
            "state": f"{job['state']}, {job['progress']:.0%} done, attempt {job['attempt']}",
            "error": f"{error['code']}: {error['message']}" if error else "",
            "created": _short(job.get("createdAt")),
            "updated": _short(job.get("updatedAt")),
            "waiting": f"{job['noWorkerForSeconds']} s for a worker"
            if "noWorkerForSeconds" in job
            else "",
        }
    )
    print()
    display.print_table(
        ("step", "state", "done", "try", "seconds", "limit", "note"),
        [
            (
                step["step"],
                f"{step['state']}{' OVERDUE' if step.get('overdue') else ''}",
                f"{step['progress']:.0%}",
                step.get("tryNumber", ""),
                _seconds(step.get("seconds", step.get("elapsedSeconds"))),
                _seconds(step.get("slaSeconds")),
                _note(step),
            )
            for step in job["steps"]
        ],
        empty="no steps",
        flowing="note",
    )


def _note(step: dict[str, Any]) -> str:
    if "error" in step:
        return str(step["error"]["message"])
    if step.get("reused"):
        return "a stored result was adopted"
    return str(step.get("note", ""))


def _about(job: dict[str, Any]) -> str:
    return str(job["error"]["message"]) if "error" in job else str(job.get("title", ""))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _age(created: str | None) -> str:
    if not created:
        return ""
    return age(time.time_ns() // 1_000_000 - instant_ms(created, 0))


def _short(time: str | None) -> str:
    """RFC 3339 to the second."""
    return f"{time[:10]} {time[11:19]}Z" if time else ""
