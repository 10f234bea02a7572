"""How gateways hear of changes that other processes made: a counter, and rows behind it.

The counter says how many changes there were, and it is raised after a change can be read. So
whoever sees it move sees the change: nobody who reads again after `wait` reads too early. It is
one row that each waiting gateway reads a few times a second.

The rows name what changed. A writer takes its numbers first and writes its rows then, so of two
processes that write at once the slower one's rows may appear behind a number that a reader has
passed already, and two documents may share a number. Who must not miss anything reads the
documents; the rows are kept for a limited time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from gateway.projection.cassandra.session import CassandraSession
from gateway.projection.cells import Key
from gateway.projection.store import Changed

_RAISE = "UPDATE clock SET sequence = sequence + ? WHERE id = 0"
_READ = "SELECT sequence FROM clock WHERE id = 0"
_PUT = (
    "INSERT INTO changes (bucket, sequence, kind, tenant, id, track_id)"
    " VALUES (?, ?, ?, ?, ?, ?) USING TTL ?"
)
_ROWS = "SELECT sequence, kind, tenant, id, track_id FROM changes WHERE bucket = ? AND sequence > ?"
_BUCKET_BITS = 12  # 4096 rows of about 100 bytes make a partition of under half a megabyte
_BUCKETS_AT_ONCE = 256


class ChangeFeed:
    """Numbers for changes, and the list of them. Safe to share between threads."""

    def __init__(self, session: CassandraSession, *, ttl_s: int) -> None:
        self._session = session
        self._ttl_s = ttl_s
        self._raising = threading.Lock()
        self._seen = 0
        if self.now():
            # Somebody may have died after a write and before telling of it. Who waits looks again.
            self._take(1)

    def now(self) -> int:
        """The newest number. Never falls, though replicas answer one after another."""
        row = self._session.row("read the clock", _READ)
        self._seen = max(self._seen, 0 if row is None or row[0] is None else int(row[0]))
        return self._seen

    def tell(self, changed: Sequence[tuple[Key, str]]) -> int:
        """Tell of documents (with their track's id), in order; the number of the first."""
        first = self._take(len(changed)) - len(changed) + 1
        buckets: dict[int, list[object]] = {}
        for number, (key, track_id) in enumerate(changed, start=first):
            bucket = number >> _BUCKET_BITS
            row = self._session.bind(
                _PUT, bucket, number, key.kind, key.tenant, key.id, track_id, self._ttl_s
            )
            buckets.setdefault(bucket, []).append(row)
        self._session.execute_all(
            "list changes", [self._session.batch(rows) for rows in buckets.values()]
        )
        return first

    def behind(self, after: int, limit: int) -> Sequence[Changed]:
        """What changed behind a number, in order, each document once with its newest."""
        first, last = max(after, 0) >> _BUCKET_BITS, self.now() >> _BUCKET_BITS
        found: dict[Key, Changed] = {}
        for start in range(first, last + 1, _BUCKETS_AT_ONCE):
            some = range(start, min(start + _BUCKETS_AT_ONCE, last + 1))
            statements = [self._session.bind(_ROWS, bucket, after) for bucket in some]
            for rows in self._session.execute_all("read changes", statements):
                for number, kind, tenant, document_id, track_id in rows:
                    key = Key(kind, tenant, document_id)
                    found[key] = Changed(number, key, track_id)
        return sorted(found.values(), key=lambda changed: (changed.sequence, changed.key))[:limit]

    def _take(self, count: int) -> int:
        # One at a time in a process, so that its own numbers are apart from each other.
        with self._raising:
            self._session.execute("raise the clock", _RAISE, count)
            return self.now()
