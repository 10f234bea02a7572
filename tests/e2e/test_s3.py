"""The running product with its artifacts in a bucket: the gateway never sees the song."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests import songs
from tests.e2e.product import Product, accept, finish
from tests.topics.artifacts import servers

pytestmark = [pytest.mark.e2e, pytest.mark.stack]


def test_a_song_is_made_in_a_bucket(
    own_product: Callable[..., Product], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with servers.s3proxy(tmp_path_factory.mktemp("s3")) as address:
        product = own_product(**address, IP_BINDING="report")
        with product.client() as client:
            accepted = accept(client, songs.make("short", 1))
            assert finish(client, accepted["jobId"])["state"] == "succeeded"
            with product.http() as http:
                assets = http.get(f"/v1/tracks/{accepted['trackId']}/assets").json()
        stems = {name: assets[name] for name in ("minus", "vocals", "mix")}
        for name, stem in stems.items():
            assert stem["url"].startswith(address["S3_ENDPOINT"])
            data = httpx.get(stem["url"]).content
            assert (len(data), hashlib.sha256(data).hexdigest()) == (
                stem["sizeBytes"], stem["sha256"]
            ), name  # fmt: skip
        product.stop()
        assert not Path(product.data / "artifacts").exists()
        store = servers.store(address)
        assert {key.split("/")[0] for key in store.keys("")} >= {"uploads", "results"}
        assert store.stale_uploads(-1) == []
