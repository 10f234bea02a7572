"""Server-sent events: whole snapshots of something that changes, until it has ended.

Each event is complete, so a client that missed some has lost nothing: the first event after a
reconnect is the present. The event id is a digest of the snapshot. EventSource reconnects after
every end of a stream; a reconnect that has already seen the last snapshot is answered 204, which
the HTML standard (section 9.2.3) defines as "do not come back".
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from gateway.changes import Changes
from gateway.guard.problems import Problem
from gateway.projection.store import StoreError

RETRY_MS = 2_000
"""How long EventSource waits before it reconnects."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The present. ``ended``: it will not change again.

    ``basis`` decides whether two snapshots are the same: the data less what only the clock moves.
    """

    event: str
    data: dict[str, Any]
    basis: str
    ended: bool = False

    @property
    def id(self) -> str:
        """Equal for an equal basis."""
        return hashlib.sha256(self.basis.encode()).hexdigest()[:16]

    def encode(self) -> bytes:
        """The event on the wire."""
        data = json.dumps(self.data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return f"id: {self.id}\nevent: {self.event}\ndata: {data}\n\n".encode()


async def stream(
    read: Callable[[], Snapshot],
    changes: Changes,
    *,
    last_event_id: str | None,
    heartbeat_s: float,
) -> Response:
    """The response. ``read`` runs in the thread pool, a moment at a time; a refusal that it raises
    on the first look is an ordinary problem. Closing ``changes`` ends every stream.
    """
    mark = changes.mark()
    first = await run_in_threadpool(read)
    if first.ended and first.id == last_event_id:
        return Response(status_code=204)
    return StreamingResponse(
        _events(first, mark, read, changes, heartbeat_s),
        media_type="text/event-stream",
        # Proxies (nginx: X-Accel-Buffering) must pass each event on as it comes.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(
    first: Snapshot,
    mark: int,
    read: Callable[[], Snapshot],
    changes: Changes,
    heartbeat_s: float,
) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MS}\n\n".encode() + first.encode()
    seen, ended = first.id, first.ended
    clock = asyncio.get_running_loop().time
    spoke = clock()
    while not ended and not changes.closed:
        await changes.wait(mark, max(0.0, spoke + heartbeat_s - clock()))
        mark = changes.mark()
        try:
            now = await run_in_threadpool(read)
        except (Problem, StoreError):
            # Gone or out of reach: the client comes back and gets its 404 or 503 properly.
            return
        if now.id != seen:
            yield now.encode()
            seen, ended, spoke = now.id, now.ended, clock()
        elif clock() >= spoke + heartbeat_s:
            yield b": still here\n\n"
            spoke = clock()
