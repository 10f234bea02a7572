"""What became of every delivery, for whoever asks: a fold of its topics in a file of this gateway.

It is read up to the log's end before each question, so any gateway answers with everything that was
committed before. The file can be thrown away: it is read again, as far back as the topics keep.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.projection.cells import canonical
from gateway.projection.sqlite_file import SqliteFile
from schemas.events import Notified, WebhookAttempted
from schemas.webhooks import order
from topics.codec import Codec, Envelope, Poison
from topics.log import Log, TopicPartition

_TOPICS = (Notified.topic, WebhookAttempted.topic)
_POLL_S = 0.2
_BATCH = 5000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (
    topic TEXT NOT NULL, number INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (topic, number)
);
CREATE TABLE IF NOT EXISTS notices (
    tenant TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, at_ms INTEGER NOT NULL,
    wire TEXT NOT NULL, PRIMARY KEY (tenant, id)
);
CREATE INDEX IF NOT EXISTS notices_by_age ON notices (tenant, at_ms);
CREATE TABLE IF NOT EXISTS deliveries (
    endpoint TEXT NOT NULL, id TEXT NOT NULL, tenant TEXT NOT NULL, rank TEXT NOT NULL,
    outcome TEXT NOT NULL, at_ms INTEGER NOT NULL, body TEXT NOT NULL, wire TEXT NOT NULL,
    PRIMARY KEY (endpoint, id)
);
CREATE INDEX IF NOT EXISTS deliveries_by_age ON deliveries (endpoint, at_ms, id);
CREATE TABLE IF NOT EXISTS attempts (
    endpoint TEXT NOT NULL, id TEXT NOT NULL, rank TEXT NOT NULL, tenant TEXT NOT NULL,
    at_ms INTEGER NOT NULL, wire TEXT NOT NULL, PRIMARY KEY (endpoint, id, rank)
);
CREATE INDEX IF NOT EXISTS attempts_by_age ON attempts (endpoint, at_ms, id, rank);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivery, or one attempt at it, with when it was written."""

    event: WebhookAttempted
    at_ms: int
    body: str = ""
    """What is sent."""

    @property
    def place(self) -> tuple[int, str, str]:
        """Where it stands in a list by age."""
        return (self.at_ms, self.event.notification_id, _rank(self.event))


