"""Headers that tell browsers what not to do with an answer.

After OWASP's REST and HTTP headers cheat sheets: an API's answer is never a page, never sniffed,
never framed, and its address leaks to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Headers = Sequence[tuple[bytes, bytes]]

_EVERYWHERE: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_POLICY = b"content-security-policy"
_OF_ANSWERS = (_POLICY, b"default-src 'none'; frame-ancestors 'none'")
_OF_PAGES = (
    _POLICY,
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    b" img-src 'self' data:; media-src 'self' blob: https:; connect-src 'self' https:;"
    b" worker-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
)
_PAGES = ("/docs", "/static-offline-docs/", "/ui")
"""The API's documentation has its script in the page; the rest answers data."""

_YEAR_S = 31_536_000


class Protection:
    """The headers to add to an answer."""

    def __init__(self, *, https: bool) -> None:
        """``https``: clients reach the gateway that way, and are told to keep to it."""
        more: Headers = (
            ((b"strict-transport-security", f"max-age={_YEAR_S}".encode()),) if https else ()
        )
        self._answers = (*_EVERYWHERE, _OF_ANSWERS, *more)
        self._pages = (*_EVERYWHERE, _OF_PAGES, *more)

    def headers(self, path: str, given: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Those that the answer of ``path`` has not ``given`` itself."""
        wanted = self._pages if path.startswith(_PAGES) else self._answers
        names = {name.lower() for name, _ in given}
        return [header for header in wanted if header[0] not in names]
