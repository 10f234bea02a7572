"""The README's walk-through does what it says, run word for word."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile

from gateway.client import Client
from tests import songs
from tests.e2e.product import Product, environment

pytestmark = pytest.mark.e2e

README = Path(__file__).parents[2] / "README.md"


def walk_through() -> str:
    """The block of shell commands that drives the REST API."""
    [block] = [
        block
        for block in re.findall(r"```sh\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
        if block.startswith("api=")
    ]
    assert isinstance(block, str)
    return block


def bodies(output: str) -> list[dict[str, Any]]:
    """The JSON objects among what curl printed."""
    found: list[dict[str, Any]] = []
    decoder = json.JSONDecoder()
    at = output.find("{")
    while at >= 0:
        body, end = decoder.raw_decode(output, at)
        found.append(body)
        at = output.find("{", end)
    return found


@pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("bash", "curl", "python3", "awk")),
    reason="the walk-through needs bash, curl, python3 and awk",
)
def test_the_walk_through_publishes_a_song(
    product: Product, client: Client, http: httpx.Client, tmp_path: Path
) -> None:
    # Of no other test: a song that was separated before is published before the first look.
    song = songs.make("english", 44)
    shutil.copy(song.path, tmp_path / "song.flac")
    (tmp_path / "lyrics.txt").write_text(song.lyrics_text, "utf-8")
    commands = walk_through()
    own = commands.replace("http://127.0.0.1:8080", product.base_url)
    assert own != commands
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", own],
        cwd=tmp_path,
        env=environment(tmp_path, NO_PROXY="*"),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    assert "HTTP/1.1 425" in ran.stdout
    assert "retry-after:" in ran.stdout.lower()
    early, draft, again, versions, diff, film, cancel, retry = bodies(ran.stdout)
    assert early["code"] == "track_not_ready"
    assert (draft["version"], draft["state"]) == (2, "draft")
    assert again["version"] == 2
    assert [each["version"] for each in versions["versions"]] == [1, 2]
    assert diff["summary"]["words"]["text"] == 1
    assert (tmp_path / "song.ass").read_text("utf-8").startswith("[Script Info]")
    assert film["videoId"] == film["jobId"]
    assert (tmp_path / "karaoke.mp4").read_bytes()[4:8] == b"ftyp"
    assert (cancel["code"], retry["code"]) == ("job_ended", "job_not_failed")
    assert soundfile.info(tmp_path / "minus.flac").duration == pytest.approx(
        song.mix.seconds, abs=0.01
    )

    job = client.wait_for_job(again["jobId"], timeout_s=120)
    assert job["state"] == "succeeded"
    ready = client.ready(draft["trackId"])
    assert ready["version"] == 2
    assert ready["lyrics"]["lines"][0]["words"][2]["text"] == "lights"
    first = json.loads((tmp_path / "ready.json").read_text())["lyrics"]
    assert http.get(f"/v1/tracks/{draft['trackId']}/versions/1").json()["lyrics"] == first
