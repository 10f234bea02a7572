"""What tenants keep, in bytes: a charge a thing and, static in the same partition, their total.

Both are written in one conditional batch, so the total is always the sum of the charges, however
many gateways count at once.
"""

from __future__ import annotations

import random
import time

from gateway.projection.cassandra.session import CassandraSession
from gateway.projection.store import StoreError

_TOTAL = "SELECT total FROM charges WHERE tenant = ? LIMIT 1"
_CHARGE = "SELECT total, amount FROM charges WHERE tenant = ? AND what = ?"
_SET = "UPDATE charges SET total = ? WHERE tenant = ? IF total = ?"
_ADD = "INSERT INTO charges (tenant, what, amount) VALUES (?, ?, ?) IF NOT EXISTS"
_REMOVE = "DELETE FROM charges WHERE tenant = ? AND what = ? IF EXISTS"

_PATIENCE_S = 10.0
"""Decisions take 5 to 20 ms each, so whoever lost for this long is one of hundreds."""

_PAUSE_S = 0.02  # longest pause after a lost race
_WHAT = "count a tenant's bytes"


class Accounts:
    """The rows of charges. Safe to share between threads."""

    def __init__(self, session: CassandraSession, rng: random.Random) -> None:
        self._session = session
        self._rng = rng

    def total(self, tenant: str) -> int:
        """What the tenant keeps."""
        row = self._session.row(_WHAT, _TOTAL, tenant)
        return 0 if row is None or row[0] is None else int(row[0])

    def charge(self, tenant: str, what: str, amount: int, most: int | None) -> int | None:
        """See `gateway.projection.reservations.Reservations.charge`."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            known = self._session.row(_WHAT, _CHARGE, tenant, what)
            if known is not None and known[1] is not None:
                return int(known[0])
            before = self._before(tenant)
            total = (before or 0) + amount
            if most is not None and total > most:
                return None
            add = self._session.bind(_ADD, tenant, what, amount)
            if self._decided(tenant, total, before, add):
                return total
            self._pause(deadline_s)

    def refund(self, tenant: str, what: str) -> None:
        """Take a charge back."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            known = self._session.row(_WHAT, _CHARGE, tenant, what)
            if known is None or known[1] is None:
                return
            before = self._before(tenant)
            remove = self._session.bind(_REMOVE, tenant, what)
            if self._decided(tenant, (before or 0) - int(known[1]), before, remove):
                return
            self._pause(deadline_s)

    def _before(self, tenant: str) -> int | None:
        row = self._session.row(_WHAT, _TOTAL, tenant)
        return None if row is None or row[0] is None else int(row[0])

    def _decided(self, tenant: str, total: int, before: int | None, change: object) -> bool:
        move = self._session.bind(_SET, total, tenant, before)
        return self._session.decide(_WHAT, self._session.batch([move, change]))

    def _pause(self, deadline_s: float) -> None:
        if time.monotonic() > deadline_s:
            raise StoreError("a tenant's bytes could not be counted: too many count at once")
        time.sleep(self._rng.uniform(0, _PAUSE_S))
