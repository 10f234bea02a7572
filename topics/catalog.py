"""Every topic once: who writes it, what keys it, how long it stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas import avsc
from schemas.events import EVENTS, Event

_DAY_MS = 86_400_000
FOREVER = -1
"""Retention of topics that the projection is rebuilt from."""

PARTITIONS = 4
"""Partitions of a topic unless it says otherwise: the most workers of one stage that share it."""

RETRY_TIERS_MS: Mapping[str, int] = {
    "5s": 5_000,
    "30s": 30_000,
    "5m": 300_000,
    "30m": 1_800_000,
    "2h": 7_200_000,
    "10h": 36_000_000,
}
"""Delay of each retry topic. One queue for all delays would block behind its slowest record."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of the bus. ``key`` is the wire path of the record key inside the value."""

    name: str
    owner: str
    key: str
    doc: str
    partitions: int = PARTITIONS
    retention_ms: int = FOREVER

    def key_of(self, event: Event) -> str:
        """The record key of an event: what must stay in order stays together."""
        value: object = event.to_wire()
        for part in self.key.split("."):
            assert isinstance(value, dict)
            value = value[part]
        assert isinstance(value, str)
        return value


EXTRACTION_PARTITIONS = 16
"""Of released extractions: admission gives each item in work a partition of its own, so that none
waits behind another. The most that are in work at once."""

DELIVERY_PARTITIONS = 16
"""Of the deliveries of webhooks: they wait for others' servers, so more workers than four may share
them. An endpoint's deliveries are in one partition."""


def _topic(
    name: str, owner: str, key: str, *, retention_ms: int = FOREVER, partitions: int = PARTITIONS
) -> Topic:
    return Topic(name, owner, key, avsc.source(name)["doc"], partitions, retention_ms)


CATALOG: Mapping[str, Topic] = {
    topic.name: topic
    for topic in (
        _topic("upload-completed", "gateway", "assetId"),
        _topic("import-requested", "gateway", "work.trackId"),
        _topic("reprocess-requested", "gateway", "work.trackId"),
        _topic("lyrics-edited", "gateway", "trackId"),
        _topic("job-canceled", "gateway, admission", "trackId"),
        _topic("job-retried", "gateway", "trackId"),
        _topic("separated", "separation", "work.trackId"),
        _topic("transcribed", "transcription", "work.trackId"),
        _topic("aligned", "alignment", "work.trackId"),
        _topic("checked", "quality", "work.trackId"),
        _topic("published", "publishing", "work.trackId"),
        _topic("mastering-requested", "gateway", "work.jobId"),
        _topic("analyzed", "analysis", "work.jobId"),
        _topic("decided", "decision", "work.jobId"),
        _topic("mastered", "rendering", "work.jobId"),
        _topic("video-requested", "gateway", "work.trackId"),
        _topic("video-rendered", "video", "work.trackId"),
        _topic("generation-requested", "gateway", "work.jobId"),
        _topic("generation-hinted", "gateway", "work.jobId", retention_ms=30 * _DAY_MS),
        _topic("generation-due", "submission", "work.jobId", retention_ms=30 * _DAY_MS),
        _topic("generation-updated", "generation", "jobId"),
        _topic("generated", "generation", "work.jobId"),
        _topic("clip-made", "clip", "work.jobId"),
        # One partition: whoever has it is the one who admits.
        _topic("extraction-requested", "gateway", "work.jobId", partitions=1),
        _topic("extraction-admitted", "admission", "work.jobId", partitions=EXTRACTION_PARTITIONS),
        _topic("features-extracted", "extraction", "work.jobId"),
        _topic(
            "admission-reported",
            "admission",
            "reporterId",
            retention_ms=30 * _DAY_MS,
            partitions=1,
        ),
        _topic("step-progressed", "every stage", "trackId", retention_ms=30 * _DAY_MS),
        _topic("step-failed", "every stage", "trackId", retention_ms=30 * _DAY_MS),
        _topic("job-failed", "every stage", "trackId"),
        _topic("notified", "projector", "trackId", retention_ms=30 * _DAY_MS),
        _topic("webhook-endpoint-changed", "gateway", "endpointId"),
        _topic("webhook-endpoint-judged", "delivery", "endpointId"),
        _topic(
            "webhook-attempted",
            "delivery",
            "endpointId",
            retention_ms=30 * _DAY_MS,
            partitions=DELIVERY_PARTITIONS,
        ),
    )
}
assert set(CATALOG) == set(EVENTS)

UNPROJECTED = frozenset(
    {"generation-hinted", "generation-due", "admission-reported"}
    | {"notified", "webhook-endpoint-changed", "webhook-endpoint-judged", "webhook-attempted"}
)
"""Topics that say nothing of jobs and tracks; their readers fold them for themselves."""

PROJECTED = tuple(name for name in CATALOG if name not in UNPROJECTED)
"""Topics that the projection is made of."""

CONTROL = ("job-canceled", "job-retried")
"""Topics that every worker reads whole: what they say holds for every stage."""


RETRY_RETENTION_MS = 3 * _DAY_MS
"""Of the retry topics: several times the longest delay, so that a long outage loses no try."""


def retry_topic(stage: str, tier: str) -> str:
    """Where a stage's records wait for their next try."""
    return f"{stage}.retry.{tier}"


def dead_letter_topic(stage: str) -> str:
    """Where a stage puts what it gave up on, bytes unchanged."""
    return f"{stage}.dlq"


HANDLED = "dlq-handled"
"""What operators did about dead letters, by the letter's place. Kept for ever: a letter whose mark
is gone would be replayed again."""


def retention_ms(stages: Iterable[str]) -> dict[str, int]:
    """The topics that do not keep their records for ever, and how long they do."""
    finite = {t.name: t.retention_ms for t in CATALOG.values() if t.retention_ms != FOREVER}
    for stage in stages:
        finite |= {retry_topic(stage, tier): RETRY_RETENTION_MS for tier in RETRY_TIERS_MS}
    return finite


def partitions(stages: Iterable[str]) -> dict[str, int]:
    """Every topic to provision for these stages, with its number of partitions."""
    wanted = {topic.name: topic.partitions for topic in CATALOG.values()}
    for stage in stages:
        wanted |= {retry_topic(stage, tier): PARTITIONS for tier in RETRY_TIERS_MS}
        wanted[dead_letter_topic(stage)] = 1
    wanted[HANDLED] = 1
    return wanted
