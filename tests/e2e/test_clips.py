"""A channel's wish through the whole product: the provider's song, its clip, its karaoke."""

from __future__ import annotations

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