class History:
    """Notifications and deliveries of every tenant. Safe to share between threads."""

    def __init__(self, path: Path, log: Log, codec: Codec) -> None:
        self._path = path
        self._log = log
        self._codec = codec
        self._lock = threading.Lock()
        self._opened: SqliteFile | None = None

    def refresh(self) -> None:
        """Read what was committed until now. Raises `LogError`, `StoreError`."""
        with self._lock:
            topics = [self._codec.on_log(topic) for topic in _TOPICS]
            ends = self._log.end_offsets(topics)
            positions = self._positions()
            if any(at > ends.get(tp, 0) for tp, at in positions.items()):
                self._forget()  # another log than the one that was read before
                positions = {}
            if all(positions.get(tp, 0) >= end for tp, end in ends.items()):
                return
            reader = self._log.reader(topics, start=positions)
            try:
                while not reader.caught_up():
                    records = reader.poll(_POLL_S, _BATCH)
                    found = []
                    for record in records:
                        positions[record.tp] = record.offset + 1
                        try:
                            found.append(self._codec.decode(record))
                        except Poison as poison:
                            structlog.get_logger("gateway").warning(
                                "no event of a webhook; left out",
                                topic=record.topic,
                                offset=record.offset,
                                reason=str(poison),
                            )
                    self._fold(found, positions)
            finally:
                reader.close()
            # Markers of transactions take offsets that no record has.
            self._fold((), {tp: max(end, positions.get(tp, 0)) for tp, end in ends.items()})

    def notice(self, tenant: str, notification_id: str) -> Notified | None:
        """A notification of a tenant."""
        with self._file().read() as db:
            row = db.execute(
                "SELECT wire FROM notices WHERE tenant = ? AND id = ?", (tenant, notification_id)
            ).fetchone()
        return None if row is None else Notified.from_wire(json.loads(row[0]))

    def missed(
        self, tenant: str, endpoint_id: str, since_ms: int, wants: Callable[[str], bool], limit: int
    ) -> list[Notified]:
        """Notifications since a time that were never owed to an endpoint, oldest first."""
        with self._file().read() as db:
            rows = db.execute(
                "SELECT type, wire FROM notices AS n WHERE tenant = ? AND at_ms >= ? AND NOT EXISTS"
                " (SELECT 1 FROM deliveries WHERE endpoint = ? AND id = n.id)"
                " ORDER BY at_ms, id",
                (tenant, since_ms, endpoint_id),
            )
            found: list[Notified] = []
            for kind, wire in rows:
                if wants(kind):
                    found.append(Notified.from_wire(json.loads(wire)))
                    if len(found) == limit:
                        break
        return found

    def delivery(self, tenant: str, endpoint_id: str, notification_id: str) -> Entry | None:
        """How a delivery stands."""
        with self._file().read() as db:
            row = db.execute(
                "SELECT wire, at_ms, body FROM deliveries"
                " WHERE endpoint = ? AND id = ? AND tenant = ?",
                (endpoint_id, notification_id, tenant),
            ).fetchone()
        return None if row is None else _entry(*row)

    def deliveries(
        self,
        tenant: str,
        endpoint_id: str,
        *,
        outcome: str | None = None,
        since_ms: int = 0,
        before: tuple[int, str, str] | None = None,
        limit: int = 50,
    ) -> Sequence[Entry]:
        """Deliveries of an endpoint by how they stand, newest first."""
        at_ms, last, _ = before or (2**62, "", "")
        with self._file().read() as db:
            rows = db.execute(
                "SELECT wire, at_ms, body FROM deliveries WHERE endpoint = ? AND tenant = ?"
                " AND (? IS NULL OR outcome = ?) AND at_ms >= ? AND (at_ms, id) < (?, ?)"
                " ORDER BY at_ms DESC, id DESC LIMIT ?",
                (endpoint_id, tenant, outcome, outcome, since_ms, at_ms, last, limit),
            ).fetchall()
        return [_entry(*row) for row in rows]

    def attempts(
        self,
        tenant: str,
        endpoint_id: str,
        *,
        notification_id: str | None = None,
        before: tuple[int, str, str] | None = None,
        limit: int = 50,
    ) -> Sequence[Entry]:
        """Attempts at an endpoint, newest first."""
        with self._file().read() as db:
            rows = db.execute(
                "SELECT wire, at_ms FROM attempts WHERE endpoint = ? AND tenant = ?"
                " AND (? IS NULL OR id = ?) AND (at_ms, id, rank) < (?, ?, ?)"
                " ORDER BY at_ms DESC, id DESC, rank DESC LIMIT ?",
                (
                    endpoint_id,
                    tenant,
                    notification_id,
                    notification_id,
                    *(before or (2**62, "", "")),
                    limit,
                ),
            ).fetchall()
        return [_entry(*row) for row in rows]

    def prune(self, before_ms: int) -> None:
        """Forget what is older; the topics have by then, too."""
        with self._file().write() as db:
            for table in ("notices", "deliveries", "attempts"):
                db.execute(f"DELETE FROM {table} WHERE at_ms < ?", (before_ms,))  # noqa: S608

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()

    def _file(self) -> SqliteFile:
        if self._opened is None:  # most gateways are never asked
            self._opened = SqliteFile(self._path, _SCHEMA)
        return self._opened

    def _positions(self) -> dict[TopicPartition, int]:
        with self._file().read() as db:
            rows = db.execute("SELECT topic, number, next FROM positions").fetchall()
        return {TopicPartition(topic, number): at for topic, number, at in rows}

    def _forget(self) -> None:
        with self._file().write() as db:
            for table in ("positions", "notices", "deliveries", "attempts"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608  (this module's own names)

    def _fold(self, found: Sequence[Envelope], positions: dict[TopicPartition, int]) -> None:
        notices, states, tries = [], [], []
        for each in found:
            event, at_ms = each.event, each.time_ms
            wire = canonical(event.to_wire())
            if isinstance(event, Notified):
                key = (event.tenant, event.notification_id)
                notices.append((*key, event.type, event.occurred_ms, wire))
            elif isinstance(event, WebhookAttempted):
                name, rank = (event.endpoint_id, event.notification_id), _rank(event)
                states.append((*name, event.tenant, rank, event.outcome, at_ms, event.body, wire))
                if event.attempt and event.outcome != "dropped" and event.duration_ms >= 0:
                    tries.append((*name, rank, event.tenant, at_ms, wire))
        with self._file().write() as db:
            db.executemany(
                "INSERT INTO notices VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", notices
            )
            db.executemany(
                "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (endpoint, id) DO UPDATE SET rank = excluded.rank,"
                " outcome = excluded.outcome, at_ms = excluded.at_ms, wire = excluded.wire,"
                " body = CASE excluded.body WHEN '' THEN body ELSE excluded.body END"
                " WHERE excluded.rank > rank",
                states,
            )
            db.executemany(
                "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", tries
            )
            db.executemany(
                "INSERT INTO positions VALUES (?, ?, ?)"
                " ON CONFLICT (topic, number) DO UPDATE SET next = max(next, excluded.next)",
                [(tp.topic, tp.partition, at) for tp, at in positions.items()],
            )


def _rank(event: WebhookAttempted) -> str:
    """`schemas.webhooks.order` as text that sorts alike."""
    return "{:08d}.{:08d}.{}".format(*order(event))


def _entry(wire: str, at_ms: int, body: str = "") -> Entry:
    return Entry(WebhookAttempted.from_wire(json.loads(wire)), at_ms, body)
