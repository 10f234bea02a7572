"""Standard Webhooks 1.0.0: the headers of a signed message, and the check of a receiver."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

TOLERANCE_S = 300
"""Older or newer timestamps are refused (the reference verifiers' five minutes)."""


class NotGenuine(Exception):
    """The message is not one that the holder of the secret sent just now."""


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    """``v1,`` and the base64 HMAC-SHA256 of ``id.timestamp.body``."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp_s, body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def headers(
    keys: Sequence[bytes], message_id: str, timestamp_s: int, body: bytes
) -> dict[str, str]:
    """The three headers; a signature for every key that counts, so that secrets can overlap."""
    signatures = (signature(key, message_id, timestamp_s, body) for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
    }


def key_of(secret: str) -> bytes:
    """The bytes of a ``whsec_`` secret. Raises `ValueError`."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("the secret is not whsec_ and base64") from error


def verify(secret: str, given: Mapping[str, str], body: bytes, now_s: float) -> None:
    """Check a received message; header names in any case. Raises `NotGenuine`, `ValueError`."""
    found = {name.lower(): value for name, value in given.items()}
    try:
        message_id, stamp = found["webhook-id"], int(found["webhook-timestamp"])
        signatures = found["webhook-signature"].split(" ")
    except (KeyError, ValueError):
        raise NotGenuine("the webhook- headers are missing or malformed") from None
    if abs(now_s - stamp) > TOLERANCE_S:
        raise NotGenuine("its timestamp is not of these five minutes")
    wanted = signature(key_of(secret), message_id, stamp, body).encode()
    if not any(hmac.compare_digest(wanted, each.encode()) for each in signatures):
        raise NotGenuine("no signature matches the secret")
