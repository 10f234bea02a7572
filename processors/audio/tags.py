"""What a file says about itself (title, artist, ISRC, …), read from one and written into another.

WAV and AIFF keep it in chunks of their own and in an ID3 chunk, FLAC in Vorbis comments. ISRC has
a place in ID3 (TSRC) and in Vorbis comments only, so a WAV gets an ID3 chunk for it. Between two
WAV files every chunk that is not about the samples (broadcast extension, cue points, iXML) is
carried over as it is.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

Tags = Mapping[str, str]
"""Text by name: title, artist, album, … as Vorbis comments call them, in lower case."""

_LARGEST = 16 << 20  # bytes of one chunk that are read: cover art goes in, a hostile size does not
_INFO = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "date": b"ICRD",
    "genre": b"IGNR",
    "comment": b"ICMT",
    "copyright": b"ICOP",
    "tracknumber": b"IPRT",
}
"""RIFF INFO (Multimedia Programming Interface 1.0)."""
_ID3 = {
    "title": b"TIT2",
    "artist": b"TPE1",
    "album": b"TALB",
    "date": b"TDRC",
    "genre": b"TCON",
    "copyright": b"TCOP",
    "tracknumber": b"TRCK",
    "isrc": b"TSRC",
    "composer": b"TCOM",
    "publisher": b"TPUB",
    "albumartist": b"TPE2",
    "bpm": b"TBPM",
    "language": b"TLAN",
}
"""Text frames of ID3v2.4, section 4.2; 2.3 has the same but for the date (TYER)."""
_AIFF = {b"NAME": "title", b"AUTH": "artist", b"(c) ": "copyright", b"ANNO": "comment"}
_ABOUT_SAMPLES = (b"fmt ", b"data", b"fact", b"PEAK", b"ds64", b"JUNK", b"PAD ", b"FLLR", b"levl")
"""Chunks that a new rendering makes untrue, and padding."""


def read_tags(path: Path) -> dict[str, str]:
    """What a WAV, AIFF or FLAC file says about itself; nothing where it can't be understood."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _of_wav(path)
    if head[:4] == b"FORM":
        return _of_aiff(path)
    if head[:4] == b"fLaC":
        return _of_flac(path)
    return {}


def write_tags(path: Path, tags: Tags, *, source: Path | None = None) -> None:
    """Put ``tags`` into a WAV or FLAC file that has none; the samples stay as they are.

    With a WAV as ``source`` its other chunks come along. A WAV of 4 GB and more (RF64) is left
    without: its sizes stand elsewhere. Raises `ValueError` for another kind of file.
    """
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] == b"fLaC":
        _into_flac(path, tags)
    elif head[:4] == b"RIFF":
        carried = list(_carried(source)) if source is not None else []
        _into_wav(path, tags, carried)
    elif head[:4] != b"RF64":
        raise ValueError(f"'{path.name}' is neither WAV nor FLAC")


# -- WAV and AIFF ------------------------------------------------------------------------------


