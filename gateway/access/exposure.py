"""Refuses to stand open to the world by accident."""

from __future__ import annotations

import errno
from ipaddress import ip_address
from typing import Literal

Mode = Literal["off", "on", "open"]


class Exposed(PermissionError):
    """The gateway would listen where strangers reach it, with nobody at the door."""


def require_closed(mode: Mode, host: str) -> None:
    """Raise `Exposed` where ``ACCESS=off`` meets an address other than the loopback."""
    if mode == "off" and not is_loopback(host):
        raise Exposed(
            errno.EACCES,
            f"refusing to listen on {host or 'every address'} with ACCESS=off: whoever reaches it"
            " could read and change everything. Set ACCESS=on and make a key with `melisma keys"
            " create`, or ACCESS=open where something in front of it lets only the right ones in",
        )


def is_loopback(host: str) -> bool:
    """True for an address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:  # a name may lead anywhere
        return False
    return address.is_loopback
