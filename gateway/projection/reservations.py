"""What the gateway decides itself: uploads, assets, version numbers, idempotency, API clients.

None of it is a projection and none of it is rebuilt from events, but version counters never give
out a number at or below one that events have shown (``floor``). The protocol asks no more than
Cassandra gives: rows by key and conditional writes to one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, Self

from gateway.projection.cells import Json
from schemas.events import Artifact

LAPSE_MS = 60_000
"""A request in flight for longer is taken to be dead (mission.md, rules for every endpoint)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload and what was promised for it."""

    upload_id: str
    tenant: str
    key: str
    """Key of the object in the artifact store."""
    store_upload: str
    """The artifact store's own id of the multipart upload."""
    filename: str
    content_type: str
    size_bytes: int
    part_size_bytes: int
    sha256: str = ""
    """The client's promise in hex; empty without one."""
    purpose: str = "karaoke"
    state: Literal["open", "completed", "aborted"] = "open"
    asset_id: str = ""
    """Made with the upload, so that completing it twice gives one asset."""
    created_ms: int = 0
    expires_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Checked audio that jobs can be made from."""

    asset_id: str
    tenant: str
    upload_id: str
    artifact: Artifact
    format: str
    """Container found in the first bytes, e.g. flac."""
    filename: str
    purpose: str = "karaoke"
    created_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who holds an API key. The key itself is kept nowhere, only its sha256 in hex."""

    key_sha256: str
    tenant: str
    key_id: str = ""
    """Part of the key that people may see."""
    name: str = ""
    role: Literal["user", "operator", "admin"] = "user"
    scopes: tuple[str, ...] = ()
    """What it may do; empty: all that its role may."""
    created_ms: int = 0
    expires_ms: int | None = None
    revoked_ms: int | None = None
    replaces: str = ""
    """Id of the key that this one was rotated from."""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """From its JSON; members of other releases are passed over."""
        known = {each.name for each in fields(cls)}
        kept = {name: value for name, value in body.items() if name in known}
        return cls(**kept | {"scopes": tuple(body.get("scopes", ()))})


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it was first given, to be given again."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mine:
    """Go on with these ids. ``resumed``: an earlier try began with them and never answered, so
    part of its work may be done already.
    """

    ids: Mapping[str, str]
    resumed: bool


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another try with this key is being worked on, or died less than `LAPSE_MS` ago. ``ids`` are
    what it was begun with.
    """

    retry_after_ms: int
    ids: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used with another body: 422."""


Reserved = Mine | InFlight | Mismatch | Answer


class Reservations(Protocol):
    """Rows of the gateway. Safe to share between threads and processes."""

    def save_upload(self, upload: Upload) -> None:
        """Write an upload. An upload that ended keeps its state."""

    def upload(self, tenant: str, upload_id: str) -> Upload | None:
        """An upload of this tenant."""

    def end_upload(
        self, tenant: str, upload_id: str, state: Literal["completed", "aborted"]
    ) -> str:
        """Close an open upload; the state it has now, which is another one if it was ended before.

        Raises KeyError for an unknown upload.
        """

    def expired_uploads(self, now_ms: int, *, limit: int = 100) -> Sequence[Upload]:
        """Open uploads past their time, of every tenant, for the sweeper."""

    def save_asset(self, asset: Asset) -> None:
        """Write an asset; the first one of an id stays."""

    def asset(self, tenant: str, asset_id: str) -> Asset | None:
        """An asset of this tenant."""

    def reserve_version(self, tenant: str, track_id: str, holder: str, *, floor: int) -> int:
        """The next version of a track: above every one given out and above ``floor``, which is
        `Track.highest`. The same ``holder`` (a job id, a request id) gets the same number again.
        """

    def reserve(
        self, tenant: str, key: str, digest: str, ids: Mapping[str, str], now_ms: int
    ) -> Reserved:
        """Begin a request under an idempotency key. ``digest`` is of method, path and body; ``ids``
        are what it would create, and what a later try gets if this one dies.
        """

    def complete(self, tenant: str, key: str, answer: Answer, now_ms: int) -> Answer:
        """Keep the answer of a request; the first one kept, if another try was faster.

        Raises KeyError for a key that was never reserved.
        """

    def release(self, tenant: str, key: str) -> None:
        """Let the next try begin at once with the same ids: this one failed before its answer."""

    def prune(self, before_ms: int) -> int:
        """Forget the idempotency keys begun before a time; how many."""

    def save_client(self, client: Client) -> None:
        """Write an API client."""

    def client(self, key_sha256: str) -> Client | None:
        """Who holds a key; revoked ones too."""

    def clients(self) -> Sequence[Client]:
        """Every API client, the oldest first. For people who look after keys: it reads them all."""

    def charge(self, tenant: str, what: str, amount: int, *, most: int | None) -> int | None:
        """Count ``amount`` bytes for ``what`` (an upload) on the tenant's account; the new total,
        or None when it would be over ``most``, and nothing was counted. Again it counts once.
        """

    def refund(self, tenant: str, what: str) -> None:
        """Take what was counted for ``what`` off the account. Again does no harm."""

    def charged(self, tenant: str) -> int:
        """The tenant's total."""

    def save_channel(self, tenant: str, channel_id: str, body: Json) -> None:
        """Write the settings of a channel of generated songs; the last one written stays."""

    def channel(self, tenant: str, channel_id: str) -> Json | None:
        """The settings of a channel."""

    def channels(self, tenant: str) -> Sequence[tuple[str, Json]]:
        """Every channel of a tenant with its settings, by id."""

    def remove_channel(self, tenant: str, channel_id: str) -> bool:
        """Forget a channel; False when there is none."""

    def check(self) -> None:
        """Raise `gateway.projection.store.StoreError` unless rows can be read and written now."""

    def close(self) -> None:
        """Let go of everything."""
