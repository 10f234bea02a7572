"""What an ``input_uri`` may name: an asset, an object in an allowed bucket, a file under a root.

The gateway asks when a client names an input, and the stage asks again when it opens it: between
the two a link may have been turned. Nothing here reads a byte of the input.

==============================  ===============================================================
``asset:ast_…``                 an upload of the caller's tenant; the gateway knows whose it is
``s3://bucket/key``             where ``EXTRACTION_S3_BUCKETS`` has the bucket (and beginning)
``file:///path``, ``/path``     where ``EXTRACTION_ROOTS`` has a folder that it lies in
``path/in/a/root.wav``          the same, by the first root that has it
==============================  ===============================================================
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, PositiveFloat, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LONGEST_URI = 2048
"""Characters. S3 keys have at most 1024 bytes, paths of Linux 4096; who names them has fewer."""

InputFault = Literal["input_scheme_unknown", "input_forbidden", "input_missing", "input_not_a_file"]

_TENANT = "{tenant}"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,62}")  # S3's rule for names


class InputSettings(BaseSettings):
    """Where inputs may come from; the gateway and the stage read the same."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    extraction_roots: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Folders, comma-separated, whose files input_uri may name; {tenant} in one "
        "stands for the caller's tenant. Empty: no files.",
    )
    extraction_s3_buckets: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Buckets, comma-separated, whose objects input_uri may name, each with the "
        "beginning of their keys if only those: media, media/{tenant}/. Empty: no s3://.",
    )
    extraction_max_seconds: PositiveFloat = Field(
        default=4 * 3600.0, description="Longest input that features are extracted from."
    )

    @field_validator("extraction_roots", "extraction_s3_buckets", mode="before")
    @classmethod
    def _items(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(item.strip() for item in value.split(",") if item.strip())
        return value

    @field_validator("extraction_roots")
    @classmethod
    def _whole(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for root in value:
            if not root.startswith("/") or root.rstrip("/") == "":
                raise ValueError(f"'{root}' is no folder to allow; name one by its whole path")
        return value


class InputRefused(Exception):
    """The input may not be used. ``code`` is a stable word; the message names what the client sent
    and nothing that it did not."""

    def __init__(self, code: InputFault, message: str) -> None:
        super().__init__(message)
        self.code: InputFault = code
        self.message = message


@dataclass(frozen=True, slots=True)
class AssetInput:
    """An upload, by its id; whose it is, the gateway knows."""

    asset_id: str


@dataclass(frozen=True, slots=True)
class ObjectInput:
    """An object in an allowed bucket."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class FileInput:
    """A file under an allowed root, links resolved. It is there, unless this machine has none of
    the roots: then only the one that opens it can tell."""

    path: Path


Input = AssetInput | ObjectInput | FileInput


def locate(settings: InputSettings, uri: str, tenant: str) -> Input:
    """What a URI names, if ``tenant`` may use it. Raises `InputRefused`.

    Whether something lies outside of what is allowed is never told apart from its not being there.
    """
    if not uri or len(uri) > LONGEST_URI or "\0" in uri:
        raise _unknown(uri)
    found = _SCHEME.match(uri)
    scheme = found[1].lower() if found else "file"
    rest = uri[found.end() :] if found else uri
    if scheme == "asset":
        return AssetInput(rest.removeprefix("//"))
    if scheme == "s3":
        return _object(settings, uri, tenant)
    if scheme != "file":
        raise _unknown(uri)
    if found:
        parts = urlsplit(uri)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise _unknown(uri)
        rest = unquote(parts.path)
    return _file(settings, uri, rest, tenant)


def _object(settings: InputSettings, uri: str, tenant: str) -> ObjectInput:
    # Keys may hold ? and #, so this is split by hand.
    bucket, _, key = uri[len("s3:") :].removeprefix("//").partition("/")
    if not _BUCKET.fullmatch(bucket) or not key:
        raise InputRefused("input_scheme_unknown", f"'{_shown(uri)}' is not s3://bucket/key.")
    if ".." in key.split("/"):
        raise _forbidden(uri)
    for allowed in settings.extraction_s3_buckets:
        name, _, beginning = allowed.replace(_TENANT, tenant).partition("/")
        if bucket == name and key.startswith(beginning):
            return ObjectInput(bucket, key)
    raise _forbidden(uri)


def _file(settings: InputSettings, uri: str, path: str, tenant: str) -> FileInput:
    if not path or "\0" in path or ".." in PurePosixPath(path).parts:
        raise _forbidden(uri)
    roots = [Path(root.replace(_TENANT, tenant)) for root in settings.extraction_roots]
    missing = False
    for root in roots:
        real_root = Path(os.path.realpath(root))
        real = Path(os.path.realpath(real_root / path))  # an absolute path stays what it is
        if real != real_root and not real.is_relative_to(real_root):
            continue
        if not real_root.is_dir() or real.is_file():
            return FileInput(real)
        if real.exists():
            raise InputRefused("input_not_a_file", f"'{_shown(uri)}' is not a file.")
        missing = True
    if missing:
        raise InputRefused("input_missing", f"There is no file '{_shown(uri)}'.")
    raise _forbidden(uri)


def _unknown(uri: str) -> InputRefused:
    return InputRefused(
        "input_scheme_unknown",
        f"'{_shown(uri)}' is none of asset:…, s3://bucket/key, file:///path.",
    )


def _forbidden(uri: str) -> InputRefused:
    return InputRefused(
        "input_forbidden", f"'{_shown(uri)}' does not lie where inputs may be taken from."
    )


def _shown(uri: str) -> str:
    """As the client wrote it, short, without a query string: that could be a signature."""
    shown = uri.partition("?")[0]
    return shown[:200] + "…" if len(shown) > 200 else shown
