"""W3C Trace Context: the ``traceparent`` that ties a request to everything it causes.

Only the header's own rules live here (Trace Context level 1, section 3.2); what a trace shows is
the business of whoever collects it.
"""

from __future__ import annotations

import random
import re
import secrets

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


def begin() -> str:
    """A new trace, sampled."""
    random = secrets.token_hex(24)  # one question to the kernel: every request asks it
    return f"00-{random[:32]}-{random[32:]}-01"


def continued(traceparent: str | None) -> str:
    """A child span of ``traceparent``; a new trace when there is none or it is malformed."""
    trace = trace_id(traceparent)
    if not trace:
        return begin()
    # A span has to be new within its trace and nothing else: no question to the kernel, which on a
    # busy interpreter costs ten times what the numbers do.
    return f"00-{trace}-{random.getrandbits(64) or 1:016x}-01"


def trace_id(traceparent: str | None) -> str:
    """The 32 hex digits that people search logs for; empty when there is no valid trace."""
    if not traceparent:
        return ""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or match[1] == _NO_TRACE or match[2] == _NO_SPAN:
        return ""
    return match[1]
