"""The gateway's own rows in one SQLite file, for a product that runs on one machine.

Every decision is one transaction of the only writer, so racing threads and processes agree.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from gateway.projection.cells import Json, canonical
from gateway.projection.reservations import (
    LAPSE_MS,
    Answer,
    Asset,
    Client,
    InFlight,
    Mine,
    Mismatch,
    Reserved,
    Upload,
)
from gateway.projection.sqlite_file import SqliteFile
from schemas.events import Artifact

_SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
    tenant TEXT NOT NULL, id TEXT NOT NULL, state TEXT NOT NULL, expires_ms INTEGER NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (tenant, id)
);
CREATE INDEX IF NOT EXISTS uploads_by_expiry ON uploads (state, expires_ms);
CREATE TABLE IF NOT EXISTS assets (
    tenant TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant, id)
);
CREATE TABLE IF NOT EXISTS versions (
    tenant TEXT NOT NULL, track_id TEXT NOT NULL, number INTEGER NOT NULL, holder TEXT NOT NULL,
    PRIMARY KEY (tenant, track_id, number), UNIQUE (tenant, track_id, holder)
);
CREATE TABLE IF NOT EXISTS idempotency (
    tenant TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, ids TEXT NOT NULL,
    begun_ms INTEGER NOT NULL, answer TEXT, PRIMARY KEY (tenant, key)
);
CREATE INDEX IF NOT EXISTS idempotency_by_age ON idempotency (begun_ms);
CREATE TABLE IF NOT EXISTS channels (
    tenant TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant, id)
);
CREATE TABLE IF NOT EXISTS clients (key_sha256 TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS charges (
    tenant TEXT NOT NULL, what TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (tenant, what)
);
"""

_RELEASED_MS = 0  # a beginning so long ago that the next try goes on at once


