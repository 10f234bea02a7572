"""An unmodified Uppy, both clients that are in use, against a gateway that listens.

`make uppy` installs them (Node 20 or newer, and npm).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.server import Server, listen
from gateway.uploading import sweep
from tests.gateway.house import WAV, House

HERE = Path(__file__).parent
MIB = 1024 * 1024
SONG = WAV[:40] + (12 * MIB).to_bytes(4, "little") + bytes(12 * MIB)
"""Three of Uppy's parts, which have 5 MiB; behind the header it is silent."""

CLIENTS = ("v5", "v6")


def lacking() -> str:
    """What keeps Uppy from running here."""
    if shutil.which("node") is None:
        return "Node is missing; install Node 20 or newer, then `make uppy`"
    if not all((HERE / each / "node_modules").is_dir() for each in CLIENTS):
        return "Uppy is not installed; `make uppy` does it"
    return ""


pytestmark = [pytest.mark.skipif(bool(lacking()), reason=lacking()), pytest.mark.slow]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A gateway at an address, at today's time."""
    made = House(tmp_path)
    made.clock.ms = time.time_ns() // 1_000_000
    listener = listen("127.0.0.1", 0)
    made.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    (tmp_path / "song.wav").write_bytes(SONG)
    with Server(made.services, listener).start():
        yield made
    listener.close()
    made.close()


def uppy(house: House, client: str, then: str, **more: Any) -> dict[str, Any]:
    """What Uppy says once it has done that."""
    told = {
        "uppy": str(HERE / client),
        "gateway": house.base_url,
        "file": str(house.folder / "song.wav"),
        "then": then,
    }
    done = subprocess.run(
        ["node", str(HERE / "client.mjs"), json.dumps(told | more)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def asset_of(house: House, upload_id: str) -> str:
    """The asset that the page finds behind ``uploadURL``."""
    state = house.http.get(f"/v1/uploads/{upload_id}").json()
    assert state["state"] == "completed"
    (envelope,) = house.events("upload-completed")
    event: Any = envelope.event
    assert event.source.bytes == len(SONG)
    assert state["assetId"] == event.asset_id
    found: str = event.asset_id
    return found


@pytest.mark.parametrize("client", CLIENTS)
def test_a_song_arrives(house: House, client: str) -> None:
    said = uppy(house, client, "finish")
    assert said["failed"] == []
    (done,) = said["successful"]
    assert len(said["sent"]) == 3
    asset = asset_of(house, done["uploadURL"].rpartition("/")[2])
    if client == "v5":  # the other keeps no more than it knows
        assert done["body"]["assetId"] == asset


@pytest.mark.parametrize("client", CLIENTS)
def test_a_page_that_is_loaded_again_sends_what_is_missing(house: House, client: str) -> None:
    left = uppy(house, client, "leave")
    again = uppy(house, client, "finish", resume=left["multipart"])
    assert again["failed"] == []
    assert (len(left["sent"]), len(again["sent"])) == (1, 2)
    asset_of(house, left["multipart"]["uploadId"])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_canceled_upload_leaves_nothing(house: House, client: str) -> None:
    left = uppy(house, client, "cancel")
    upload = house.reservations.upload("default", left["multipart"]["uploadId"])
    assert upload is not None
    assert upload.state == "aborted"
    assert list(house.artifacts.stale_uploads(0)) == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_page_that_never_comes_back_is_swept_up_after(house: House, client: str) -> None:
    left = uppy(house, client, "leave")
    house.clock.forward(house.settings.upload_ttl_seconds + 1)
    assert sweep(house.services) == 1
    said = uppy(house, client, "finish", resume=left["multipart"])
    assert said["successful"] == []
    assert len(said["failed"]) == 1


def test_a_refusal_is_shown_in_words(house: House) -> None:
    (house.folder / "song.wav").write_bytes(b"x" * 100_000)
    said = uppy(house, "v5", "finish")
    assert "does not begin like any audio file" in said["failed"][0]
    whole = uppy(house, "v5", "finish", whole=True)
    assert "shouldUseMultipart" in whole["failed"][0]
