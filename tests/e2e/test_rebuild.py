"""The projection can be thrown away: what the log keeps makes the same one again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.client import Refused
from gateway.projection.projector import rebuild
from gateway.projection.sqlite import SqliteStore
from tests import songs
from tests.e2e.product import Product, accept, finish
from topics.codec import Codec
from topics.log.embedded import EmbeddedLog

pytestmark = pytest.mark.e2e


def test_a_rebuild_of_a_whole_history_equals_the_live_projection(
    own_product: Callable[..., Product], tmp_path: Path
) -> None:
    product = own_product()
    song = songs.make("short", 1)
    with product.client() as client:
        accepted = accept(client, song)
        track = accepted["trackId"]
        finish(client, accepted["jobId"])
        edited = client.edit_lyrics(track, version=1, lyrics=song.lyrics_text + "La\n", align=True)
        finish(client, edited["jobId"])
        finish(client, client.roll_back(track, 1)["jobId"])
        canceled = client.reprocess(track, ["separate"])
        try:
            client.cancel(canceled["jobId"])
        except Refused as refused:
            assert refused.code == "job_ended"  # noqa: PT017 - it was published before
        unknown = client.import_track(client.upload(song.path), lyrics="qapla", language="tlh-Piqd")
        assert client.wait_for_job(unknown["jobId"], timeout_s=120)["state"] == "failed"
        shown = client.track(track), client.versions(track)
    product.stop()

    live = SqliteStore(product.data / "projection.db")
    other = SqliteStore(tmp_path / "rebuilt.db")
    log = EmbeddedLog(product.data / "log.db")
    try:
        read = rebuild(log, Codec(), other)
        assert read.events > 30
        assert read.poisoned == 0
        assert other.dump() == live.dump()
    finally:
        log.close()
        other.close()
        live.close()

    # A product that finds no projection makes it again from the log and shows the same.
    for path in product.data.glob("projection.db*"):
        path.unlink()
    product.restart()
    with product.client() as client:
        finish(client, accepted["jobId"])
        assert (client.track(track), client.versions(track)) == shown
    product.stop()
