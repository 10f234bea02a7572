"""Which callback addresses are accepted at all.

This refuses what can be refused by reading the URL. A name may still point to a private address
when it is called, so the sender checks the address that it dials as well.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from gateway.guard.problems import Code, Problem

MAX_LENGTH = 2048
"""Longer URLs are cut by some servers and proxies."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})+")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4, private ones too, behind a translator
# Names that never leave the machine or the private network (RFC 6761, RFC 6762, RFC 8375).
_LOCAL_ENDINGS = (".localhost", ".local", ".internal", ".home.arpa", ".localdomain")


def check_callback(url: str, *, http_allowed: bool) -> str:
    """The URL if it may be called, without its fragment. Raises 422.

    With ``http_allowed`` (development) http and private hosts pass. The message never repeats the
    URL: its path or query may be a secret.
    """
    if len(url) > MAX_LENGTH or any(ord(char) <= 0x20 or ord(char) == 0x7F for char in url):
        raise _refused(f"it is longer than {MAX_LENGTH} characters or holds spaces")
    parts = _split(url)
    if parts.scheme not in ({"https", "http"} if http_allowed else {"https"}):
        raise _refused("its scheme is not https")
    if "@" in parts.netloc:
        raise _refused("it carries a user or password")
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise _refused("it names no host")
    if not http_allowed:
        _check_public(host)
    return parts._replace(fragment="").geturl()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises on a port that is none
    except ValueError:
        raise _refused("it is not a URL") from None
    return parts


def _check_public(host: str) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        if _looks_numeric(host):
            raise _refused("its host is an address in disguise") from None
        try:
            name = host.encode("idna").decode("ascii").lower()
        except UnicodeError:
            raise _refused("its host is not a name") from None
        if not _HOST.fullmatch(name) or name.endswith(_LOCAL_ENDINGS):
            raise _refused("its host is not a name on the public internet") from None
        return
    carried = (address.ipv4_mapped, address.sixtofour) if isinstance(address, IPv6Address) else ()
    translated = isinstance(address, IPv6Address) and address in _NAT64
    if translated or any(
        not each.is_global or each.is_multicast for each in (address, *carried) if each is not None
    ):
        raise _refused("its host is a private, local or reserved address")


def _looks_numeric(host: str) -> bool:
    """True for what resolvers read as IPv4 although it is no dotted quad: 2130706433, 0x7f.1."""
    last = host.rpartition(".")[2]
    return bool(re.fullmatch(r"\d+|0x[0-9a-f]*", last, re.IGNORECASE))


def _refused(why: str) -> Problem:
    return Problem(
        Code.CALLBACK_REFUSED,
        f"callbackUrl is refused: {why}.",
        errors=[{"pointer": "#/callbackUrl", "message": why}],
    )
