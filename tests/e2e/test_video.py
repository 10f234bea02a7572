"""A karaoke film through the whole product: rendered, stopped, and from the command line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gateway.client import Client, Refused
from schemas.documents.karaoke import KaraokeDocument
from tests import songs
from tests.e2e.product import LONG_S, Product, Running, accept, finish, until
from tests.processors.video import films

pytestmark = pytest.mark.e2e

LYRICS_ROWS = "1280:200:0:500"  # of 720


def renderers(product: Product) -> list[int]:
    """FFmpeg processes of the product that write a film."""
    found = []
    for pid in product.up.children():
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"libx264" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_a_published_song_becomes_a_film_once(
    client: Client, http: httpx.Client, tmp_path: Path
) -> None:
    song = songs.make("short", 1)
    track = finish(client, accept(client, song)["jobId"])["trackId"]
    asked = client.video(track, resolution="360p", fps=25)
    with pytest.raises(Refused) as early:
        client.video_ready(track, asked["videoId"])  # takes seconds to render
    assert early.value.code == "video_not_ready"
    job = client.wait_for_job(asked["jobId"], timeout_s=2 * LONG_S)
    assert job["state"] == "succeeded", job
    ready = client.video_ready(track, asked["videoId"])
    client.download(ready["url"], tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").stat().st_size == ready["sizeBytes"]

    karaoke = KaraokeDocument.model_validate(client.ready(track)["lyrics"])
    lit = films.amber(films.frames(tmp_path / "film.mp4", "640:100:0:250"))
    first = karaoke.lines[0].words[0]
    assert first.start_ms is not None
    fps = ready["fps"]
    assert lit[: round(fps * first.start_ms / 1000) - 2].max(initial=0) == 0
    assert lit.max() > 300

    again = client.video(track, resolution="360p", fps=fps)
    done = client.wait_for_job(again["jobId"], timeout_s=LONG_S)
    assert done["steps"][0]["reused"] is True
    assert client.video_ready(track, again["videoId"])["sha256"] == ready["sha256"]


def test_a_cancel_ends_ffmpeg(own_product: Callable[..., Product], tmp_path: Path) -> None:
    product = own_product()
    with product.client() as client:
        song = songs.make("english", 0)
        track = finish(client, accept(client, song)["jobId"])["trackId"]
        asked = client.video(track, resolution="1080p", fps=60)
        until(lambda: renderers(product), "FFmpeg at work")
        assert client.cancel(asked["jobId"])["state"] == "canceled"
        until(lambda: not renderers(product), "FFmpeg to be gone")
        with pytest.raises(Refused) as refused:
            client.video_ready(track, asked["videoId"])
        assert refused.value.code == "video_failed"
        assert client.ready(track)["version"] == 1


def test_the_command_writes_the_film(run: Callable[..., Running], tmp_path: Path) -> None:
    song = songs.make("short", 1)
    lyrics = tmp_path / "lyrics.txt"
    lyrics.write_text(song.lyrics_text, "utf-8")
    out = tmp_path / "out"
    sing = run("sing", song.path, "--lyrics", lyrics, "--title", "One", "--video", "--out", out)
    assert sing.wait(2 * LONG_S) == 0, sing.stderr
    about = films.said(out / "video.mp4")
    assert "1280x720" in about
    assert "title           : One" in about
    [picture] = films.frames(out / "video.mp4", at_s=1.0)
    assert films.white(picture[None, 180:290])[0] > 100  # the title


def test_the_command_renders_a_track_that_is_there(
    product: Product, client: Client, run: Callable[..., Running], tmp_path: Path
) -> None:
    song = songs.make("short", 1)
    track = finish(client, accept(client, song)["jobId"])["trackId"]
    out = tmp_path / "films" / "mine.mp4"
    told = ("--url", product.base_url, "--resolution", "360p", "--fps", "25", "--guide")
    film = run("video", track, *told, "--out", out)
    assert film.wait(2 * LONG_S) == 0, film.stderr
    assert film.stdout.strip().endswith(str(out))
    about = films.said(out)
    assert "640x360" in about
    assert "25 fps" in about
    nobody = run("video", "trk_nobody", *told, "--out", tmp_path / "none.mp4")
    assert nobody.wait(LONG_S) == 1
    assert "melisma:" in nobody.stderr + nobody.stdout
    assert "Traceback" not in nobody.stderr
    assert not (tmp_path / "none.mp4").exists()
