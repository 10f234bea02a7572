"""What a web server does with the signed URLs of a local store, without any framework.

The gateway routes ``GET|HEAD|PUT /v1/store/{key}`` here, answers a `SignedUrlRefused` with 403,
`ArtifactMissing` with 404, `PartTooLarge` with 413, `StoreFull` with 507 (each has a ``code``),
and sends the file itself, Range included. Objects came from clients: send
``X-Content-Type-Options: nosniff``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable
from dataclasses import dataclass
from pathlib import Path

from topics.artifacts.files import CHUNK_BYTES
from topics.artifacts.local import LocalStore
from topics.artifacts.multipart import PartTooLarge
from topics.artifacts.protocol import Part
from topics.artifacts.signing import Altered, Grant, Method, Pairs, WrongAddress, verify

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Download:
    """A file to send."""

    path: Path
    media_type: str
    filename: str | None  # to offer when saved; None shows it in place
    bytes: int
    sha256: str | None  # a strong ETag, where known


def open_for_get(store: LocalStore, key: str, pairs: Pairs, ip: str | None) -> Download:
    """What a GET or HEAD of a signed URL sends. ``key`` is the path after ``/v1/store/`` and
    ``pairs`` the query, both decoded; ``ip`` is the client's address.

    Raises `SignedUrlRefused`, `ArtifactMissing`.
    """
    grant = _grant(store, "GET", key, pairs, ip)
    uri = store.uri(grant.key)
    stored = store.stat(uri)
    return Download(store.path(uri), stored.media_type, grant.filename, stored.bytes, stored.sha256)


async def receive_part(
    store: LocalStore,
    key: str,
    pairs: Pairs,
    ip: str | None,
    chunks: AsyncIterable[bytes],
    *,
    content_length: int | None = None,
) -> Part:
    """Take the body of a PUT of a signed URL in as a part; answer with its ETag, in quotes.

    At most a mebibyte is held; disk work runs on a thread. Nothing is kept when ``chunks`` raises.
    Raises `SignedUrlRefused`, `ArtifactMissing`, `PartTooLarge` (at once, where
    ``content_length`` tells), `StoreFull`.
    """
    grant = _grant(store, "PUT", key, pairs, ip)
    if grant.upload is None or grant.part is None:
        raise Altered("artifacts: this URL names no part; ask for a new one")
    limit = grant.max_bytes
    if limit is not None and content_length is not None and content_length > limit:
        raise PartTooLarge(
            f"artifacts: part {grant.part} is {content_length} bytes long, {limit} are allowed"
        )
    writer = await asyncio.to_thread(store.part_writer, grant.key, grant.upload, grant.part, limit)
    try:
        held = bytearray()
        async for chunk in chunks:
            held += chunk
            if len(held) >= CHUNK_BYTES:
                await asyncio.to_thread(writer.write, bytes(held))
                held.clear()
        await asyncio.to_thread(writer.write, bytes(held))
        return await asyncio.to_thread(writer.finish)
    finally:
        writer.discard()


def _grant(store: LocalStore, method: Method, key: str, pairs: Pairs, ip: str | None) -> Grant:
    given = list(pairs)
    now_s = store.clock()
    try:
        return verify(method, key, given, ip=ip, now_s=now_s, secrets=store.secrets)
    except WrongAddress as refused:
        if store.ip_binding == "enforce":
            raise
        if store.ip_binding == "report":
            _log.warning("signed URL used from another address: %s %s", method, key)
        return refused.grant
