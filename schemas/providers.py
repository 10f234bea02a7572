"""Providers of generated songs: where they are asked and what their codes mean. Pure data.

Resellers of one generator share the shape of requests and answers and disagree on numbers: at
sunoapi.org 429 is "no credits", elsewhere 402 is and 429 is "too many requests". Both answer HTTP
200 with the error in the body. So an answer is classified by the ``code`` of its body, by profile,
and by its HTTP status only where there is no such body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal[
    "no_credits",
    "too_frequent",
    "maintenance",
    "too_long",
    "sensitive_words",
    "unauthorized",
    "bad_request",
    "server_error",
    "not_found",
]
"""What a provider says is wrong, in words of our own."""

AGAIN: frozenset[Fault] = frozenset({"too_frequent", "maintenance", "server_error"})
"""Faults that go away by themselves. Every other one needs a person, so it is never tried again."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One reseller."""

    name: str
    generate_path: str = "/api/v1/generate"
    record_path: str = "/api/v1/generate/record-info"
    credit_path: str = "/api/v1/generate/credit"
    codes: Mapping[int, Fault] = field(default_factory=dict)
    """Codes of the body, 200 (taken) excepted."""
    calls: int = 20
    """Requests for songs that it takes in `window_s`."""
    window_s: float = 10.0
    model: str = "V4_5"
    """Model of a channel that names none."""
    longest_prompt: int = 5_000
    """Characters of a prompt; the longest that a model of it takes (V4_5 and later)."""

    def fault(self, code: int) -> Fault:
        """What a code of a body means; an unknown one is the provider's trouble from 500 on."""
        known = self.codes.get(code)
        if known is not None:
            return known
        return "server_error" if code >= 500 else "bad_request"


_SHARED: Mapping[int, Fault] = {
    400: "bad_request",
    401: "unauthorized",
    403: "unauthorized",
    404: "not_found",
    405: "too_frequent",
    413: "too_long",
    422: "bad_request",
    430: "too_frequent",
    451: "sensitive_words",
    455: "maintenance",
    500: "server_error",
    501: "server_error",
    531: "server_error",
}

SUNOAPI = Profile("sunoapi", codes={**_SHARED, 429: "no_credits"})
"""sunoapi.org, docs.sunoapi.org/suno-api (2025)."""

RESELLER = Profile("reseller", codes={**_SHARED, 402: "no_credits", 429: "too_frequent"})
"""Resellers that use HTTP's own meaning of 402 and 429."""

PROFILES: Mapping[str, Profile] = {each.name: each for each in (SUNOAPI, RESELLER)}
