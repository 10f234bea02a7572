"""How gateways hear that other processes wrote: a counter of changes.

It is raised after a change can be read. So whoever sees it move sees the change: nobody who reads
again after `wait` reads too early. It is one row that each waiting gateway reads a few times a
second.

There is no list of what changed. Numbers and rows cannot be written at once here, so of two
processes that write side by side the slower one's rows would appear behind a number that readers
have passed. Who must not miss anything reads the documents, which have no order to miss.
"""

from __future__ import annotations

import threading

from gateway.projection.cassandra.session import CassandraSession

_RAISE = "UPDATE clock SET sequence = sequence + ? WHERE id = 0"
_READ = "SELECT sequence FROM clock WHERE id = 0"


class Clock:
    """Counts changes. Safe to share between threads."""

    def __init__(self, session: CassandraSession) -> None:
        self._session = session
        self._raising = threading.Lock()
        self._seen = 0
        if self.now():
            # Somebody may have died after a write and before telling of it. Who waits looks again.
            self.tell(1)

    def now(self) -> int:
        """The newest number. Never falls, though replicas answer one after another."""
        row = self._session.row("read the clock", _READ)
        self._seen = max(self._seen, 0 if row is None or row[0] is None else int(row[0]))
        return self._seen

    def tell(self, count: int) -> int:
        """So many changes can be read now; the number of the first. Two processes may be given the
        same numbers, one process never."""
        with self._raising:
            self._session.execute("raise the clock", _RAISE, count)
            return self.now() - count + 1
