"""File names as clients give them, made safe to show, to keep and to offer for saving."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

MAX_BYTES = 200
"""Below the 255 bytes that file systems take, with room for a suffix."""

_FORBIDDEN = frozenset('<>:"|?*')  # what Windows refuses; the rest falls to the category check


def clean_filename(given: str) -> str:
    """The base name without folders, control and direction characters; ``upload`` if nothing is
    left. ``../../etc/passwd`` is ``passwd``.
    """
    base = unicodedata.normalize("NFC", given).replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(
        char for char in base if char not in _FORBIDDEN and unicodedata.category(char)[0] != "C"
    )
    name = kept.strip(" .")
    while len(name.encode()) > MAX_BYTES:
        stem, dot, suffix = name.rpartition(".")
        # shorten the stem and keep the suffix, as long as it looks like one
        name = f"{stem[:-1]}{dot}{suffix}" if stem and len(suffix) <= 8 else name[:-1]
    return name or "upload"


def offered_as(name: str) -> str:
    """``Content-Disposition`` for a file that is shown and can be saved (RFC 6266, section 4.3)."""
    plain = "".join(char if " " <= char <= "~" and char not in '"\\%' else "_" for char in name)
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
