"""``melisma keys``: made, listed, rotated and revoked beside the gateway, in the rows it reads.

Not over REST: who can write the gateway's database is an operator already, and the first key has to
come from somewhere.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway.access import keys
from gateway.access.scopes import Role
from gateway.projection.opening import open_reservations
from gateway.projection.reservations import Client, Reservations
from gateway.settings import GatewaySettings
from tools.ops import display
from tools.ops.times import instant_ms, rfc3339, shown
from tools.ops.workplace import complaining, fail


def create(
    *,
    tenant: str,
    name: str,
    role: Role,
    scopes: Sequence[str],
    expires: str | None,
    data: Path | None,
    output: display.Output,
) -> None:
    """Make a key and show it."""
    now_ms = _now_ms()
    with _rows(data) as rows:
        key, client = keys.create(
            rows,
            tenant=tenant,
            now_ms=now_ms,
            random_hex=secrets.token_hex,
            random_text=secrets.token_urlsafe,
            name=name,
            role=role,
            scopes=scopes,
            expires_ms=None if expires is None else now_ms + _span_ms(expires),
        )
    _show_new(key, client, output)


def ls(*, every: bool, data: Path | None, output: display.Output) -> None:
    """List keys, the oldest first."""
    now_ms = _now_ms()
    with _rows(data) as rows:
        found = [each for each in rows.clients() if every or keys.works(each, now_ms)]
    if output == "json":
        display.print_json([_described(each, now_ms) for each in found])
        return
    display.print_table(
        ("key", "tenant", "role", "scopes", "state", "expires", "name"),
        [
            (
                keys.shown(each),
                each.tenant,
                each.role,
                " ".join(each.scopes) or "all",
                _state(each, now_ms),
                shown(each.expires_ms) if each.expires_ms is not None else "never",
                each.name,
            )
            for each in found
        ],
        empty="there are no keys; `melisma keys create` makes one",
        flowing="scopes",
    )


def rotate(key_id: str, *, overlap: str, data: Path | None, output: display.Output) -> None:
    """Make a successor and show it."""
    with _rows(data) as rows:
        key, client, old = keys.rotate(
            rows,
            key_id,
            now_ms=_now_ms(),
            overlap_s=_span_ms(overlap) / 1000,
            random_hex=secrets.token_hex,
            random_text=secrets.token_urlsafe,
        )
    _show_new(key, client, output, old)


def revoke(key_id: str, *, data: Path | None, output: display.Output) -> None:
    """End a key."""
    now_ms = _now_ms()
    with _rows(data) as rows:
        client = keys.revoke(rows, key_id, now_ms=now_ms)
    if output == "json":
        display.print_json(_described(client, now_ms))
        return
    print(f"{keys.shown(client)} of {client.tenant} is revoked")


def _show_new(key: str, client: Client, output: display.Output, old: Client | None = None) -> None:
    """The key itself goes to stdout, as it is: this is the only time that it is seen."""
    if output == "json":
        display.print_json_secret({"key": key} | _described(client, client.created_ms))
        return
    print(key)
    display.note(f"key {client.key_id} of tenant {client.tenant}: kept nowhere, so keep it now")
    if old is not None and old.expires_ms is not None:
        display.note(f"key {old.key_id} works until {shown(old.expires_ms)}")


def _described(client: Client, now_ms: int) -> dict[str, object]:
    return {
        "id": client.key_id,
        "tenant": client.tenant,
        "role": client.role,
        "scopes": list(client.scopes),
        "name": client.name,
        "state": _state(client, now_ms),
        "createdAt": rfc3339(client.created_ms),
        "expiresAt": None if client.expires_ms is None else rfc3339(client.expires_ms),
        "replaces": client.replaces or None,
    }


def _state(client: Client, now_ms: int) -> str:
    if client.revoked_ms is not None:
        return "revoked"
    return "works" if keys.works(client, now_ms) else "expired"


def _span_ms(text: str) -> int:
    try:
        return -instant_ms(text, 0)
    except ValueError as error:
        fail(str(error))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@contextmanager
def _rows(data: Path | None) -> Iterator[Reservations]:
    """The gateway's rows; what goes wrong is said in one line."""
    with complaining():
        settings = GatewaySettings() if data is None else GatewaySettings(data_dir=data)
        rows = open_reservations(settings)
        try:
            yield rows
        except keys.KeyRefused as refused:
            fail(str(refused))
        finally:
            rows.close()
