"""Which callback addresses are accepted at all.

This refuses what can be refused by reading the URL. A name may still point to a private address
when it is called, so the sender checks the address that it dials as well.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from gateway.guard.problems import Code, Problem
from topics.outbound import refusal

MAX_LENGTH = 2048
"""Longer URLs are cut by some servers and proxies."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})+")
# Names that never leave the machine or the private network (RFC 6761, RFC 6762, RFC 8375).
_LOCAL_ENDINGS = (".localhost", ".local", ".internal", ".home.arpa", ".localdomain")


def check_callback(url: str, *, http_allowed: bool, field: str = "callbackUrl") -> str:
    """The URL if it may be called, without its fragment. Raises 422.

    With ``http_allowed`` (development) http and private hosts pass. The message never repeats the
    URL: its path or query may be a secret. ``field`` is what the client called it.
    """
    try:
        return _checked(url, http_allowed=http_allowed)
    except _Refusal as why:
        raise Problem(
            Code.CALLBACK_REFUSED,
            f"{field} is refused: {why}.",
            errors=[{"pointer": f"#/{field}", "message": str(why)}],
        ) from None


class _Refusal(Exception):
    """Why a URL is refused, in words."""


def _checked(url: str, *, http_allowed: bool) -> str:
    if len(url) > MAX_LENGTH or any(ord(char) <= 0x20 or ord(char) == 0x7F for char in url):
        raise _Refusal(f"it is longer than {MAX_LENGTH} characters or holds spaces")
    parts = _split(url)
    if parts.scheme not in ({"https", "http"} if http_allowed else {"https"}):
        raise _Refusal("its scheme is not https")
    if "@" in parts.netloc:
        raise _Refusal("it carries a user or password")
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise _Refusal("it names no host")
    if not http_allowed:
        _check_public(host)
    return parts._replace(fragment="").geturl()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises on a port that is none
    except ValueError:
        raise _Refusal("it is not a URL") from None
    return parts


def _check_public(host: str) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        if _looks_numeric(host):
            raise _Refusal("its host is an address in disguise") from None
        try:
            name = host.encode("idna").decode("ascii").lower()
        except UnicodeError:
            raise _Refusal("its host is not a name") from None
        if not _HOST.fullmatch(name) or name.endswith(_LOCAL_ENDINGS):
            raise _Refusal("its host is not a name on the public internet") from None
        return
    if refusal(address):
        raise _Refusal("its host is a private, local or reserved address")


def _looks_numeric(host: str) -> bool:
    """True for what resolvers read as IPv4 although it is no dotted quad: 2130706433, 0x7f.1."""
    last = host.rpartition(".")[2]
    return bool(re.fullmatch(r"\d+|0x[0-9a-f]*", last, re.IGNORECASE))
