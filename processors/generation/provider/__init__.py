"""The provider's words, as types: what an answer means, whatever shape it came in."""

from processors.generation.provider.answers import (
    Accepted,
    Failing,
    Generating,
    Given,
    Made,
    Outcome,
    Reading,
    Refusal,
    Undecided,
    Unread,
    Unsent,
)
from processors.generation.provider.client import HttpProvider, Order, Provider

__all__ = [
    "Accepted",
    "Failing",
    "Generating",
    "Given",
    "HttpProvider",
    "Made",
    "Order",
    "Outcome",
    "Provider",
    "Reading",
    "Refusal",
    "Undecided",
    "Unread",
    "Unsent",
]
