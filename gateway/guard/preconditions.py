"""Entity tags of versions: ``If-Match`` keeps an edit from overwriting what its author never saw.

RFC 9110, sections 8.8.3 and 13.1.1; a missing header is RFC 6585's 428.
"""

from __future__ import annotations

import re

from gateway.guard.problems import Code, Problem

_TAG = re.compile(r'(W/)?"([^"]*)"')


def etag(version: int) -> str:
    """The entity tag of a track's version."""
    return f'"{version}"'


def matches(if_none_match: str | None, version: int) -> bool:
    """True when ``If-None-Match`` names the version: the client has it (weak comparison)."""
    if if_none_match is None:
        return False
    known = {tag for _, tag in _TAG.findall(if_none_match)}
    return if_none_match.strip() == "*" or str(version) in known


def require_match(if_match: str | None, newest: int, *, track_id: str) -> None:
    """Raise 428 or 412 unless ``If-Match`` names the newest version (drafts included) or is ``*``.

    Weak tags never match (strong comparison, RFC 9110, section 13.1.1).
    """
    if if_match is None or not if_match.strip():
        raise Problem(
            Code.PRECONDITION_REQUIRED,
            f"Changing the lyrics of track '{track_id}' needs If-Match, e.g. {etag(newest)}.",
            headers={"ETag": etag(newest)},
            extra={"newestVersion": newest},
        )
    if if_match.strip() == "*":
        return
    strong = {tag for weak, tag in _TAG.findall(if_match) if not weak}
    if str(newest) not in strong:
        raise Problem(
            Code.PRECONDITION_FAILED,
            f"The newest version of track '{track_id}' is {newest}; If-Match names another.",
            headers={"ETag": etag(newest)},
            extra={"newestVersion": newest},
        )
