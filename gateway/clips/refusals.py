"""Refusals in the words of the first service's document: a body of its own, no problem details."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """``error`` is a stable machine word, ``message`` a sentence for people."""

    def __init__(
        self,
        status: int,
        error: str,
        message: str,
        *,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{error}: {message}")
        self.status = status
        self.error = error
        self.message = message
        self.more = dict(more or {})
        self.headers = dict(headers or {})

    def body(self, request_id: str, trace_id: str) -> dict[str, Any]:
        """As the document has it; ``ok`` stands only where it does there (404)."""
        ok = {"ok": False} if self.status == 404 else {}
        return {
            "success": False,
            **ok,
            "error": self.error,
            "message": self.message,
            **self.more,
            "requestId": request_id,
            "traceId": trace_id,
        }


def job_not_found(job_id: str) -> Refusal:
    """404, as the document has it."""
    return Refusal(404, "JOB_NOT_FOUND", f"Job {job_id[:80]} not found")


def channel_not_found(channel_id: str) -> Refusal:
    """404."""
    return Refusal(404, "CHANNEL_NOT_FOUND", f"Channel {channel_id[:80]} not found")
