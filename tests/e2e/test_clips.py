"""A channel's wish through the whole product: the provider's song, its clip, its karaoke."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.product import LONG_S, Product, Running, until
from tests.processors.video import films

pytestmark = pytest.mark.e2e

CLIPS = "/api/music-clips"


def test_a_wish_becomes_a_clip_and_a_published_karaoke(
    run: Callable[..., Running], own_product: Callable[..., Product], tmp_path: Path
) -> None:
    provider = run("fake-provider", "--port", "0", "--seconds", "1").to_live()
    product = own_product(SUNO_BASE_URL=provider.url())
    with product.http() as http, product.client() as client:
        wish = {"prompt": "harbour lights", "style": "folk", "title": "Harbour Lights"}
        channel = f"{CLIPS}/channels/demo"
        made = http.put(channel, json={**wish, "chain": "karaoke", "language": "en"})
        assert made.status_code == 200, made.text
        accepted = http.post(f"{channel}/runOnce", json={})
        assert accepted.status_code == 202, accepted.text
        job = f"{CLIPS}/jobs/{accepted.json()['jobId']}"

        def ended() -> dict[str, Any] | None:
            details: dict[str, Any] = http.get(f"{job}/details").json()
            return details if details["state"] in ("succeeded", "failed") else None

        details = until(ended, "the clip", timeout_s=2 * LONG_S)
        assert details["stage"] == "STAGE_50_SUNO_SUCCESS", details
        assert len(details["songs"]) == 2
        client.download(details["files"]["clip"]["url"], tmp_path / "clip.mp4")
        assert len(films.frames(tmp_path / "clip.mp4", "64:64:0:0")) > 0

        karaoke = client.wait_for_job(details["chained"]["jobId"], timeout_s=2 * LONG_S)
        assert karaoke["state"] == "succeeded", karaoke
        ready = client.ready(details["chained"]["trackId"])
        assert ready["version"] == 1
        assert any(word["startMs"] is not None for word in ready["lyrics"]["lines"][0]["words"])

        with product.http() as asking:
            counts = asking.get(f"{provider.url()}/counts").json()
        assert (counts["tasks"], counts["generateCalls"]) == (1, 1)


def test_a_song_is_followed_from_a_shell_and_goes_on_to_mastering(
    run: Callable[..., Running], own_product: Callable[..., Product], tmp_path: Path
) -> None:
    provider = run("fake-provider", "--port", "0", "--seconds", "1").to_live()
    product = own_product(SUNO_BASE_URL=provider.url())
    with product.http() as http, product.client() as client:
        wish = {"prompt": "harbour lights", "style": "folk", "title": "Harbour Lights"}
        made = http.put(f"{CLIPS}/channels/night", json={**wish, "chain": "mastering"})
        assert made.status_code == 200, made.text
        out = tmp_path / "out"
        told = ("--url", product.base_url, "--language", "en")
        shell = run("clip", "--channel", "night", "--out", out, *told)
        assert shell.wait(2 * LONG_S) == 0, shell.last_words
        # A file or a pipe gets lines, one for each thing that changes, and no control characters.
        lines = shell.stdout.splitlines()
        assert "\x1b" not in shell.stdout
        stages = [
            line.split("  ")[1].partition(" | ")[0] for line in lines if " | job job_" in line
        ]
        assert stages == sorted(set(stages))  # each once, in order
        assert stages[-1] == "STAGE_50_SUNO_SUCCESS"
        assert any(" | task suno_task_" in line for line in lines)
        names = {path.name for path in out.iterdir()}
        assert {"song-1.mp3", "song-2.mp3", "cover-1.png", "clip.mp4"} <= names, names

        (chained,) = [line.split()[-1] for line in lines if line.startswith("goes on as job ")]
        master = client.wait_for_job(chained, timeout_s=2 * LONG_S)
        assert master["state"] == "succeeded", master
        artifacts = client.mastering_job(chained)["artifacts"]
        assert {"master", "preview", "report"} <= set(artifacts), artifacts


def test_who_stops_looking_is_told_how_to_look_again(
    run: Callable[..., Running], own_product: Callable[..., Product]
) -> None:
    provider = run("fake-provider", "--port", "0", "--seconds", "3600").to_live()
    product = own_product(SUNO_BASE_URL=provider.url())
    with product.http() as http:
        assert http.put(f"{CLIPS}/channels/night", json={"prompt": "sea"}).status_code == 200
        looking = run("clip", "--channel", "night", "--url", product.base_url)
        until(lambda: "| job job_" in looking.stdout, "a first line")
        looking.send_signal(signal.SIGINT)
        assert looking.wait() == 130
        (job_id,) = set(re.findall(r"job_\d+_\w+", looking.stdout))
        said = " ".join(looking.stderr.split())
        assert f"job {job_id} goes on" in said
        command = f"melisma clip --job {job_id} --url {product.base_url}"
        assert command in said
        again = run(*command.split()[1:])
        until(lambda: f"| job {job_id}" in again.stdout, "the same job")
        again.send_signal(signal.SIGINT)
        assert again.wait() == 130
        assert http.get(f"{provider.url()}/counts").json()["generateCalls"] <= 1
