"""Which addresses are never called on somebody else's behalf (SSRF). Pure.

Text of a URL proves nothing: ``0x7f.1``, a name with a private address, a name that changes its
address between two look-ups. So the URL is only checked for its shape here; the address is judged
where it is dialled (`topics.outbound.transport`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# IANA special-purpose registries (RFC 6890 and its updates), and what clouds keep on public ones.
_BLOCKED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network; Linux takes 0.0.0.0 for itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's WireServer, reachable from every machine there
        "169.254.0.0/16",  # link-local, metadata of AWS, Google, Azure
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")
"""The only IPv6 space that is routed (RFC 4291): loopback, ULA, link-local, NAT64, IPv4-mapped,
IPv4-compatible and multicast all lie outside it."""
_BLOCKED_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo carries IPv4, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries IPv4, private ones too
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_HTTPS_PORT, _HTTP_PORT = 443, 80
_LONGEST_URL = 2048  # longer ones are cut by some servers and proxies


class Refused(Exception):
    """The address is not called. The message says why, and never repeats the URL."""

    code = "address_refused"


def refusal(address: Address, allowed: Iterable[Network] = ()) -> str:
    """Why an address is not dialled; empty for one that may be. ``allowed`` networks may be."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # The system dials the IPv4 address behind it, so that is the one to judge.
        address = address.ipv4_mapped
    if any(address.version == network.version and address in network for network in allowed):
        return ""
    if isinstance(address, IPv4Address):
        blocked = any(address in network for network in _BLOCKED_4)
    else:
        blocked = address not in _GLOBAL_6 or any(address in net for net in _BLOCKED_6)
    return "its host has a private, local or reserved address" if blocked else ""


@dataclass(frozen=True, slots=True)
class Guard:
    """What may be called."""

    http: bool = False
    """Plain http too."""
    ports: frozenset[int] | None = None
    """Ports that may be dialled; None for any."""
    allowed: tuple[Network, ...] = ()
    """Networks that may be dialled although they are private: tests and development."""

    def check_url(self, url: str) -> None:
        """Raise `Refused` for a URL that is refused by its text alone."""
        if len(url) > _LONGEST_URL or any(ord(char) <= 0x20 or ord(char) == 0x7F for char in url):
            raise Refused(f"it is longer than {_LONGEST_URL} characters or holds spaces")
        if "\\" in url:
            raise Refused("it holds a backslash, which clients read differently")
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise Refused("it is not a URL") from None
        if parts.scheme not in ({"https", "http"} if self.http else {"https"}):
            raise Refused("its scheme is not https")
        if "@" in parts.netloc:
            raise Refused("it carries a user or password")
        if not host or "%" in host:
            raise Refused("it names no host")
        default = _HTTPS_PORT if parts.scheme == "https" else _HTTP_PORT
        self.check_port(default if port is None else port)
        try:
            literal = ip_address(host)
        except ValueError:
            return  # a name, or an address in disguise: judged when it is dialled
        self.check_address(literal)

    def check_port(self, port: int) -> None:
        """Raise `Refused` for a port that is not dialled."""
        if self.ports is not None and port not in self.ports:
            raise Refused(f"port {port} is not one that is called")

    def check_address(self, address: Address) -> None:
        """Raise `Refused` for an address that is not dialled."""
        if why := refusal(address, self.allowed):
            raise Refused(why)

    def check_resolved(self, found: Iterable[str]) -> tuple[Address, ...]:
        """The addresses of a name, all of which must be fit to be dialled. Raises `Refused`.

        One private address among public ones is no accident: nothing of such a name is dialled.
        """
        addresses = tuple(dict.fromkeys(ip_address(text.partition("%")[0]) for text in found))
        if not addresses:
            raise Refused("its host has no address")
        for address in addresses:
            self.check_address(address)
        return addresses
