"""Signed URLs of a local store: who may do what to which object, from where, until when.

A URL is ``/v1/store/<key>?expires=…&…&signature=…``. The parameters:

- ``expires``: Unix seconds after which it is of no use
- ``address``: a tag of the client's address, where the URL is bound to one (the address itself
  is not shown, a log that keeps the URL keeps no address)
- ``upload``, ``part``, ``limit``: of a PUT: the upload, the part's number, its most bytes
- ``filename``: of a GET: the name to offer when it is saved
- ``signature``: HMAC-SHA256 (base64url, no padding) over the method, the key and every other
  parameter, so that nothing can be changed, dropped or added

The method is signed too: a URL for GET does not PUT (serve HEAD as GET).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, urlencode

from topics.artifacts.keys import check_key
from topics.artifacts.protocol import ArtifactError

STORE_PATH: Final = "/v1/store/"
SHORTEST_SECRET: Final = 16  # bytes; NIST SP 800-107 asks 112 bits of an HMAC key

Method = Literal["GET", "PUT"]
IpBinding = Literal["enforce", "report", "off"]
"""What happens when a URL is used from another address than the one it was made for."""

Pairs = Iterable[tuple[str, str]]


class SignedUrlRefused(ArtifactError):
    """A signed URL does not allow this request: 403 for the client, with the subclass's code."""

    code = "url_refused"


class Expired(SignedUrlRefused):
    """Its time is over; ask for a new one."""

    code = "url_expired"


class Altered(SignedUrlRefused):
    """The signature does not fit the method, the key and the parameters."""

    code = "url_altered"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a signed URL allows."""

    method: Method
    key: str
    expires_at_s: int  # Unix time
    ip: str | None = None  # known when signing only; a URL carries a tag of it
    upload: str | None = None
    part: int | None = None
    max_bytes: int | None = None
    filename: str | None = None


class WrongAddress(SignedUrlRefused):
    """It was signed for a client at another address; all else about it is in order."""

    code = "url_wrong_address"

    def __init__(self, grant: Grant) -> None:
        super().__init__(
            "artifacts: this URL was made for another network address; ask for a new one from here"
        )
        self.grant = grant  # for a store that only reports


def check_secrets(secrets: Sequence[bytes]) -> tuple[bytes, ...]:
    """The secrets, the one that signs first. Raises `ValueError` for none or a short one."""
    if not secrets or any(len(s) < SHORTEST_SECRET for s in secrets):
        raise ValueError(
            f"signed URLs need a secret of {SHORTEST_SECRET} bytes at least; "
            "set one of 32 random bytes"
        )
    return tuple(secrets)


def normal_ip(ip: str) -> str:
    """An address as it is compared: IPv4 out of IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), no zone.

    Raises `ValueError` for what is no address.
    """
    address = ipaddress.ip_address(ip.split("%", 1)[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def sign(grant: Grant, secrets: Sequence[bytes]) -> str:
    """The path and query that carry a grant, signed with the first secret."""
    optional = {
        "address": None if grant.ip is None else _address_tag(normal_ip(grant.ip), secrets[0]),
        "upload": grant.upload,
        "part": grant.part,
        "limit": grant.max_bytes,
        "filename": grant.filename,
    }
    pairs = [("expires", str(grant.expires_at_s))]
    pairs += [(name, str(value)) for name, value in optional.items() if value is not None]
    pairs.append(("signature", _signature(grant.method, grant.key, pairs, secrets[0])))
    return f"{STORE_PATH}{quote(check_key(grant.key))}?{urlencode(pairs)}"


def verify(
    method: Method,
    key: str,
    pairs: Pairs,
    *,
    ip: str | None,
    now_s: float,
    secrets: Sequence[bytes],
) -> Grant:
    """What a request's URL allows. ``key`` is the path after ``/v1/store/``, ``pairs`` the query,
    both decoded; ``ip`` is the client's address, None where none could be told.

    Raises `Altered`, `Expired` or `WrongAddress`, looked for in that order: what is not signed
    by us is not told more.
    """
    given = list(pairs)
    signed = [(name, value) for name, value in given if name != "signature"]
    signatures = [value for name, value in given if name == "signature"]
    signature = signatures[0] if len(signatures) == 1 else ""
    signer = _signer(method, key, signed, signature, secrets)
    if signer is None:
        raise Altered("artifacts: this URL was changed or not signed here; ask for a new one")
    fields = dict(signed)  # ours, so each name occurs once
    grant = Grant(
        method,
        key,
        int(fields["expires"]),
        upload=fields.get("upload"),
        part=_int(fields.get("part")),
        max_bytes=_int(fields.get("limit")),
        filename=fields.get("filename"),
    )
    if now_s >= grant.expires_at_s:
        raise Expired("artifacts: this URL has expired; ask for a new one")
    tag = fields.get("address")
    if tag is not None and not _is_from(tag, ip, signer):
        raise WrongAddress(grant)
    return grant


def _signer(
    method: str,
    key: str,
    pairs: Sequence[tuple[str, str]],
    signature: str,
    secrets: Sequence[bytes],
) -> bytes | None:
    signer: bytes | None = None
    try:
        for secret in secrets:  # all of them, whichever fits: the time must not tell
            expected = _signature(method, key, pairs, secret)
            if hmac.compare_digest(expected.encode(), signature.encode()):
                signer = secret
    except UnicodeEncodeError:  # lone surrogates, which we never sign
        return None
    return signer


def _is_from(tag: str, ip: str | None, secret: bytes) -> bool:
    if ip is None:
        return False
    try:
        address = normal_ip(ip)
    except ValueError:
        return False
    return hmac.compare_digest(_address_tag(address, secret), tag)


def _signature(method: str, key: str, pairs: Sequence[tuple[str, str]], secret: bytes) -> str:
    # urlencode leaves no separator inside a value, so two requests never read the same.
    text = f"melisma-store-1\n{method}\n{quote(key, safe='')}\n{urlencode(sorted(pairs))}"
    return _mac(text, secret)


def _address_tag(address: str, secret: bytes) -> str:
    return _mac(f"melisma-address-1\n{address}", secret)


def _mac(text: str, secret: bytes) -> str:
    digest = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)
