"""``melisma clip``: a song for a channel, watched until it is there."""

from __future__ import annotations

import time
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


def make_clip(channel: str, *, url: str, user: str, out: Path | None, language: str) -> None:
    """Ask, show how it goes, and save what was made; status 1 when nothing was."""
    headers = {"Accept-Language": language}
    try:
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30.0) as client:
            job_id = _asked(client, channel, user)
            job = _followed(client, job_id)
            if job["stage"] != _ENDS[0]:
                fail(f"{job['stage']}: {job['error']}")
            _console.print(f"audio  {job['audioUrl']}", soft_wrap=True, highlight=False)
            files = _with_clip(client, job_id)
            if out is not None:
                _saved(client, files, out)
    except httpx.HTTPError as error:
        fail(f"the gateway at {url} does not answer ({type(error).__name__}); is it running?")
    except KeyboardInterrupt:
        fail("stopped looking; the job goes on", 130)


def _asked(client: httpx.Client, channel: str, user: str) -> str:
    answer = client.post(f"/api/music-clips/channels/{channel}/runOnce", json={"userId": user})
    body: Json = answer.json()
    if answer.status_code != 202:
        known = client.get("/api/music-clips/channels").json().get("channels", [])
        names = ", ".join(each["channelId"] for each in known) or "none yet"
        more = f"; there are: {names}" if body.get("error") == "CHANNEL_NOT_FOUND" else ""
        fail(f"{body.get('error', answer.status_code)}: {body.get('message', '')}{more}")
    return str(body["jobId"])


def _followed(client: httpx.Client, job_id: str) -> Json:
    """The job once it has ended; what is seen moves every second meanwhile."""
    began = asked_at = time.monotonic()
    job, about = _look(client, job_id)
    with Live(console=_console, auto_refresh=False) as live:
        while True:
            live.update(_shown(job, about, time.monotonic() - began), refresh=True)
            if job["stage"] in _ENDS:
                return job
            time.sleep(min(1.0, POLL_S))
            if time.monotonic() - asked_at >= POLL_S:
                asked_at = time.monotonic()
                job, about = _look(client, job_id)


def _look(client: httpx.Client, job_id: str) -> tuple[Json, Json]:
    path = f"/api/music-clips/jobs/{job_id}"
    job, about = client.get(path), client.get(f"{path}/details")
    job.raise_for_status()
    about.raise_for_status()
    return job.json(), about.json()


def _shown(job: Json, about: Json, elapsed_s: float) -> Table:
    table = Table.grid(padding=(0, 2))
    minutes, seconds = divmod(int(elapsed_s), 60)
    table.add_row("stage", f"[bold]{job['stage']}[/]  {minutes}:{seconds:02d}")
    table.add_row("", escape(job["progressText"]))
    table.add_row("job", job["jobId"])
    table.add_row("task", escape(job["sunoTaskId"] or "–"))
    if status := about["provider"]["status"]:
        table.add_row("provider", escape(f"{status}, {about['provider']['reads']} looks"))
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
    with _console.status("rendering the clip"):
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
