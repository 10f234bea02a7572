"""Requests to addresses that somebody else chose: webhooks, and media that a provider names."""

from topics.outbound.addresses import Guard, Refused, refusal
from topics.outbound.settings import OutboundSettings
from topics.outbound.transport import GuardedTransport

__all__ = ["Guard", "GuardedTransport", "OutboundSettings", "Refused", "refusal"]
