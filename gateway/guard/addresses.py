"""Whose address a request comes from, when proxies stand in between.

``X-Forwarded-For`` is a claim: each proxy appends the address that it saw, so the list is read from
its right end, and only as far as the proxies that wrote it are trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.settings import Network

Address = IPv4Address | IPv6Address


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The client's address in canonical form; empty when there is none (a Unix socket).

    ``peer`` is the connection's other end, ``forwarded`` the X-Forwarded-For header lines in order.
    """
    address = parse(peer)
    claims = [item.strip() for line in forwarded for item in line.split(",")]
    while address is not None and claims and _within(address, trusted):
        claim = parse(claims.pop())
        if claim is None:  # a trusted proxy that writes nonsense: its own address is the last fact
            break
        address = claim
    return str(address) if address is not None else ""


def parse(text: str | None) -> Address | None:
    """An address, with or without a port; IPv4 mapped into IPv6 counts as IPv4."""
    if not text:
        return None
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
