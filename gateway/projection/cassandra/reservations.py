"""The gateway's own rows in Cassandra: conditional writes, each to one partition.

A row that one conditional write touches is touched by no other kind, because the two order
themselves differently (a ballot, a clock).
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Literal

from gateway.projection.cassandra.accounts import Accounts
from gateway.projection.cassandra.idempotency import Requests
from gateway.projection.cassandra.session import CassandraSession
from gateway.projection.cassandra.settings import CassandraSettings
from gateway.projection.cassandra.versions import next_version
from gateway.projection.cells import Json, canonical
from gateway.projection.reservations import Answer, Asset, Client, Reserved, Upload
from schemas.events import Artifact

_NEW_UPLOAD = (
    "INSERT INTO uploads (tenant, id, state, expires_ms, body) VALUES (?, ?, ?, ?, ?)"
    " IF NOT EXISTS USING TTL ?"
)
_PUT_UPLOAD = (
    "UPDATE uploads USING TTL ? SET state = ?, expires_ms = ?, body = ?"
    " WHERE tenant = ? AND id = ? IF state = ?"
)
_UPLOAD = "SELECT state, body, expires_ms FROM uploads WHERE tenant = ? AND id = ?"
_EXPIRED = "SELECT expires_ms, tenant, id FROM uploads WHERE state = 'open' AND expires_ms <= ?"
_NEW_ASSET = "INSERT INTO assets (tenant, id, body) VALUES (?, ?, ?) IF NOT EXISTS"
_ASSET = "SELECT body FROM assets WHERE tenant = ? AND id = ?"
_NEW_CLIENT = "INSERT INTO clients (key_sha256, body) VALUES (?, ?) IF NOT EXISTS"
# Conditional although it asks nothing: two gateways whose clocks disagree would otherwise keep a
# revoked client by its later timestamp.
_PUT_CLIENT = "UPDATE clients SET body = ? WHERE key_sha256 = ? IF EXISTS"
_NEW_CHANNEL = "INSERT INTO channels (tenant, id, body) VALUES (?, ?, ?) IF NOT EXISTS"
_PUT_CHANNEL = "UPDATE channels SET body = ? WHERE tenant = ? AND id = ? IF EXISTS"
_CHANNEL = "SELECT body FROM channels WHERE tenant = ? AND id = ?"
_CHANNELS = "SELECT id, body FROM channels WHERE tenant = ?"
_NO_CHANNEL = "DELETE FROM channels WHERE tenant = ? AND id = ? IF EXISTS"
_CLIENT = "SELECT body FROM clients WHERE key_sha256 = ?"
_CLIENTS = "SELECT body FROM clients"


class CassandraReservations:
    """A `gateway.projection.reservations.Reservations` in a keyspace."""

    def __init__(self, settings: CassandraSettings, *, rng: random.Random | None = None) -> None:
        """Open, making what is missing; ``rng`` spreads those who race. Raises `StoreError`."""
        self._session = CassandraSession(settings)
        self._upload_ttl_s = settings.cassandra_upload_ttl_seconds
        self._requests = Requests(self._session, ttl_s=settings.cassandra_idempotency_ttl_seconds)
        self._rng = rng or random.SystemRandom()
        self._accounts = Accounts(self._session, self._rng)

    def save_upload(self, upload: Upload) -> None:
        """Write an upload. An upload that ended keeps its state."""
        place = (upload.tenant, upload.upload_id)
        body = canonical(asdict(upload))
        new = (upload.state, upload.expires_ms, body)
        begin = self._session.bind(_NEW_UPLOAD, *place, *new, self._upload_ttl_s)
        while not self._session.decide("save an upload", begin):
            row = self._session.row("save an upload", _UPLOAD, *place)
            if row is None:
                continue  # it expired in between
            state = upload.state if row[0] == "open" else row[0]
            if self._put_upload(place, (state, upload.expires_ms, body), was=row[0]):
                return

    def upload(self, tenant: str, upload_id: str) -> Upload | None:
        """An upload of this tenant."""
        row = self._session.row("read an upload", _UPLOAD, tenant, upload_id)
        return None if row is None else _upload(row[0], row[1])

    def end_upload(
        self, tenant: str, upload_id: str, state: Literal["completed", "aborted"]
    ) -> str:
        """Close an open upload; the state it has now. Raises KeyError."""
        while True:
            row = self._session.row("end an upload", _UPLOAD, tenant, upload_id)
            if row is None:
                raise KeyError(upload_id)
            was, body, expires_ms = row
            if was != "open":
                return str(was)
            if self._put_upload((tenant, upload_id), (state, expires_ms, body), was=was):
                return state

    def expired_uploads(self, now_ms: int, *, limit: int = 100) -> Sequence[Upload]:
        """Open uploads past their time, the longest expired first."""
        rows = self._session.rows("find expired uploads", _EXPIRED, now_ms)
        first = heapq.nsmallest(limit, rows)
        found = self._session.execute_all(
            "read uploads", [self._session.bind(_UPLOAD, *row[1:]) for row in first]
        )
        return [_upload(rows[0][0], rows[0][1]) for rows in found if rows and rows[0][0] == "open"]

    def save_asset(self, asset: Asset) -> None:
        """Write an asset; the first one of an id stays."""
        body = canonical(asdict(asset) | {"artifact": asset.artifact.to_wire()})
        statement = self._session.bind(_NEW_ASSET, asset.tenant, asset.asset_id, body)
        self._session.decide("save an asset", statement)

    def asset(self, tenant: str, asset_id: str) -> Asset | None:
        """An asset of this tenant."""
        row = self._session.row("read an asset", _ASSET, tenant, asset_id)
        if row is None:
            return None
        body = json.loads(row[0])
        return Asset(**body | {"artifact": Artifact.from_wire(body["artifact"])})

    def reserve_version(self, tenant: str, track_id: str, holder: str, *, floor: int) -> int:
        """The next version of a track, or the one that the holder has already."""
        return next_version(self._session, tenant, track_id, holder, floor, self._rng)

    def reserve(
        self, tenant: str, key: str, digest: str, ids: Mapping[str, str], now_ms: int
    ) -> Reserved:
        """Begin a request under an idempotency key."""
        return self._requests.reserve(tenant, key, digest, ids, now_ms)

    def complete(self, tenant: str, key: str, answer: Answer, now_ms: int) -> Answer:
        """Keep the answer of a request; the first one kept. Raises KeyError."""
        return self._requests.complete(tenant, key, answer, now_ms)

    def release(self, tenant: str, key: str) -> None:
        """Let the next try begin at once with the same ids."""
        self._requests.release(tenant, key)

    def prune(self, before_ms: int) -> int:
        """Forget the idempotency keys begun before a time; how many."""
        return self._requests.prune(before_ms)

    def save_client(self, client: Client) -> None:
        """Write an API client."""
        body = canonical(asdict(client))
        begin = self._session.bind(_NEW_CLIENT, client.key_sha256, body)
        if not self._session.decide("save a client", begin):
            again = self._session.bind(_PUT_CLIENT, body, client.key_sha256)
            self._session.decide("save a client", again)

    def client(self, key_sha256: str) -> Client | None:
        """Who holds a key; revoked ones too."""
        row = self._session.row("read a client", _CLIENT, key_sha256)
        return None if row is None else Client.read(json.loads(row[0]))

    def clients(self) -> Sequence[Client]:
        """Every API client, the oldest first."""
        found = [
            Client.read(json.loads(body)) for (body,) in self._session.rows("list keys", _CLIENTS)
        ]
        return sorted(found, key=lambda client: (client.created_ms, client.key_sha256))

    def charge(self, tenant: str, what: str, amount: int, *, most: int | None) -> int | None:
        """Count bytes on the tenant's account, once; None when there is no room for them."""
        return self._accounts.charge(tenant, what, amount, most)

    def refund(self, tenant: str, what: str) -> None:
        """Take a charge back."""
        self._accounts.refund(tenant, what)

    def charged(self, tenant: str) -> int:
        """The tenant's total."""
        return self._accounts.total(tenant)

    def save_channel(self, tenant: str, channel_id: str, body: Json) -> None:
        """Write the settings of a channel; the last one written stays."""
        text = canonical(body)
        new = self._session.bind(_NEW_CHANNEL, tenant, channel_id, text)
        while not self._session.decide("save a channel", new):
            put = self._session.bind(_PUT_CHANNEL, text, tenant, channel_id)
            if self._session.decide("save a channel", put):
                return

    def channel(self, tenant: str, channel_id: str) -> Json | None:
        """The settings of a channel."""
        row = self._session.row("read a channel", _CHANNEL, tenant, channel_id)
        return None if row is None else json.loads(row[0])

    def channels(self, tenant: str) -> Sequence[tuple[str, Json]]:
        """Every channel of a tenant, by id."""
        rows = self._session.rows("list channels", _CHANNELS, tenant)
        return [(row[0], json.loads(row[1])) for row in rows]

    def remove_channel(self, tenant: str, channel_id: str) -> bool:
        """Forget a channel; False when there is none."""
        statement = self._session.bind(_NO_CHANNEL, tenant, channel_id)
        return self._session.decide("remove a channel", statement)

    def check(self) -> None:
        """Raise `gateway.projection.store.StoreError` unless rows can be written and read now."""
        self._session.check()

    def close(self) -> None:
        """Let go of every connection."""
        self._session.close()

    def _put_upload(self, place: tuple[str, str], new: tuple[str, int, str], *, was: str) -> bool:
        """Write an upload if its state is still the one that was read."""
        statement = self._session.bind(_PUT_UPLOAD, self._upload_ttl_s, *new, *place, was)
        return self._session.decide("save an upload", statement)


def _upload(state: str, body: str) -> Upload:
    return Upload(**json.loads(body) | {"state": state})
