"""Nothing private is called, whatever the URL looks like: by text, by resolution, by redirect.

Each trick is sent through the very transport that webhooks leave by. It must be refused, and a
listener on this machine must never see a connection. The count is printed with ``-rP``.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

import httpcore
import httpx
import pytest

from topics.outbound import Guard, GuardedTransport, OutboundSettings, Refused, refusal

pytestmark = pytest.mark.slow

PUBLIC = "93.184.215.14"

ADDRESSES = [
    # loopback, in every notation that some resolver reads
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001",
    "0x7f.0x0.0x0.0x1", "0x7f.1", "017700000001", "0177.0.0.1", "0177.0.0.01", "0x7F.0.0.1",
    "00000177.0.0.1", "127.0.0.0x1", "127.000.000.001",
    "localhost", "LOCALHOST", "localhost.", "localhost.localdomain",
    # this host and network
    "0", "0.0.0.0", "0x0", "0.0.0.1", "00",
    # private
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.1.254",
    "167772161", "0xa000001", "012.0.0.1", "3232235521", "0xc0a80001",
    # carrier-grade NAT, link-local, metadata of the clouds
    "100.64.0.1", "100.127.255.254", "100.100.100.200", "169.254.169.254", "169.254.170.2",
    "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.0.1", "192.0.0.192",
    "168.63.129.16",
    # documentation, benchmarks, relays, multicast, reserved, broadcast
    "192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "198.19.255.255", "192.88.99.1",
    "192.0.0.8", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    # IPv6
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:10.0.0.1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]", "[::7f00:1]",
    "[64:ff9b::7f00:1]", "[64:ff9b::169.254.169.254]", "[64:ff9b:1::a00:1]",
    "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2002:c0a8:0101::1]",
    "[2001::1]", "[2001:0:7f00:1::]", "[2001:db8::1]", "[2001:10::1]", "[3fff::1]",
    "[fc00::1]", "[fd00:ec2::254]", "[fdff::1]", "[fe80::1]", "[febf::1]", "[fec0::1]",
    "[ff02::1]", "[ff0e::1]", "[100::1]", "[5f00::1]", "[fe80::1%25lo]",
]  # fmt: skip
"""Hosts that must never be dialled."""

URLS = [
    "http://user@127.0.0.1/", "http://example.com@127.0.0.1/", "http://127.0.0.1@example.com/",
    "http://example.com:80@127.0.0.1/", "http://:pw@example.com/", "http://127.0.0.1#@example.com/",
    "http://example.com\\@127.0.0.1/", "http://127.0.0.1\\.example.com/", "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO", "ftp://127.0.0.1/", "dict://127.0.0.1:11211/stats",
    "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/", "data:text/plain,x",
    "//127.0.0.1/", "http:///", "http://", "", "http://[::1/", "http://127.0.0.1 /",
    "http://exa mple.com/", "http://example.com:99999/", "http://example.com:22/",
    "http://example.com:6379/", "http://example.com:0/", "http://\r\nHost: 127.0.0.1/",
    "http://①②⑦.⓪.⓪.①/", "http://１２７.0.0.1/", "http://127。0。0。1/",
    "http://example.com%00.127.0.0.1/", "javascript:alert(1)",
]  # fmt: skip
"""Whole URLs that must never be called."""

NAMES = {
    "private.example": ["10.0.0.1"],
    "loopback.example": ["127.0.0.1"],
    "v6.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "mixed.example": [PUBLIC, "127.0.0.1"],  # one of them is enough to refuse all
    "mixed6.example": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "fd00::1"],
    "metadata.google.internal": ["169.254.169.254"],
    "instance-data.ec2.internal": ["169.254.169.254"],
    "127.0.0.1.nip.io": ["127.0.0.1"],
    "scoped.example": ["fe80::1%eth0"],
    "nat64.example": ["64:ff9b::a00:1"],
    "nothing.example": [],
}
"""Names whose addresses give them away."""

GUARD = Guard(http=True, ports=frozenset({80, 443}))


class Trap:
    """Counts connections to this machine."""

    def __init__(self) -> None:
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                self._listener.accept()[0].close()
                self.connections += 1
            except TimeoutError:
                continue

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._listener.close()


@pytest.fixture
def trap() -> Iterator[Trap]:
    made = Trap()
    yield made
    made.close()


class Dialled(Exception):
    """A test would have left the machine."""


async def never(host: str, port: int) -> Sequence[str]:
    raise Dialled(host)


def system(host: str, port: int) -> list[str]:
    """What the system's own resolver makes of a notation, without asking a name server."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return []
    return [str(each[4][0]) for each in found]


async def numeric(host: str, port: int) -> Sequence[str]:
    if host.rstrip(".").lower() in ("localhost", "localhost.localdomain"):
        return ["::1", "127.0.0.1"]
    return system(host, port)