class SqliteReservations:
    """A `gateway.projection.reservations.Reservations` in one file."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SCHEMA)

    def save_upload(self, upload: Upload) -> None:
        """Write an upload. An upload that ended keeps its state."""
        row = (upload.tenant, upload.upload_id, upload.state, upload.expires_ms)
        with self._file.write() as db:
            db.execute(
                "INSERT INTO uploads VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, id) DO UPDATE SET"
                " state = CASE state WHEN 'open' THEN excluded.state ELSE state END,"
                " expires_ms = excluded.expires_ms, body = excluded.body",
                (*row, canonical(asdict(upload))),
            )

    def upload(self, tenant: str, upload_id: str) -> Upload | None:
        """An upload of this tenant."""
        with self._file.read() as db:
            row = db.execute(
                "SELECT state, body FROM uploads WHERE tenant = ? AND id = ?", (tenant, upload_id)
            ).fetchone()
        return None if row is None else _upload(*row)

    def end_upload(
        self, tenant: str, upload_id: str, state: Literal["completed", "aborted"]
    ) -> str:
        """Close an open upload; the state it has now. Raises KeyError."""
        with self._file.write() as db:
            db.execute(
                "UPDATE uploads SET state = ? WHERE tenant = ? AND id = ? AND state = 'open'",
                (state, tenant, upload_id),
            )
            row = db.execute(
                "SELECT state FROM uploads WHERE tenant = ? AND id = ?", (tenant, upload_id)
            ).fetchone()
        if row is None:
            raise KeyError(upload_id)
        return str(row[0])

    def expired_uploads(self, now_ms: int, *, limit: int = 100) -> Sequence[Upload]:
        """Open uploads past their time, the longest expired first."""
        with self._file.read() as db:
            rows = db.execute(
                "SELECT state, body FROM uploads WHERE state = 'open' AND expires_ms <= ?"
                " ORDER BY expires_ms LIMIT ?",
                (now_ms, limit),
            ).fetchall()
        return [_upload(*row) for row in rows]

    def save_asset(self, asset: Asset) -> None:
        """Write an asset; the first one of an id stays."""
        body = asdict(asset) | {"artifact": asset.artifact.to_wire()}
        with self._file.write() as db:
            db.execute(
                "INSERT INTO assets VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (asset.tenant, asset.asset_id, canonical(body)),
            )

    def asset(self, tenant: str, asset_id: str) -> Asset | None:
        """An asset of this tenant."""
        with self._file.read() as db:
            row = db.execute(
                "SELECT body FROM assets WHERE tenant = ? AND id = ?", (tenant, asset_id)
            ).fetchone()
        if row is None:
            return None
        body = json.loads(row[0])
        return Asset(**body | {"artifact": Artifact.from_wire(body["artifact"])})

    def reserve_version(self, tenant: str, track_id: str, holder: str, *, floor: int) -> int:
        """The next version of a track, or the one that the holder has already."""
        with self._file.write() as db:
            held = db.execute(
                "SELECT number FROM versions WHERE tenant = ? AND track_id = ? AND holder = ?",
                (tenant, track_id, holder),
            ).fetchone()
            if held is not None:
                return int(held[0])
            (last,) = db.execute(
                "SELECT coalesce(max(number), 0) FROM versions WHERE tenant = ? AND track_id = ?",
                (tenant, track_id),
            ).fetchone()
            number = max(int(last), floor) + 1
            db.execute(
                "INSERT INTO versions VALUES (?, ?, ?, ?)", (tenant, track_id, number, holder)
            )
        return number

    def reserve(
        self, tenant: str, key: str, digest: str, ids: Mapping[str, str], now_ms: int
    ) -> Reserved:
        """Begin a request under an idempotency key."""
        with self._file.write() as db:
            row = db.execute(
                "SELECT digest, ids, begun_ms, answer FROM idempotency"
                " WHERE tenant = ? AND key = ?",
                (tenant, key),
            ).fetchone()
            if row is None:
                db.execute(
                    "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, NULL)",
                    (tenant, key, digest, canonical(dict(ids)), now_ms),
                )
                return Mine(dict(ids), resumed=False)
            known, made, begun_ms, answer = row
            if known != digest:
                return Mismatch()
            if answer is not None:
                return _answer(answer)
            left_ms = begun_ms + LAPSE_MS - now_ms
            if left_ms > 0:
                return InFlight(left_ms, json.loads(made))
            db.execute(
                "UPDATE idempotency SET begun_ms = ? WHERE tenant = ? AND key = ?",
                (now_ms, tenant, key),
            )
            return Mine(json.loads(made), resumed=True)

    def complete(self, tenant: str, key: str, answer: Answer, now_ms: int) -> Answer:
        """Keep the answer of a request; the first one kept. Raises KeyError."""
        with self._file.write() as db:
            db.execute(
                "UPDATE idempotency SET answer = ?, begun_ms = ?"
                " WHERE tenant = ? AND key = ? AND answer IS NULL",
                (canonical(asdict(answer)), now_ms, tenant, key),
            )
            kept = _kept_answer(db, tenant, key)
        if kept is None:
            raise KeyError(key)
        return kept

    def release(self, tenant: str, key: str) -> None:
        """Let the next try begin at once with the same ids."""
        with self._file.write() as db:
            db.execute(
                "UPDATE idempotency SET begun_ms = ?"
                " WHERE tenant = ? AND key = ? AND answer IS NULL",
                (_RELEASED_MS, tenant, key),
            )

    def prune(self, before_ms: int) -> int:
        """Forget the idempotency keys begun before a time; how many."""
        with self._file.write() as db:
            return db.execute("DELETE FROM idempotency WHERE begun_ms < ?", (before_ms,)).rowcount

    def save_client(self, client: Client) -> None:
        """Write an API client."""
        with self._file.write() as db:
            db.execute(
                "INSERT INTO clients VALUES (?, ?)"
                " ON CONFLICT (key_sha256) DO UPDATE SET body = excluded.body",
                (client.key_sha256, canonical(asdict(client))),
            )

    def client(self, key_sha256: str) -> Client | None:
        """Who holds a key; revoked ones too."""
        with self._file.read() as db:
            row = db.execute(
                "SELECT body FROM clients WHERE key_sha256 = ?", (key_sha256,)
            ).fetchone()
        return None if row is None else Client.read(json.loads(row[0]))

    def clients(self) -> Sequence[Client]:
        """Every API client, the oldest first."""
        with self._file.read() as db:
            rows = db.execute("SELECT body FROM clients").fetchall()
        found = [Client.read(json.loads(body)) for (body,) in rows]
        return sorted(found, key=lambda client: (client.created_ms, client.key_sha256))

    def charge(self, tenant: str, what: str, amount: int, *, most: int | None) -> int | None:
        """Count bytes on the tenant's account, once; None when there is no room for them."""
        with self._file.write() as db:
            total = _charged(db, tenant)
            known = db.execute(
                "SELECT amount FROM charges WHERE tenant = ? AND what = ?", (tenant, what)
            ).fetchone()
            if known is not None:
                return total
            if most is not None and total + amount > most:
                return None
            db.execute("INSERT INTO charges VALUES (?, ?, ?)", (tenant, what, amount))
        return total + amount

    def refund(self, tenant: str, what: str) -> None:
        """Take a charge back."""
        with self._file.write() as db:
            db.execute("DELETE FROM charges WHERE tenant = ? AND what = ?", (tenant, what))

    def charged(self, tenant: str) -> int:
        """The tenant's total."""
        with self._file.read() as db:
            return _charged(db, tenant)

    def save_channel(self, tenant: str, channel_id: str, body: Json) -> None:
        """Write the settings of a channel; the last one written stays."""
        with self._file.write() as db:
            db.execute(
                "INSERT INTO channels VALUES (?, ?, ?)"
                " ON CONFLICT (tenant, id) DO UPDATE SET body = excluded.body",
                (tenant, channel_id, canonical(body)),
            )

    def channel(self, tenant: str, channel_id: str) -> Json | None:
        """The settings of a channel."""
        with self._file.read() as db:
            row = db.execute(
                "SELECT body FROM channels WHERE tenant = ? AND id = ?", (tenant, channel_id)
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def channels(self, tenant: str) -> Sequence[tuple[str, Json]]:
        """Every channel of a tenant, by id."""
        with self._file.read() as db:
            rows = db.execute(
                "SELECT id, body FROM channels WHERE tenant = ? ORDER BY id", (tenant,)
            ).fetchall()
        return [(row[0], json.loads(row[1])) for row in rows]

    def remove_channel(self, tenant: str, channel_id: str) -> bool:
        """Forget a channel; False when there is none."""
        with self._file.write() as db:
            gone = db.execute(
                "DELETE FROM channels WHERE tenant = ? AND id = ?", (tenant, channel_id)
            )
            return gone.rowcount > 0

    def check(self) -> None:
        """Raise `gateway.projection.store.StoreError` unless the file works."""
        self._file.check()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _charged(db: sqlite3.Connection, tenant: str) -> int:
    # A sum over a tenant's songs: thousands of them take a millisecond, once an upload.
    (total,) = db.execute(
        "SELECT coalesce(sum(amount), 0) FROM charges WHERE tenant = ?", (tenant,)
    ).fetchone()
    return int(total)


def _upload(state: str, body: str) -> Upload:
    return Upload(**json.loads(body) | {"state": state})


def _answer(text: str) -> Answer:
    return Answer(**json.loads(text))


def _kept_answer(db: sqlite3.Connection, tenant: str, key: str) -> Answer | None:
    row = db.execute(
        "SELECT answer FROM idempotency WHERE tenant = ? AND key = ?", (tenant, key)
    ).fetchone()
    return None if row is None else _answer(row[0])
