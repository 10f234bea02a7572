"""What a file is, judged by its first bytes alone; names and extensions are not believed."""

from __future__ import annotations

from dataclasses import dataclass

HEAD_BYTES = 65_536
"""How much of a file `sniff` wants to see: cover art may stand before an MP3's first frame."""


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """A container of sound, or a kind of picture: our name for it and its media type (IANA)."""

    name: str
    media_type: str


WAV = SoundFormat("wav", "audio/wav")
RF64 = SoundFormat("rf64", "audio/wav")
AIFF = SoundFormat("aiff", "audio/aiff")
AIFC = SoundFormat("aifc", "audio/aiff")
FLAC = SoundFormat("flac", "audio/flac")
MP3 = SoundFormat("mp3", "audio/mpeg")
AAC = SoundFormat("aac", "audio/aac")
OGG = SoundFormat("ogg", "audio/ogg")
M4A = SoundFormat("m4a", "audio/mp4")
MP4 = SoundFormat("mp4", "video/mp4")
WEBM = SoundFormat("webm", "video/webm")
MATROSKA = SoundFormat("matroska", "video/x-matroska")
CAF = SoundFormat("caf", "audio/x-caf")
WMA = SoundFormat("wma", "audio/x-ms-wma")

FORMATS = (WAV, RF64, AIFF, AIFC, FLAC, MP3, AAC, OGG, M4A, MP4, WEBM, MATROSKA, CAF, WMA)

PNG = SoundFormat("png", "image/png")
JPEG = SoundFormat("jpeg", "image/jpeg")
WEBP = SoundFormat("webp", "image/webp")

_ASF_GUID = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_AUDIO_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
# the kinds of Ogg stream whose first packet names sound (RFC 5334, RFC 7845, FLAC-to-Ogg mapping)
_OGG_SOUND = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")
_MP3_KBPS = {  # ISO 11172-3 table and the half-rate one of ISO 13818-3, by layer 3, 2, 1
    (True, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def sniff(head: bytes) -> SoundFormat | None:
    """The format of a file that begins with ``head``, or None when no audio file begins so.

    ``head`` should be the first `HEAD_BYTES` of the file, or all of a shorter one.
    """
    kind, form = head[:4], head[8:12]
    if form == b"WAVE":
        return {b"RIFF": WAV, b"RF64": RF64, b"BW64": RF64}.get(kind)
    if kind == b"FORM":
        return {b"AIFF": AIFF, b"AIFC": AIFC}.get(form)
    if kind == b"fLaC":
        return FLAC
    if kind == b"OggS":
        return OGG if any(mark in head[:4096] for mark in _OGG_SOUND) else None
    if head[4:8] == b"ftyp":
        return M4A if form in _AUDIO_BRANDS else MP4
    if kind == b"\x1a\x45\xdf\xa3":
        return WEBM if b"webm" in head[:64] else MATROSKA
    if kind == b"caff":
        return CAF
    if head.startswith(_ASF_GUID):
        return WMA
    if kind[:3] == b"ID3":
        return _tagged(head)
    if _is_adts(head):
        return AAC
    return MP3 if _is_mpeg_audio(head, 0) else None


def sniff_picture(head: bytes) -> SoundFormat | None:
    """The format of a picture that begins with ``head``; None for anything but PNG, JPEG, WebP."""
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return PNG
    if head[:3] == b"\xff\xd8\xff":
        return JPEG
    return WEBP if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def id3_bytes(head: bytes) -> int:
    """Length of the ID3v2 tag that ``head`` begins with, 0 without one (ID3v2.4 section 3.1)."""
    if len(head) < 10 or head[:3] != b"ID3" or any(b & 0x80 for b in head[6:10]):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _tagged(head: bytes) -> SoundFormat | None:
    start = id3_bytes(head)
    if start == 0:
        return None
    rest = head[start:].lstrip(b"\0")  # some taggers pad after the tag
    if len(rest) < 4:
        return MP3  # cover art longer than the head: the decoder has the last word
    if rest[:4] == b"fLaC":
        return FLAC
    if _is_adts(rest):
        return AAC
    return MP3 if _is_mpeg_audio(rest, 0) else None


def _is_adts(head: bytes) -> bool:
    """Two ADTS frames in a row (ISO 13818-7): sync, layer 00, a sampling frequency."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or (head[2] >> 2) & 15 > 12:
        return False
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    after = head[length : length + 2]
    return length > 7 and (len(after) < 2 or (after[0] == 0xFF and after[1] & 0xF6 == 0xF0))


def _is_mpeg_audio(head: bytes, at: int) -> bool:
    """Two MPEG audio frames in a row, as far as ``head`` reaches."""
    length = mpeg_frame_bytes(head[at : at + 4])
    if length == 0:
        return False
    following = head[at + length : at + length + 4]
    return len(following) < 4 or mpeg_frame_bytes(following) > 0


def mpeg_frame_bytes(header: bytes) -> int:
    """Length of the MPEG layer 2 or 3 frame with this 4-byte header, 0 when it isn't one."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = (header[1] >> 3) & 3, (header[1] >> 1) & 3
    bitrate, frequency = header[2] >> 4, (header[2] >> 2) & 3
    if version == 1 or layer not in (1, 2) or bitrate in (0, 15) or frequency == 3:
        return 0
    hertz = (44_100, 48_000, 32_000)[frequency] >> {3: 0, 2: 1, 0: 2}[version]
    kbps = _MP3_KBPS[version == 3, layer][bitrate]
    samples = 576 if layer == 1 and version != 3 else 1152
    return samples * kbps * 125 // hertz + ((header[2] >> 1) & 1)
