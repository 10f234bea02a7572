"""Keys: what an object may be called, and where that lies in a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from topics.artifacts.protocol import ArtifactError

LOCAL: Final = "local:///"

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=+@-]*(?<!\.)")
"""No leading dot (hidden and temporary files), no trailing one, nothing a shell, a URL, a log line
or a Windows path reads in its own way."""

_LONGEST_KEY: Final = 1024  # bytes; S3's limit
_LONGEST_SEGMENT: Final = 240  # characters of a file name; NAME_MAX is 255
_CAPITAL: Final = re.compile(r"[A-Z]")
_ESCAPED: Final = re.compile(r"!([a-z])")


class InvalidKey(ArtifactError):
    """The text cannot be a key or is no ``uri`` of this store."""

    code = "artifact_key_invalid"


def check_key(key: str) -> str:
    """Return ``key`` if it is one; raises `InvalidKey`."""
    segments = key.split("/")
    if (
        len(key) > _LONGEST_KEY
        or not all(_SEGMENT.fullmatch(s) for s in segments)
        or any(len(_escape(s)) > _LONGEST_SEGMENT for s in segments)
    ):
        raise InvalidKey(
            f"artifacts: {key[:80]!r} is no key: segments of letters, digits and . _ = + @ - "
            f"joined by '/', up to {_LONGEST_KEY} characters in all"
        )
    return key


def uri_of(key: str) -> str:
    """``local:///key``: the same in every process, wherever its store's folder is."""
    return LOCAL + check_key(key)


def key_of(uri: str) -> str:
    """The key in a ``local:///`` URI. Raises `InvalidKey`."""
    if not uri.startswith(LOCAL):
        scheme = uri.split(":", 1)[0][:20]
        raise InvalidKey(f"artifacts: a local store holds no {scheme!r} objects, only '{LOCAL}…'")
    return check_key(uri[len(LOCAL) :])


def path_of(key: str, folder: Path) -> Path:
    """Where a key lies. Capitals are written as ``!a``: keys that differ in case only must stay
    apart on file systems that ignore case."""
    return folder.joinpath(*map(_escape, check_key(key).split("/")))


def key_at(path: Path, folder: Path) -> str:
    """The key that lies at a path: `path_of`, the other way."""
    return "/".join(
        _ESCAPED.sub(lambda m: m[1].upper(), part) for part in path.relative_to(folder).parts
    )


def _escape(segment: str) -> str:
    return _CAPITAL.sub(lambda m: "!" + m[0].lower(), segment)
