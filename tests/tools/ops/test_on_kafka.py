"""The same commands on Kafka with a registry: nothing of them knows which log it is."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from gateway.settings import GatewaySettings
from schemas.events import EVENTS, Work
from schemas.work import extend
from tests.gateway.projection.histories import TENANT, Track
from tests.tools.ops.test_replay import stems
from tools import cli
from tools.ops import deadletters
from tools.ops.provisioning import apply
from topics.codec import Codec, Envelope
from topics.log import Log, Outgoing
from topics.registry import RegistrySettings

pytestmark = pytest.mark.stack

Run = Callable[..., Result]


@pytest.fixture
def settings(
    kafka_bootstrap: str, registry_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> GatewaySettings:
    """A product of its own on the shared cluster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_bootstrap)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", registry_url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TOPIC_PREFIX", f"ops-{uuid.uuid4().hex[:8]}.")
    return GatewaySettings()


@pytest.fixture
def log(settings: GatewaySettings) -> Iterator[Log]:
    with closing(settings.open_log()) as made:
        yield made


def melisma(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, [*arguments, "-o", "json"])


@pytest.fixture
def codec(settings: GatewaySettings) -> Iterator[Codec]:
    with closing(settings.codec()) as made:
        yield made


def write(log: Log, codec: Codec, track: Track) -> None:
    envelopes: list[Envelope] = []
    for envelope in track.envelopes:
        wire = envelope.event.to_wire()
        if "work" in wire:
            work = Work.from_wire(wire["work"])
            wire["work"] = extend(work, *stems(work)).to_wire()
        envelopes.append(replace(envelope, event=EVENTS[envelope.event.topic].from_wire(wire)))
    with closing(log.producer(f"test-{codec.on_log('')}")) as producer:
        for each in envelopes:  # a transaction each, so that markers lie between the records
            with producer.transaction() as transaction:
                transaction.send(codec.encode(each))


def test_provision_replay_and_rebuild(log: Log, codec: Codec) -> None:
    assert melisma("topics", "check").exit_code == 1
    made = json.loads(melisma("topics", "apply").stdout)
    assert {each["what"] for each in made["made"]} == {"topic", "schema"}
    assert melisma("topics", "check").exit_code == 0
    assert json.loads(melisma("topics", "apply").stdout) == {"made": [], "left": []}

    track = Track()
    track.run(track.ask(track.work("job_0")))
    write(log, codec, track)
    rebuilt = json.loads(melisma("rebuild").stdout)
    assert rebuilt["events"] == len(track.envelopes)
    assert rebuilt["documents"] == {"same": 0, "changed": 0, "added": 2, "removed": 0}

    done = melisma("replay", "separated", "--stage", "alignment", "--yes", "--from", "1h")
    [requested] = json.loads(done.stdout)["requested"]
    assert (requested["tenant"], requested["version"]) == (TENANT, 2)
    [line] = melisma("topics", "tail", "reprocess-requested", "--decode", "-n", "1").stdout.split(
        "\n"
    )[:-1]
    assert json.loads(line)["event"]["work"]["jobId"] == requested["jobId"]
    again = melisma(
        *("replay", "separated", "--stage", "alignment", "--yes"),
        *("--id", json.loads(done.stdout)["replayId"]),
    )
    assert json.loads(again.stdout)["requested"] == []


def test_dead_letters(log: Log, codec: Codec) -> None:
    assert melisma("topics", "apply").exit_code == 0
    topic = codec.on_log("separated")
    about = {"topic": topic, "partition": "0", "offset": "0", "code": "poison"}
    headers = tuple((f"melisma.error.{name}", text.encode()) for name, text in about.items())
    poison = b"\x00\xff\xff\xff\xffno"
    with closing(log.producer(f"test-{topic}")) as producer:
        producer.send([Outgoing(codec.on_log("alignment.dlq"), poison, b"trk_1", headers)])
    [letter] = json.loads(melisma("dlq", "ls").stdout)
    replay = ("dlq", "replay", letter["letter"], "--reason", "fixed", "--yes")
    assert len(json.loads(melisma(*replay).stdout)["replayed"]) == 1
    assert json.loads(melisma(*replay).stdout)["replayed"] == []
    assert json.loads(melisma("dlq", "ls").stdout) == []
    assert set(deadletters.marks(log, codec)) == {letter["letter"]}
    [line] = melisma("topics", "tail", "separated").stdout.splitlines()
    assert json.loads(line)["bytes"] == len(poison)


def test_a_schema_that_would_break_readers_is_refused(
    settings: GatewaySettings, log: Log, codec: Codec
) -> None:
    registry = RegistrySettings()
    other = {
        "type": "record",
        "name": "Separated",
        "namespace": "melisma",
        "fields": [{"name": "work", "type": "int"}],
    }
    httpx.post(
        f"{registry.schema_registry_url}/subjects/{settings.topic_prefix}separated-value/versions",
        json={"schema": json.dumps(other)},
        trust_env=False,
    ).raise_for_status()
    findings = apply(log, registry, codec)
    [refused] = [each for each in findings if each.verdict == "incompatible"]
    assert (refused.what, refused.topic) == ("schema", f"{settings.topic_prefix}separated")
    # nothing was made that could be written to with it
    assert not [name for name in log.topics() if name.startswith(settings.topic_prefix)]
    result = melisma("topics", "apply")
    assert result.exit_code == 1
    assert "separated" in result.stderr
