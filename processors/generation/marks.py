"""What must be decided once about a job, whoever works on it: marks in the artifact store.

A record may be handled twice: a worker can die between an act and the commit that says it is done.
The log then delivers the record again and cannot say whether the act took place. A mark is an
object that exactly one of all callers gets to write (``put_if_absent``: a hard link on a local
disk, ``If-None-Match`` on S3), and that everybody can read afterwards.

**One paid request a job.** In this order:

1. ``generation-updated`` with stage 20 and ``generation-due`` with step ``send`` are committed: the
   intent is on the log before anything is sent.
2. The send takes the mark ``send-<n>`` *before* it calls the provider. Who does not get it never
   calls.
3. What the provider answers is kept as ``answer-<n>``, then committed with the events that follow.

A record that is handled again finds ``send-<n>`` taken. With ``answer-<n>`` there the events are
made again from it. Without, nobody knows whether the request went out: the job is *undecided*. It
is shown as that and never sent again. Every request names a callback address of its own, so if it
did arrive the provider calls there, and names the task: from then on the job goes on as any other.
Only an answer that says that nothing was taken leads to send ``n + 1``.

The store and not the projection, because stages never read the projection; not the log, because a
record that was written in a transaction cannot be seen before the commit that it is to guard.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.work import callback_token_key, provider_task_key
from topics.artifacts.protocol import ArtifactMissing, ArtifactStore

_JSON = "application/json"

Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of one attempt at a job."""

    store: ArtifactStore
    tenant: str
    job_id: str
    attempt: int

    def take(self, name: str, content: Content) -> bool:
        """Set a mark; False when it was set before. Raises `ArtifactError`."""
        return self.store.put_if_absent(self._key(name), _bytes(content), _JSON)

    def read(self, name: str) -> Content | None:
        """What a mark says, None when nobody has set it. Raises `ArtifactError`."""
        return _read(self.store, self._key(name))

    def settle(self, name: str, content: Content) -> Content:
        """What the mark says, set by this call or before it."""
        if self.take(name, content):
            return content
        said = self.read(name)
        return content if said is None else said

    def callback_url(self) -> str:
        """The job's own callback address; empty when the gateway kept none."""
        said = _read(self.store, callback_token_key(self.tenant, self.job_id))
        url = said.get("url") if said is not None else None
        return url if isinstance(url, str) else ""

    def claim_task(self, account: str, task_id: str) -> bool:
        """Make a task this job's; False when it is another's, which a forged callback may name."""
        key = provider_task_key(account, task_id)
        mine = {"tenant": self.tenant, "jobId": self.job_id}
        if self.store.put_if_absent(key, _bytes(mine), _JSON):
            return True
        return _read(self.store, key) == mine

    def _key(self, name: str) -> str:
        return f"generation/{self.tenant}/{self.job_id}/{self.attempt}/{name}.json"


def digest(*parts: str) -> str:
    """A short name for things whose own name may hold anything."""
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _bytes(content: Content) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _read(store: ArtifactStore, key: str) -> Content | None:
    try:
        said = json.loads(store.read(store.uri(key)))
    except ArtifactMissing:
        return None
    assert isinstance(said, dict)
    return said
