"""How long a song is, as far as the first bytes of its file tell.

The gateway never decodes: what stands here refuses a three-hour set before anything is queued, and
the first stage that decodes has the last word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal


def stated_seconds(head: bytes, format_: str, size_bytes: int) -> float | None:
    """Length of a WAV, AIFF or FLAC file of ``size_bytes`` that begins with ``head``.

    None where the head does not tell. Chunks are believed no further than the file reaches.
    """
    match format_:
        case "wav" | "rf64":
            return _wav(head, size_bytes)
        case "aiff" | "aifc":
            return _aiff(head)
        case "flac":
            return _flac(head)
        case _:
            return None


def _chunks(head: bytes, order: Literal["little", "big"]) -> Iterator[tuple[bytes, int, bytes]]:
    """Id, offset of the content and content (cut where the head ends) of each chunk in sight."""
    at = 12
    while at + 8 <= len(head):
        size = int.from_bytes(head[at + 4 : at + 8], order)
        yield head[at : at + 4], at + 8, head[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _wav(head: bytes, size_bytes: int) -> float | None:
    bytes_a_second = 0
    for name, at, content in _chunks(head, "little"):
        if name == b"fmt " and len(content) >= 12:
            bytes_a_second = int.from_bytes(content[8:12], "little")
        if name == b"data" and bytes_a_second:
            # The file's size and not the chunk's, which is 0 or 4 GiB where a recorder crashed.
            return (size_bytes - at) / bytes_a_second
    return None


def _aiff(head: bytes) -> float | None:
    for name, _, content in _chunks(head, "big"):
        if name == b"COMM" and len(content) >= 18:
            frames = int.from_bytes(content[2:6], "big")
            rate = _extended(content[8:18])
            return frames / rate if rate else None
    return None


def _extended(data: bytes) -> float:
    """An 80-bit IEEE 754 extended number, which AIFF writes its sample rate as."""
    exponent = int.from_bytes(data[:2], "big") & 0x7FFF
    mantissa = int.from_bytes(data[2:10], "big")
    if exponent == 0x7FFF:  # infinite or no number
        return 0.0
    try:
        return math.ldexp(mantissa, exponent - 16_383 - 63)
    except OverflowError:
        return 0.0


def _flac(head: bytes) -> float | None:
    start = head.find(b"fLaC")  # some taggers put an ID3 tag before it
    info = head[start + 8 : start + 42]
    if start < 0 or len(info) < 34:
        return None
    # STREAMINFO (RFC 9639, section 8.2): 20 bits of rate, 3 + 5 bits, 36 bits of samples
    packed = int.from_bytes(info[10:18], "big")
    rate, frames = packed >> 44, packed & ((1 << 36) - 1)
    return frames / rate if rate and frames else None