def ask(url: str, guard: Guard = GUARD, resolver: object = numeric) -> str:
    """What came of a request: ``refused``, or what else."""

    async def go() -> str:
        transport = GuardedTransport(guard, resolver=resolver)  # type: ignore[arg-type]
        try:
            answer = await transport.handle_async_request(httpx.Request("POST", url, content=b"x"))
            await answer.aclose()
        except (Refused, httpx.InvalidURL, httpx.UnsupportedProtocol):
            return "refused"
        except (httpx.TransportError, Dialled) as error:
            return repr(error)
        finally:
            await transport.aclose()
        return str(answer.status_code)

    return asyncio.run(go())


def test_no_address_and_no_trick_gets_through(trap: Trap) -> None:
    through = [host for host in ADDRESSES if ask(f"http://{host}/") != "refused"]
    through += [host for host in ADDRESSES if ask(f"https://{host}/hook") != "refused"]
    through += [url for url in URLS if ask(url, resolver=never) != "refused"]

    async def by_name(host: str, port: int) -> Sequence[str]:
        return NAMES[host]

    through += [name for name in NAMES if ask(f"https://{name}/", resolver=by_name) != "refused"]
    tried = len(ADDRESSES) + len(URLS) + len(NAMES)
    print(f"{tried} addresses and tricks, {len(through)} got through")
    assert tried >= 60
    assert through == []
    assert trap.connections == 0


def test_a_name_that_changes_its_address_is_looked_up_once() -> None:
    """Rebinding: public when it is checked, private when it is dialled. There is no second time."""
    answers = [[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]]
    asked: list[str] = []
    dialled: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    async def go() -> None:
        transport = GuardedTransport(Guard(http=True), resolver=rebinding)
        backend = transport._pool._network_backend

        class Dial(httpcore.AsyncMockBackend):
            async def connect_tcp(self, host: str, *more: object, **named: object) -> object:  # type: ignore[override]
                dialled.append(host)
                raise httpcore.ConnectError("not in a test")

        backend._dial = Dial([])  # type: ignore[attr-defined]
        for expected in (httpx.ConnectError, Refused):
            with pytest.raises(expected):
                await transport.handle_async_request(
                    httpx.Request("POST", "http://rebind.example/")
                )
        await transport.aclose()

    asyncio.run(go())
    assert dialled == [PUBLIC]  # the very address that was checked, never the name
    assert asked == ["rebind.example"] * 2


def test_a_peer_that_is_not_what_was_dialled_is_hung_up_on(trap: Trap) -> None:
    """As behind a redirecting firewall: the system says who is at the other end."""

    async def go() -> None:
        transport = GuardedTransport(Guard(http=True), resolver=lambda h, p: numeric(PUBLIC, p))
        backend = transport._pool._network_backend

        class Redirected(httpcore.AnyIOBackend):
            async def connect_tcp(
                self, host: str, port: int, *more: object, **named: object
            ) -> httpcore.AsyncNetworkStream:
                return await super().connect_tcp("127.0.0.1", trap.port)

        backend._dial = Redirected()  # type: ignore[attr-defined]
        with pytest.raises(Refused):
            await transport.handle_async_request(httpx.Request("POST", "http://example.com/"))
        await transport.aclose()

    asyncio.run(go())


def test_a_socket_of_the_machine_is_refused() -> None:
    async def go() -> None:
        transport = GuardedTransport(GUARD)
        with pytest.raises(Refused):
            await transport._pool._network_backend.connect_unix_socket("/run/docker.sock")
        await transport.aclose()

    asyncio.run(go())


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700:4700::1111", "172.32.0.1"])
def test_public_addresses_may_be_called(address: str) -> None:
    assert refusal(ip_address(address)) == ""


def test_plain_http_is_refused_unless_allowed() -> None:
    with pytest.raises(Refused, match="https"):
        Guard().check_url("http://example.com/")
    Guard().check_url("https://example.com/")


def test_networks_can_be_allowed_by_name_only(trap: Trap) -> None:
    networks = (ip_network("127.0.0.0/8"),)
    allowed = Guard(http=True, allowed=networks)
    assert ask(f"http://127.0.0.1:{trap.port}/", allowed) != "refused"
    assert ask(f"http://[::ffff:127.0.0.1]:{trap.port}/", allowed) != "refused"
    assert trap.connections == 2
    for other in ("10.0.0.1", "169.254.169.254", "[::1]"):
        assert ask(f"http://{other}/", allowed) == "refused"


def test_settings_are_closed_by_default_and_read_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    for name in ("CALLBACK_HTTP_ALLOWED", "WEBHOOK_PORTS", "WEBHOOK_ALLOW_NETWORKS"):
        monkeypatch.delenv(name, raising=False)
    assert OutboundSettings().guard() == Guard(False, frozenset({443, 8443}), ())
    monkeypatch.setenv("CALLBACK_HTTP_ALLOWED", "true")
    monkeypatch.setenv("WEBHOOK_ALLOW_NETWORKS", "127.0.0.1/8, ::1/128")
    monkeypatch.setenv("WEBHOOK_PORTS", "any")
    assert OutboundSettings().guard() == Guard(
        True, None, (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    )
    monkeypatch.setenv("WEBHOOK_PORTS", "443")
    assert OutboundSettings().guard().ports == frozenset({80, 443, 8080})
