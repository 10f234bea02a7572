"""A whole product with every kind of secret in use: none is in a log, a dead letter, an event, a
projection or an error body when it has ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.client import Client
from tests import planted, songs
from tests.e2e.product import LONG_S, Product, Running, finish, nap, until
from tests.processors.delivery.receiver import OK, Received, Receiver, Reply

pytestmark = pytest.mark.e2e

CLIPS = "/api/music-clips"
PROVIDER_KEY = "sk-live-e2e-0123456789abcdef"
HOOK_TOKEN = "hook-token-e2e-0123456789abcdef"


def test_no_secret_in_use_is_written_down(
    run: Callable[..., Running], own_product: Callable[..., Product], tmp_path: Path
) -> None:
    def reply(request: Received) -> Reply:
        return Reply(status=500) if "fails" in request.path else OK

    told = ("--port", "0", "--seconds", "1", "--key", PROVIDER_KEY)
    provider = run("fake-provider", *told).to_live()
    with Receiver(reply) as receiver:
        product = own_product(
            ACCESS="on",
            LOG_LEVEL="DEBUG",
            SUNO_BASE_URL=provider.url(),
            SUNO_API_KEY=PROVIDER_KEY,
            CALLBACK_HTTP_ALLOWED="true",
            WEBHOOK_PORTS="any",
            WEBHOOK_ALLOW_NETWORKS="127.0.0.0/8",
        )
        key = new_key(run, product)
        secrets = [PROVIDER_KEY, HOOK_TOKEN, key.split("_", 2)[2]]
        bearer = {"Authorization": f"Bearer {key}"}
        with (
            Client(product.base_url, client_id="tests", api_key=key, sleep=nap) as client,
            httpx.Client(
                base_url=product.base_url,
                headers={"X-Client-Id": "tests", **bearer},
                trust_env=False,
            ) as http,
        ):
            secrets += webhooks(client, receiver)
            secrets += karaoke(client, http, receiver)
            secrets += song(client, http)
            dead_letter(client, tmp_path)
            until(lambda: "/webhooks/suno/music/" in product.up.stderr, "a callback in the log")
            seen = refusals(http, key)
        until(lambda: len(receiver.got) >= 3, "webhooks")
        product.stop()
    tokens = [json.loads(e.read_bytes())["token"] for e in product.data.rglob("callback.json")]
    assert tokens
    secrets += tokens
    assert len(secrets) >= 10
    assert not any(secret in seen for secret in secrets)
    assert list(planted.files_holding(product.folder, secrets)) == []
    assert list(planted.files_with(product.folder)) == []


def new_key(run: Callable[..., Running], product: Product) -> str:
    """An API key; it is printed once."""
    made = run("keys", "create", "--role", "admin", "--data", product.data)
    assert made.wait() == 0, made.last_words
    return made.stdout.strip()


def webhooks(client: Client, receiver: Receiver) -> list[str]:
    """Endpoints that are called, fail, and have their secrets rotated; the secrets."""
    made = [
        client.webhooks.create(receiver.url(f"/{name}?token={HOOK_TOKEN}"))
        for name in ("works", "fails")
    ]
    found = [str(each["secret"]) for each in made]
    found.append(str(client.webhooks.rotate(made[0]["id"])["secret"]))
    for each in made:
        client.webhooks.test(each["id"])
    return [secret.removeprefix("whsec_") for secret in found]


def karaoke(client: Client, http: httpx.Client, receiver: Receiver) -> list[str]:
    """A published song, its links used and misused; their signatures."""
    given = songs.make("short", 1)
    job = client.import_track(
        client.upload(given.path),
        lyrics=given.lyrics_text,
        language=given.language,
        callback_url=receiver.url(f"/callback?token={HOOK_TOKEN}"),
    )
    finish(client, job["jobId"])
    links = [link["url"] for link in client.assets(job["trackId"]).values() if "url" in str(link)]
    found = [signature_of(link) for link in links]
    assert len(found) == 3
    for link in links:
        assert http.get(link).status_code == 200
        assert http.get(link[:-4] + "0000").status_code in (401, 403)
    return found


def song(client: Client, http: httpx.Client) -> list[str]:
    """A generated song, whose provider calls back."""
    wish = {"prompt": "harbour lights", "style": "folk", "title": "Harbour Lights"}
    assert http.put(f"{CLIPS}/channels/demo", json=wish).status_code == 200
    accepted = http.post(f"{CLIPS}/channels/demo/runOnce", json={})
    assert accepted.status_code == 202, accepted.text
    path = f"{CLIPS}/jobs/{accepted.json()['jobId']}/details"

    def made() -> dict[str, Any] | None:
        about: dict[str, Any] = http.get(path).json()
        return about if about["files"] else None

    about = until(made, "the songs", timeout_s=2 * LONG_S)
    return [signature_of(each["url"]) for each in about["files"].values()]


def signature_of(url: str) -> str:
    """The part of a link that nobody else may have."""
    return parse_qs(urlsplit(url).query)["signature"][0]


def dead_letter(client: Client, folder: Path) -> None:
    """A song that is none: its job fails and leaves a letter."""
    bad = folder / "song.wav"
    bad.write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(2000))
    job = client.import_track(client.upload(bad))
    assert client.wait_for_job(job["jobId"], timeout_s=LONG_S)["state"] == "failed"


def refusals(http: httpx.Client, key: str) -> str:
    """What strangers are told; everything of it."""
    wrong = f"{key[:-4]}0000"
    answers = [
        http.get("/v1/jobs", headers={"Authorization": f"Bearer {wrong}"}),
        http.get("/v1/jobs", headers={"Authorization": f"Basic {key}"}),
        http.get(f"/v1/jobs/{key}"),
        http.post(f"/api/webhooks/suno/music/{40 * 'f'}", json={"code": 200}),
        http.post("/v1/uploads", content=b"{", headers={"content-type": "application/json"}),
    ]
    assert [each.status_code for each in answers[:3]] == [401, 401, 404]
    return "".join(f"{each.text}{each.headers}" for each in answers if key not in str(each.url))
