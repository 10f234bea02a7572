"""Clearing away what jobs of long ago have left in the store: marks, addresses, tickets.

Every key says how old it is, a job's by the time in its id and a ticket's by its slot, so nothing
is looked up. Songs and clips lie elsewhere and stay.
"""

from __future__ import annotations

import json
import re

from processors.generation.tickets import slot_ms
from schemas.providers import Profile
from schemas.work import provider_task_key, token_owner_key
from topics.artifacts.protocol import ArtifactMissing, ArtifactStore

_DAY_MS = 86_400_000

KEPT_MS = 31 * _DAY_MS
"""A day longer than the records that lead to a mark (generation-due and -hinted, 30 days). Requests
are kept for ever, but one that is read again is past its time and never sent without its marks."""

TICKETS_KEPT_MS = _DAY_MS
"""Of workers that died before they put theirs away; a clock that is off by a day sends nothing."""

_JOB = re.compile(r"generation/[^/]+/job_(?P<ms>\d{10,16})_[^/]*/(?:\d+/)?(?P<name>[^/]+)\.json")
_TICKET = re.compile(r"generation/tickets/[^/]+/(?P<slot>\d+)")


def sweep(store: ArtifactStore, account: str, profile: Profile, now_ms: int) -> int:
    """Remove what is too old to matter; how many objects. What a dead process left of it, the next
    sweep finds. Raises `ArtifactError`.
    """
    oldest_slot = (now_ms - TICKETS_KEPT_MS) // slot_ms(profile)
    old = [key for key in store.keys("generation/") if _is_old(key, now_ms, oldest_slot)]
    for key in old:
        other = _reached_by(store, key, account)
        if other:  # first, because this key is the only way to it
            store.delete(store.uri(other))
        store.delete(store.uri(key))
    return len(old)


def _is_old(key: str, now_ms: int, oldest_slot: int) -> bool:
    if job := _JOB.fullmatch(key):
        return int(job["ms"]) < now_ms - KEPT_MS
    ticket = _TICKET.fullmatch(key)
    return ticket is not None and int(ticket["slot"]) < oldest_slot


def _reached_by(store: ArtifactStore, key: str, account: str) -> str:
    """The key of what is filed under another name than the job's: whose a callback address is, and
    whose a task.
    """
    job = _JOB.fullmatch(key)
    if job is None or job["name"] not in ("callback", "task"):
        return ""
    try:
        said = json.loads(store.read(store.uri(key)))
    except ArtifactMissing:  # another worker sweeps, too
        return ""
    if job["name"] == "callback":
        return token_owner_key(str(said["token"]))
    return provider_task_key(str(said.get("account", account)), str(said["taskId"]))
