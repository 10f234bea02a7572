"""What operators do to a product that runs: replay, look at dead letters, rebuild."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from schemas.events import Aligned, Published, ReprocessRequested, Separated
from tests import songs
from tests.e2e.product import (
    LONG_S,
    MELISMA,
    Product,
    accept,
    environment,
    events,
    finish,
    step,
    until,
)
from topics.log import Outgoing, Record
from topics.log.embedded import EmbeddedLog

pytestmark = pytest.mark.e2e


def melisma(product: Product, *arguments: str) -> Any:
    """What a command prints with ``-o json``."""
    where = ("--url", product.base_url) if arguments[0] == "jobs" else ("--data", product.data)
    done = subprocess.run(
        [MELISMA, *arguments, *where, "-o", "json"],
        cwd=product.folder,
        env=environment(product.folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def records(product: Product, topic: str) -> list[Record]:
    """Every record of a topic of a product that runs."""
    log = EmbeddedLog(product.data / "log.db")
    try:
        reader = log.reader([topic])
        found: list[Record] = []
        while not reader.caught_up():
            found += reader.poll(0.05)
        return found
    finally:
        log.close()


def write(product: Product, *outgoing: Outgoing) -> None:
    """Records of a stranger, written beside a product that runs."""
    log = EmbeddedLog(product.data / "log.db")
    try:
        producer = log.producer("stranger")
        producer.send(outgoing)
        producer.close()
    finally:
        log.close()


def test_replaying_separated_aligns_again_without_separating(
    own_product: Callable[..., Product],
) -> None:
    product = own_product()
    song = songs.make("short", 1)
    with product.client() as client:
        accepted = accept(client, song)
        track = accepted["trackId"]
        finish(client, accepted["jobId"])
        before = client.version(track, 1)

        replay = ("replay", "separated", "--stage", "alignment", "--yes")
        done = melisma(product, *replay, "--force")
        [requested] = done["requested"]
        assert (requested["trackId"], requested["version"]) == (track, 2)
        job = finish(client, requested["jobId"])
        assert job["kind"] == "replay"
        assert [each["step"] for each in job["steps"]] == ["align", "qc", "publish"]
        assert step(job, "align")["reused"] is False  # --force: really aligned again
        assert client.ready(track)["version"] == 2
        assert client.version(track, 1) == before

        # the same replay again asks for nothing; another one does, and adopts what is stored
        assert melisma(product, *replay, "--id", done["replayId"])["requested"] == []
        [more] = melisma(product, *replay)["requested"]
        job = finish(client, more["jobId"])
        assert step(job, "align")["reused"] is True
        assert client.ready(track)["version"] == 3
    assert len(events(product.data, Separated)) == 1
    assert len(events(product.data, Aligned)) == 3
    assert len(events(product.data, Published)) == 3
    assert len(events(product.data, ReprocessRequested)) == 2

    # a rebuild beside the running product finds nothing to put right
    swapped = melisma(product, "rebuild")["documents"]
    assert swapped == {"same": 4, "changed": 0, "added": 0, "removed": 0}
    assert {each["jobId"] for each in melisma(product, "jobs", "ls", "--state", "succeeded")} == {
        accepted["jobId"],
        requested["jobId"],
        more["jobId"],
    }
    product.stop()


def test_a_poisoned_record_is_found_replayed_and_comes_back_unchanged(
    own_product: Callable[..., Product],
) -> None:
    product = own_product()
    poison = Outgoing("aligned", b"\x00\xff\xff\xff\xff\x00 no avro", b"trk_1", (("x-a", b"\xfe"),))
    write(product, poison)

    def listed(count: int, *more: str) -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = melisma(product, "dlq", "ls", *more)
        return found if len(found) >= count else None

    letters = until(lambda: listed(2), "the dead letters of quality and the projector")
    assert {each["stage"] for each in letters} == {"quality", "projector"}
    shown = melisma(product, "dlq", "show", "quality/0/0", "--diff")
    assert bytes.fromhex(shown["valueHex"]) == poison.value
    assert shown["code"] == "poison"
    assert any("golden example" in line for line in shown["diff"])

    done = melisma(product, "dlq", "replay", "--everything", "--reason", "a new codec", "--yes")
    assert [each["letters"] for each in done["replayed"]] == [["quality/0/0"]]
    assert [each["letter"] for each in done["left"]] == ["projector/0/0"]
    back = until(lambda: listed(1, "--stage", "quality"), "its return")
    assert back[0]["letter"] == "quality/0/1"
    assert back[0]["replays"] == 1
    first, again = records(product, "quality.dlq")
    assert first.value == again.value == poison.value
    assert first.key == again.key == poison.key
    assert first.headers[0] == again.headers[0] == ("x-a", b"\xfe")

    until(lambda: listed(3), "that of the projector")
    dropped = melisma(product, "dlq", "drop", "--everything", "--reason", "no event", "--yes")
    assert len(dropped["dropped"]) == 3
    assert melisma(product, "dlq", "ls") == []
    # the partitions went on
    song = songs.make("short", 1)
    with product.client() as client:
        finish(client, accept(client, song)["jobId"])
    product.stop()