def _chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Id and content of each chunk but the samples; oversized ones are passed over."""
    with path.open("rb") as file:
        form = file.read(12)
        order = "big" if form[:4] == b"FORM" else "little"
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[4:], "big" if order == "big" else "little")
            name = head[:4]
            if name in (b"data", b"SSND") and size in (0, 0xFFFFFFFF):
                return  # RF64, or a recorder that crashed: what follows can't be found
            if name in (b"data", b"SSND") or size > _LARGEST:
                file.seek(size + size % 2, os.SEEK_CUR)
                continue
            content = file.read(size + size % 2)[:size]
            if len(content) < size:
                return
            yield name, content


def _of_wav(path: Path) -> dict[str, str]:
    names = {chunk: name for name, chunk in _INFO.items()}
    info: dict[str, str] = {}
    tagged: dict[str, str] = {}
    for name, content in _chunks(path):
        if name == b"LIST" and content[:4] == b"INFO":
            for entry, value in _entries(content[4:]):
                if entry in names and (text := _text(value)):
                    info[names[entry]] = text
        elif name.lower() == b"id3 ":
            tagged = _of_id3(content)
    return info | tagged


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _of_aiff(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, content in _chunks(path):
        if name in _AIFF and (text := _text(content)):
            found.setdefault(_AIFF[name], text)
        elif name == b"ID3 ":
            found |= _of_id3(content)
    return found


def _carried(source: Path) -> Iterator[tuple[bytes, bytes]]:
    with source.open("rb") as file:
        if file.read(4) not in (b"RIFF", b"RF64", b"BW64"):
            return
    for name, content in _chunks(source):
        written_anew = name.lower() == b"id3 " or (name == b"LIST" and content[:4] == b"INFO")
        if name not in _ABOUT_SAMPLES and not written_anew:
            yield name, _without_loudness(content) if name == b"bext" else content


def _without_loudness(bext: bytes) -> bytes:
    """A broadcast extension whose loudness figures, which were the source's, say "not measured"
    (EBU Tech 3285 version 2: five words from byte 412 on, 0x7FFF).
    """
    if len(bext) < 422 or int.from_bytes(bext[346:348], "little") < 2:
        return bext
    return bext[:412] + struct.pack("<5H", *(0x7FFF,) * 5) + bext[422:]


def _into_wav(path: Path, tags: Tags, carried: list[tuple[bytes, bytes]]) -> None:
    entries = b""
    for name, chunk in _INFO.items():
        if tags.get(name):
            value = tags[name].encode("utf-8") + b"\0"
            entries += chunk + struct.pack("<I", len(value)) + _even(value)
    more = list(carried)
    if entries:
        more.append((b"LIST", b"INFO" + entries))
    id3 = _id3(tags)
    if id3:
        more.append((b"id3 ", id3))
    tail = b"".join(
        name + struct.pack("<I", len(content)) + _even(content) for name, content in more
    )
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if not tail or end + len(tail) > 0xFFFFFFF0:
            return
        file.write(b"\0" * (end % 2) + tail)
        file.seek(4)
        file.write(struct.pack("<I", end + end % 2 + len(tail) - 8))


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def _text(value: bytes) -> str:
    value = value.split(b"\0")[0]
    try:
        return value.decode("utf-8").strip()
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace").strip()


# -- ID3 ---------------------------------------------------------------------------------------


def _of_id3(data: bytes) -> dict[str, str]:
    """The text frames of an ID3v2.3 or 2.4 tag without unsynchronisation."""
    if len(data) < 10 or data[:3] != b"ID3" or data[3] not in (3, 4) or data[5] & 0xC0:
        return {}
    names = {frame: name for name, frame in _ID3.items()} | {b"TYER": "date"}
    found: dict[str, str] = {}
    at, end = 10, min(len(data), 10 + _sync_safe(data[6:10]))
    while at + 10 <= end and data[at : at + 4].strip(b"\0"):
        size = data[at + 4 : at + 8]
        length = _sync_safe(size) if data[3] == 4 else int.from_bytes(size, "big")
        content = data[at + 10 : at + 10 + length]
        name = names.get(data[at : at + 4])
        if name and len(content) > 1 and len(content) == length:
            codec = ("latin-1", "utf-16", "utf-16-be", "utf-8")[min(content[0], 3)]
            text = content[1:].decode(codec, "replace").split("\0")[0].strip()
            if text:
                found[name] = text
        at += 10 + length
    return found


def _id3(tags: Tags) -> bytes:
    frames = b""
    for name, frame in _ID3.items():
        if tags.get(name):
            value = b"\x03" + tags[name].encode("utf-8")
            frames += frame + _as_sync_safe(len(value)) + b"\0\0" + value
    return b"ID3\x04\0\0" + _as_sync_safe(len(frames)) + frames if frames else b""


def _sync_safe(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def _as_sync_safe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


# -- FLAC --------------------------------------------------------------------------------------


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Type and content of each metadata block (RFC 9639, section 8)."""
    with path.open("rb") as file:
        file.read(4)
        while len(head := file.read(4)) == 4:
            content = file.read(int.from_bytes(head[1:], "big"))
            yield head[0] & 0x7F, content
            if head[0] & 0x80:
                return


def _of_flac(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, content in _blocks(path):
        if kind != 4 or len(content) < 8:
            continue
        at = 4 + int.from_bytes(content[:4], "little")
        count = int.from_bytes(content[at : at + 4], "little")
        at += 4
        for _ in range(min(count, 1000)):
            size = int.from_bytes(content[at : at + 4], "little")
            name, _, value = (
                content[at + 4 : at + 4 + size].decode("utf-8", "replace").partition("=")
            )
            at += 4 + size
            if value.strip():
                found.setdefault(name.lower(), value.strip())
    found.pop("encoder", None)
    return found


def _into_flac(path: Path, tags: Tags) -> None:
    vendor = b"melisma"
    lines = [f"{name.upper()}={value}".encode() for name, value in sorted(tags.items()) if value]
    comment = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(lines))
    comment += b"".join(struct.pack("<I", len(line)) + line for line in lines)
    blocks = [(kind, content) for kind, content in _blocks(path) if kind not in (1, 4)]
    kept = sum(4 + len(content) for _, content in _blocks(path))
    blocks.insert(1, (4, comment))  # STREAMINFO stays the first
    draft = path.with_name(path.name + ".tagged")
    with path.open("rb") as old, draft.open("wb") as new:
        new.write(b"fLaC")
        for index, (kind, content) in enumerate(blocks):
            last = 0x80 if index == len(blocks) - 1 else 0
            new.write(bytes([kind | last]) + len(content).to_bytes(3, "big") + content)
        old.seek(4 + kept)
        while piece := old.read(1 << 20):
            new.write(piece)
    draft.replace(path)
