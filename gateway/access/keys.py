"""API keys: made, shown once, kept as digests, rotated with an overlap, revoked.

They are rows of the gateway's own (`gateway.projection.reservations`), beside uploads and
idempotency keys: in SQLite or Cassandra, wherever the product keeps its decisions. So every gateway
knows a new key at once, nothing has to be deployed to change one, a rebuild of the projection never
touches them, and there is no second store to run or to back up.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.access.identity import Identity, is_tenant
from gateway.access.scopes import SCOPES, Role
from gateway.projection.reservations import Client, Reservations

PREFIX = "mls"
"""What every key begins with, so that scanners of leaked secrets and our own logs know one."""

OVERLAP_S = 86_400.0
"""How long a rotated key works beside its successor: a day, as Svix gives webhook secrets."""

_KEY = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")


class KeyRefused(ValueError):
    """What was asked of a key cannot be done; the message says why and what can."""


def looks_like_key(credential: str) -> bool:
    """True for what has a key's shape."""
    return _KEY.fullmatch(credential) is not None


def digest(key: str) -> str:
    """What is kept of a key, in hex.

    SHA-256 and nothing slower: a key has 256 random bits, so there is nothing to guess that a slow
    hash would protect, and every request pays for it.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def create(
    rows: Reservations,
    *,
    tenant: str,
    now_ms: int,
    random_hex: Callable[[int], str],
    random_text: Callable[[int], str],
    name: str = "",
    role: Role = "user",
    scopes: Sequence[str] = (),
    expires_ms: int | None = None,
    replaces: str = "",
) -> tuple[str, Client]:
    """A new key, which is shown now and never again, and its row. No ``scopes`` are all of them.

    ``random_hex`` and ``random_text`` are `secrets.token_hex` and `secrets.token_urlsafe`. Raises
    `KeyRefused`.
    """
    if not is_tenant(tenant):
        raise KeyRefused(
            f"'{tenant}' cannot be a tenant: use 1 to 63 of a-z, 0-9, - and _, a letter or digit"
            " first"
        )
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise KeyRefused(f"there is no scope '{unknown[0]}'; there are {', '.join(SCOPES)}")
    if expires_ms is not None and expires_ms <= now_ms:
        raise KeyRefused("the key would have expired already")
    key_id = random_hex(6)
    key = f"{PREFIX}_{key_id}_{random_text(32)}"
    client = Client(
        key_sha256=digest(key),
        key_id=key_id,
        tenant=tenant,
        name=name,
        role=role,
        scopes=tuple(sorted(set(scopes))),
        created_ms=now_ms,
        expires_ms=expires_ms,
        replaces=replaces,
    )
    rows.save_client(client)
    return key, client


def rotate(
    rows: Reservations,
    key_id: str,
    *,
    now_ms: int,
    overlap_s: float,
    random_hex: Callable[[int], str],
    random_text: Callable[[int], str],
) -> tuple[str, Client, Client]:
    """A successor with the same rights: the new key, its row, and the old row, which works for
    ``overlap_s`` more seconds. Raises `KeyRefused`.
    """
    old = find(rows, key_id)
    if not works(old, now_ms):
        raise KeyRefused(f"key {old.key_id} does not work any more; create a new one")
    key, new = create(
        rows,
        tenant=old.tenant,
        now_ms=now_ms,
        random_hex=random_hex,
        random_text=random_text,
        name=old.name,
        role=old.role,
        scopes=old.scopes,
        # a key that was made to end keeps its span of life
        expires_ms=None if old.expires_ms is None else now_ms + old.expires_ms - old.created_ms,
        replaces=old.key_id,
    )
    until_ms = now_ms + round(overlap_s * 1000)
    if old.expires_ms is not None:
        until_ms = min(until_ms, old.expires_ms)
    ending = replace(old, expires_ms=until_ms)
    rows.save_client(ending)
    return key, new, ending


def revoke(rows: Reservations, key_id: str, *, now_ms: int) -> Client:
    """End a key at once; again does no harm. Raises `KeyRefused`."""
    client = find(rows, key_id)
    if client.revoked_ms is None:
        client = replace(client, revoked_ms=now_ms)
        rows.save_client(client)
    return client


def find(rows: Reservations, key_id: str) -> Client:
    """The key of an id, or of what `shown` says. Raises `KeyRefused`."""
    wanted = key_id.strip().removeprefix(f"{PREFIX}_").partition("_")[0].rstrip("…")
    found = [client for client in rows.clients() if client.key_id == wanted and wanted]
    if not found:
        raise KeyRefused(f"there is no key {wanted or key_id!r}; melisma keys ls names them")
    return found[0]


def works(client: Client, now_ms: int) -> bool:
    """Whether the key opens anything at this time."""
    return client.revoked_ms is None and (client.expires_ms is None or now_ms < client.expires_ms)


def identity_of(client: Client) -> Identity:
    """Whom a key stands for."""
    return Identity(
        tenant=client.tenant,
        role=client.role,
        scopes=frozenset(client.scopes or SCOPES),
        name=f"key {client.key_id}",
    )


def shown(client: Client) -> str:
    """A key as people may see it: its beginning, which finds it and opens nothing."""
    return f"{PREFIX}_{client.key_id}_…"
