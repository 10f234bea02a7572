"""What has to hold when the faults are over, read from the servers and not from the product."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings

from gateway.client import Client
from gateway.projection.projector import GROUP as PROJECTOR
from schemas.events import (
    Aligned,
    Artifact,
    Checked,
    Event,
    Published,
    Separated,
    Transcribed,
    Work,
)
from schemas.work import DELIVERY, STAGES
from tests.e2e.product import Json, all_live
from tests.faults.real.parts import Parts
from tests.topics.artifacts import servers
from topics.artifacts import ArtifactStore
from topics.artifacts.local import LocalStore
from topics.catalog import CATALOG, dead_letter_topic
from topics.codec import Codec, Envelope, Poison
from topics.log import Record
from topics.log.kafka.log import KafkaLog
from topics.log.kafka.settings import KafkaSettings
from topics.registry import RegistryIds, RegistrySettings

OUTPUTS = ("separated", "transcribed", "aligned", "checked", "published")
_ONCE = (*OUTPUTS, "import-requested", "reprocess-requested", "lyrics-edited", "job-failed")


@dataclass(frozen=True)
class Seen:
    """What a read-committed reader of every topic finds."""

    events: Mapping[str, Sequence[Envelope]]
    poison: Mapping[str, Sequence[Record]]
    dead: Mapping[str, Sequence[Record]]
    """Dead letters by the stage that gave up; ``projector`` is one more."""
    artifacts: int = 0
    """How many were fetched and had the bytes that their references promise."""
    twice: Mapping[str, int] = field(default_factory=dict)
    """Signs of life that were written again, by topic."""

    def __str__(self) -> str:
        counts = {topic: len(found) for topic, found in self.events.items() if found}
        return f"{counts}, {self.artifacts} artifacts whole, repeated signs {dict(self.twice)}"


class _Registry(RegistrySettings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: object,
        *others: object,
        **more: object,
    ) -> tuple[Any, ...]:
        """Only what the test says."""
        return (init_settings,)


def open_log(told: Mapping[str, str]) -> KafkaLog:
    """A client of the stack's brokers."""
    no_file = {"_env_file": None}
    servers_ = told["KAFKA_BOOTSTRAP_SERVERS"]
    return KafkaLog(KafkaSettings(**no_file, kafka_bootstrap_servers=servers_))  # type: ignore[arg-type]


def open_codec(told: Mapping[str, str]) -> Codec:
    """The codec of the parts' topics."""
    prefix = told.get("TOPIC_PREFIX", "")
    if address := told.get("SCHEMA_REGISTRY_URL"):
        return Codec(RegistryIds(_Registry(schema_registry_url=address), prefix=prefix), prefix)
    return Codec(prefix=prefix)


def read(told: Mapping[str, str]) -> Seen:
    """Every committed record of the catalog and the dead letters."""
    log, codec = open_log(told), open_codec(told)
    events: dict[str, list[Envelope]] = {name: [] for name in CATALOG}
    poison: dict[str, list[Record]] = {name: [] for name in CATALOG}
    dead: dict[str, list[Record]] = {owner: [] for owner in (*STAGES, PROJECTOR, DELIVERY)}
    letters = {codec.on_log(dead_letter_topic(owner)): owner for owner in dead}
    try:
        there = log.topics()  # deliveries make theirs when they begin
        letters = {topic: owner for topic, owner in letters.items() if topic in there}
        reader = log.reader([*map(codec.on_log, CATALOG), *letters])
        while not reader.caught_up():
            for record in reader.poll(0.2, 1000):
                if record.topic in letters:
                    dead[letters[record.topic]].append(record)
                    continue
                try:
                    events[codec.in_catalog(record.topic)].append(codec.decode(record))
                except Poison:
                    poison[codec.in_catalog(record.topic)].append(record)
        reader.close()
    finally:
        log.close()
        codec.close()
    return Seen(events, poison, dead)


def audit(
    parts: Parts,
    client: Client,
    jobs: Sequence[Json],
    *,
    poisoned: bool = False,
    dead: Mapping[str, int] | None = None,
) -> Seen:
    """Assert that every accepted job ended, every request published once, every stage's output is
    on the log once, and every artifact has the bytes that it should; what was counted.

    ``jobs`` are those that had to succeed: ``{jobId, trackId, version}``; ``dead`` how many dead
    letters each stage had to write. Where the topics were ``poisoned`` the test counts them itself.
    """
    all_live()
    told = parts.environment
    seen = read(told)
    if not poisoned:
        assert not any(seen.poison.values())
        letters = {stage: len(found) for stage, found in seen.dead.items() if found}
        assert letters == (dead or {}), seen.dead
    for topic in _ONCE:
        ids = Counter(each.id for each in seen.events[topic])
        assert set(ids.values()) <= {1}, (topic, ids.most_common(3))
    repeated = {
        topic: len(found) - len({each.id for each in found})
        for topic in ("step-progressed", "step-failed")
        for found in [seen.events[topic]]
    }

    published = Counter(
        (each.event.work.track_id, each.event.work.version)
        for each in seen.events["published"]
        if isinstance(each.event, Published)
    )
    wanted = {(each["trackId"], each["version"]): 1 for each in jobs}
    assert {place: published[place] for place in wanted} == wanted
    assert set(published.values()) <= {1}, published
    made = Counter((topic, _job(each.event)) for topic in OUTPUTS for each in seen.events[topic])
    assert set(made.values()) <= {1}, made.most_common(3)

    listed = {each["jobId"]: each["state"] for each in client.jobs(limit=200)["jobs"]}
    assert {each["jobId"] for each in jobs} <= set(listed)
    assert set(listed.values()) <= {"succeeded", "failed", "canceled"}, listed
    count = verify(told, seen)
    all_live()
    return Seen(seen.events, seen.poison, seen.dead, count, repeated)


def verify(told: Mapping[str, str], seen: Seen) -> int:
    """Fetch every artifact that an event refers to and compare its bytes; how many there are."""
    store = _store(told)
    known: dict[tuple[str, str], Artifact] = {}
    for topic in OUTPUTS:
        for each in seen.events[topic]:
            for artifact in _work(each.event).artifacts:
                known[artifact.uri, artifact.sha256] = artifact
    for artifact in known.values():
        data = store.read(artifact.uri)
        if artifact.bytes:
            assert len(data) == artifact.bytes, artifact
        if artifact.sha256:
            assert hashlib.sha256(data).hexdigest() == artifact.sha256, artifact
    return len(known)


def _store(told: Mapping[str, str]) -> ArtifactStore:
    address = {name: value for name, value in told.items() if name.startswith("S3_")}
    if address:
        return servers.store(address)
    folder = Path(told["DATA_DIR"]) / "artifacts"
    return LocalStore(folder, secret=bytes(32), base_url="", ip_binding="off")


def _work(event: Event) -> Work:
    assert isinstance(event, (Separated, Transcribed, Aligned, Checked, Published))
    return event.work


def _job(event: Event) -> tuple[str, int]:
    return _work(event).job_id, _work(event).attempt
