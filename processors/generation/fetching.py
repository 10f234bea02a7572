"""Copying what a provider names: its addresses are data from outside, like everything it says.

The address that is dialled is the one that was judged (`topics.outbound`), at every redirect too;
what comes is measured while it comes, and judged by its first bytes, not by its label.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx

from topics.outbound import Guard, GuardedTransport, Refused
from topics.outbound.provider import ProviderSettings
from topics.sniffing import HEAD_BYTES, SoundFormat, sniff, sniff_picture

MOST_SOUND = 256 << 20
"""Bytes of a song: an hour of MP3 at 320 kbit/s has 144 MB."""
MOST_PICTURE = 32 << 20

_TIMEOUT_S = 60.0
_REDIRECTS = 3
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

Fetcher = Callable[[str, Path, Literal["sound", "picture"]], SoundFormat]
"""Copies a URL to a file and says what it is. Raises `NotFetched`."""


class NotFetched(Exception):
    """It was not copied. ``code``: address_refused, not_audio, not_a_picture, too_large are final;
    unreachable may go away.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail

    @property
    def final(self) -> bool:
        """Whether another try cannot help."""
        return self.code != "unreachable"


@dataclass(frozen=True, slots=True)
class HttpFetcher:
    """A `Fetcher` over the network."""

    settings: ProviderSettings

    def __call__(self, url: str, target: Path, what: Literal["sound", "picture"]) -> SoundFormat:
        """Copy ``url`` to ``target``. Raises `NotFetched`; then nothing of use is left there."""
        limit = MOST_SOUND if what == "sound" else MOST_PICTURE
        try:
            asyncio.run(self._copy(url, target, limit))
        except Refused as refused:
            raise NotFetched("address_refused", f"the address is not called: {refused}") from None
        except httpx.TooManyRedirects:
            raise NotFetched("unreachable", "the address leads from one to the next") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotFetched("unreachable", f"no answer ({type(error).__name__})") from None
        with target.open("rb") as file:
            head = file.read(HEAD_BYTES)
        return judged(head, what)

    async def _copy(self, url: str, target: Path, limit: int) -> None:
        transport = GuardedTransport(self._guard(url))
        async with (
            httpx.AsyncClient(
                transport=transport,
                timeout=_TIMEOUT_S,
                follow_redirects=True,
                max_redirects=_REDIRECTS,
                trust_env=False,
            ) as client,
            # not decompressed: a song does not shrink, and a bomb stays small
            client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as answer,
        ):
            if answer.status_code != 200:
                raise NotFetched("unreachable", f"HTTP {answer.status_code}")
            size = 0
            with target.open("wb") as file:
                async for part in answer.aiter_raw():
                    size += len(part)
                    if size > limit:
                        raise NotFetched("too_large", f"it has more than {limit} bytes")
                    file.write(part)

    def _guard(self, url: str) -> Guard:
        """A provider on this machine, as the fake one is, may name itself; nobody else may."""
        own = urlsplit(self.settings.suno_base_url)
        if self.settings.is_local and _netloc(url) == own.netloc:
            return Guard(http=own.scheme == "http", allowed=_LOOPBACK)
        return Guard(ports=frozenset({443, 8443}))


def judged(head: bytes, what: Literal["sound", "picture"]) -> SoundFormat:
    """What begins so. Raises `NotFetched` when it is not what it should be."""
    found = sniff(head) if what == "sound" else sniff_picture(head)
    if found is None:
        code = "not_audio" if what == "sound" else "not_a_picture"
        kind = "a web page" if b"<" in head[:64] else "something else"
        raise NotFetched(code, f"what lies there is {kind}" if head else "what lies there is empty")
    return found


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""
