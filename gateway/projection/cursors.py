"""Where a page ends, as the text that a client gives back: time of creation and id."""

from __future__ import annotations

import base64
import json

from gateway.projection.cells import canonical
from gateway.projection.store import BadCursor

_INTEGER = 1 << 63  # the databases' integers end before it


def pack(created_ms: int, document_id: str) -> str:
    """The cursor behind a document."""
    return base64.urlsafe_b64encode(canonical([created_ms, document_id]).encode()).decode()


def unpack(cursor: str) -> tuple[int, str]:
    """Read `pack`. Raises `BadCursor` for anything else."""
    try:
        created_ms, document_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if pack(created_ms, document_id) == cursor and abs(created_ms) < _INTEGER:
            return int(created_ms), str(document_id)
    except (ValueError, TypeError):
        pass
    raise BadCursor("this cursor was not given out here; begin again without one")
