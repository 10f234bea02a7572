"""``melisma clip``: a song for a channel, watched until it is there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from tools.serve import fail

POLL_S = 3.0
"""How often the job is asked for (the first service's page did so)."""

_ENDS = ("STAGE_50_SUNO_SUCCESS", "STAGE_90_FAILED", "STAGE_99_TIMEOUT")
_CLIP_WAIT_S = 300.0  # for the clip, once the song is there

_console = Console()

_SUFFIXES = {"mpeg": "mp3", "plain": "txt"}

Json = dict[str, Any]


def make_clip(
    channel: str, *, job_id: str, url: str, user: str, out: Path | None, language: str
) -> None:
    """Ask for a song (or follow ``job_id``), show how it goes, and save what was made; status 1
    when nothing was, 130 when nobody wanted to look any longer.
    """
    headers = {"Accept-Language": language}
    if key := os.environ.get("MELISMA_API_KEY", ""):
        headers["Authorization"] = f"Bearer {key}"
    try:
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30.0) as client:
            job_id = job_id or _asked(client, channel, user)
            job = _followed(client, job_id)
            if job["stage"] != _ENDS[0]:
                fail(f"{job['stage']}: {escape(job['error'])}")
            _console.print(f"audio  {job['audioUrl']}", soft_wrap=True, highlight=False)
            files = _with_clip(client, job_id)
            if out is not None:
                _saved(client, files, out)
    except httpx.HTTPStatusError as error:
        away = error.response.status_code >= 500
        fail(escape(_in_words(error.response)) + (_goes_on(job_id, url) if away else ""))
    except httpx.HTTPError as error:
        gone = f"the gateway at {url} does not answer ({type(error).__name__}); is it running?"
        fail(escape(gone) + _goes_on(job_id, url))
    except KeyboardInterrupt:
        fail("stopped looking" + (_goes_on(job_id, url) or "; no song was asked for"), 130)


def _goes_on(job_id: str, url: str) -> str:
    """What to say when nobody looks any longer."""
    if not job_id:
        return ""
    return f"; job {job_id} goes on. Look again: melisma clip --job {job_id} --url {escape(url)}"


def _in_words(answer: httpx.Response) -> str:
    try:
        said: Json = answer.json()
        return f"{said.get('error') or said.get('code')}: {said.get('message') or said['detail']}"
    except (ValueError, KeyError, AttributeError):
        return f"the gateway answered {answer.status_code}"


def _asked(client: httpx.Client, channel: str, user: str) -> str:
    answer = client.post(f"/api/music-clips/channels/{channel}/runOnce", json={"userId": user})
    if answer.status_code != 202:
        why = _in_words(answer)
        if why.startswith("CHANNEL_NOT_FOUND"):
            known = client.get("/api/music-clips/channels").json()["channels"]
            names = ", ".join(each["channelId"] for each in known) or "none yet"
            why += f"; there are: {names}"
        fail(escape(why))
    return str(answer.json()["jobId"])


def _followed(client: httpx.Client, job_id: str) -> Json:
    """The job once it has ended. On a terminal what is seen moves every second meanwhile; a file
    or a pipe gets a line for each thing that changes.
    """
    began = asked_at = time.monotonic()
    job, about = _look(client, job_id)
    said = ""
    with _live() as live:
        while True:
            elapsed_s = time.monotonic() - began
            if live is not None:
                live.update(_shown(job, about, elapsed_s), refresh=True)
            elif (line := _line(job, about)) != said:
                said = line
                _console.print(
                    f"{_timer(elapsed_s)}  {line}", soft_wrap=True, highlight=False, markup=False
                )
            if job["stage"] in _ENDS:
                return job
            time.sleep(min(1.0, POLL_S))
            if time.monotonic() - asked_at >= POLL_S:
                asked_at = time.monotonic()
                job, about = _look(client, job_id)


@contextmanager
def _live() -> Iterator[Live | None]:
    """What redraws itself, where there is a terminal."""
    if not _console.is_terminal:
        yield None
        return
    with Live(console=_console, auto_refresh=False) as live:
        yield live


def _line(job: Json, about: Json) -> str:
    """All that `_shown` shows, but what changes by itself."""
    parts = [job["stage"], job["progressText"], f"job {job['jobId']}"]
    if job["sunoTaskId"]:
        parts.append(f"task {job['sunoTaskId']}")
    if status := about["provider"]["status"]:
        parts.append(f"provider {status}")
    if job["heartbeat"]["isStale"]:
        parts += ["stale", *(each["text"] for each in about["waitingFor"])]
    if job["error"]:
        parts.append(f"error: {job['error']}")
    return " | ".join(parts)


def _timer(elapsed_s: float) -> str:
    minutes, seconds = divmod(int(elapsed_s), 60)
    return f"{minutes}:{seconds:02d}"


def _look(client: httpx.Client, job_id: str) -> tuple[Json, Json]:
    path = f"/api/music-clips/jobs/{job_id}"
    job, about = client.get(path), client.get(f"{path}/details")
    job.raise_for_status()
    about.raise_for_status()
    return job.json(), about.json()


def _shown(job: Json, about: Json, elapsed_s: float) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("stage", f"[bold]{job['stage']}[/]  {_timer(elapsed_s)}")
    table.add_row("", escape(job["progressText"]))
    table.add_row("job", job["jobId"])
    table.add_row("task", escape(job["sunoTaskId"] or "–"))
    if status := about["provider"]["status"]:
        table.add_row("provider", escape(f"{status}, look {about['provider']['reads']}"))
    if job["heartbeat"]["isStale"]:
        silent = job["heartbeat"]["secondsSinceUpdate"]
        table.add_row("[yellow]stale[/]", f"[yellow]{silent} s[/]")
        for each in about["waitingFor"]:
            table.add_row("", f"[yellow]{escape(each['text'])}[/]")
    if job["error"]:
        table.add_row("[red]error[/]", escape(job["error"]))
    return table


def _with_clip(client: httpx.Client, job_id: str) -> Json:
    """The files, the clip among them if it comes in time."""
    deadline = time.monotonic() + _CLIP_WAIT_S
    # Without a terminal the words would stand there twice.
    with _console.status("rendering the clip") if _console.is_terminal else nullcontext():
        while True:
            about: Json = client.get(f"/api/music-clips/jobs/{job_id}/details").json()
            if about["state"] != "running" or time.monotonic() > deadline:
                break
            time.sleep(1.0)
    if about["chained"]:
        _console.print(f"goes on as job {about['chained']['jobId']}", highlight=False)
    files: Json = about["files"]
    if "clip" not in files:
        _console.print("[yellow]the clip is not there (yet); the songs are[/]")
    return files


def _saved(client: httpx.Client, files: Json, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, about in files.items():
        kind = about["mediaType"].partition(";")[0].rpartition("/")[2]
        target = out / f"{name}.{_SUFFIXES.get(kind, kind)}"
        with client.stream("GET", about["url"]) as answer:
            answer.raise_for_status()
            with target.open("wb") as file:
                for part in answer.iter_bytes():
                    file.write(part)
        _console.print(f"saved  {target}", soft_wrap=True, highlight=False)
