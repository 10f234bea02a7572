"""Requests under an idempotency key: begun once, answered once, in conditional writes to one row.

Every write repeats the whole row, so that its columns expire together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gateway.projection.cassandra.session import CassandraSession
from gateway.projection.cells import canonical
from gateway.projection.reservations import (
    LAPSE_MS,
    Answer,
    InFlight,
    Mine,
    Mismatch,
    Reserved,
)

_READ = "SELECT digest, ids, begun_ms, answer FROM idempotency WHERE tenant = ? AND key = ?"
_BEGIN = (
    "INSERT INTO idempotency (tenant, key, digest, ids, begun_ms) VALUES (?, ?, ?, ?, ?)"
    " IF NOT EXISTS USING TTL ?"
)
_UPDATE = (
    "UPDATE idempotency USING TTL ? SET digest = ?, ids = ?, begun_ms = ?, answer = ?"
    " WHERE tenant = ? AND key = ? IF digest = ? AND begun_ms = ? AND answer = ?"
)
_OLD = "SELECT tenant, key, begun_ms FROM idempotency WHERE begun_ms < ?"
_FORGET = "DELETE FROM idempotency WHERE tenant = ? AND key = ? IF begun_ms = ?"

_RELEASED_MS = 0  # a beginning so long ago that the next try goes on at once


@dataclass(frozen=True, slots=True)
class _Request:
    digest: str
    ids: str
    begun_ms: int
    answer: str | None


class Requests:
    """The rows of idempotency keys. Safe to share between threads."""

    def __init__(self, session: CassandraSession, *, ttl_s: int) -> None:
        self._session = session
        self._ttl_s = ttl_s

    def reserve(
        self, tenant: str, key: str, digest: str, ids: Mapping[str, str], now_ms: int
    ) -> Reserved:
        """Begin a request; see `gateway.projection.reservations.Reservations.reserve`."""
        made = canonical(dict(ids))
        while True:
            known = self._read(tenant, key)
            if known is None:
                begin = self._session.bind(_BEGIN, tenant, key, digest, made, now_ms, self._ttl_s)
                if self._session.decide("begin a request", begin):
                    return Mine(dict(ids), resumed=False)
                continue
            if known.digest != digest:
                return Mismatch()
            if known.answer is not None:
                return _answer(known.answer)
            left_ms = known.begun_ms + LAPSE_MS - now_ms
            if left_ms > 0:
                return InFlight(left_ms, json.loads(known.ids))
            again = _Request(known.digest, known.ids, now_ms, None)
            if self._change(tenant, key, known, again):
                return Mine(json.loads(known.ids), resumed=True)

    def complete(self, tenant: str, key: str, answer: Answer, now_ms: int) -> Answer:
        """Keep an answer; the first one kept. Raises KeyError for a key never reserved."""
        while True:
            known = self._read(tenant, key)
            if known is None:
                raise KeyError(key)
            if known.answer is not None:
                return _answer(known.answer)
            done = _Request(known.digest, known.ids, now_ms, canonical(asdict(answer)))
            if self._change(tenant, key, known, done):
                return answer

    def release(self, tenant: str, key: str) -> None:
        """Let the next try begin at once with the same ids."""
        known = self._read(tenant, key)
        if known is not None and known.answer is None:
            # Not tried again: if the row moved on, somebody else answered or resumed it.
            free = _Request(known.digest, known.ids, _RELEASED_MS, None)
            self._change(tenant, key, known, free)

    def prune(self, before_ms: int) -> int:
        """Forget what was begun before a time; how many."""
        old = list(self._session.rows("find old requests", _OLD, before_ms))
        forgotten = self._session.execute_all(
            "forget requests", [self._session.bind(_FORGET, *row) for row in old]
        )
        return sum(bool(rows[0][0]) for rows in forgotten)

    def _read(self, tenant: str, key: str) -> _Request | None:
        row = self._session.row("read a request", _READ, tenant, key)
        return None if row is None or row[0] is None else _Request(*row)

    def _change(self, tenant: str, key: str, known: _Request, new: _Request) -> bool:
        """Write a row if it is still as it was read."""
        statement = self._session.bind(
            _UPDATE,
            *(self._ttl_s, new.digest, new.ids, new.begun_ms, new.answer, tenant, key),
            *(known.digest, known.begun_ms, known.answer),
        )
        return self._session.decide("change a request", statement)


def _answer(text: str) -> Answer:
    return Answer(**json.loads(text))
