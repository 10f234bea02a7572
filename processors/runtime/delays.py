"""How what comes back later waits: as a record of a delay topic. Pure."""

from __future__ import annotations

from processors.runtime.later import MOST_JITTER, Later
from processors.runtime.records import Origin, waiting
from processors.runtime.retry import tier_of
from topics.codec import Codec, Envelope
from topics.log import Outgoing


def delay_ms(later: Later) -> int:
    """How long it will wait."""
    _, tier_ms = tier_of(later.after_s * 1000)
    return tier_ms + round(tier_ms * MOST_JITTER * min(max(later.jitter, 0.0), 1.0))


def waiting_record(later: Later, envelope: Envelope, *, stage: str, codec: Codec) -> Outgoing:
    """The record in the delay topic. ``envelope`` is of ``later.event``, its time the time now."""
    tier, _ = tier_of(later.after_s * 1000)
    origin = Origin(codec.on_log(later.event.topic), partition=0, offset=-1, timestamp_ms=0)
    return waiting(
        codec.encode(envelope),
        origin=origin,
        stage=stage,
        tier=tier,
        due_ms=envelope.time_ms + delay_ms(later),
        codec=codec,
    )
