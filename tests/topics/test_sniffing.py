import pytest
from hypothesis import given
from hypothesis import strategies as st

from topics.sniffing import FORMATS, HEAD_BYTES, id3_bytes, mpeg_frame_bytes, sniff

_MP3_FRAME = bytes.fromhex("fffb9000") + bytes(413)  # 128 kbit/s, 44.1 kHz: 417 bytes
_ADTS_FRAME = bytes.fromhex("fff1508002bffc") + bytes(14)  # 21 bytes
_ID3 = b"ID3\x04\0\0" + bytes([0, 0, 1, 0]) + bytes(128)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", "wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "rf64"),
        (b"BW64\xff\xff\xff\xffWAVEds64", "rf64"),
        (b"FORM\0\0\0\0AIFFCOMM", "aiff"),
        (b"FORM\0\0\0\0AIFCFVER", "aifc"),
        (b"fLaC\0\0\0\x22", "flac"),
        (b"OggS\0\x02" + bytes(22) + b"\x01vorbis", "ogg"),
        (b"OggS\0\x02" + bytes(22) + b"OpusHead", "ogg"),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "m4a"),
        (b"\0\0\0\x20ftypisom\0\0\0\0", "mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "mp4"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "webm"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska", "matroska"),
        (b"caff\0\x01\0\0desc", "caf"),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "wma"),
        (_MP3_FRAME * 2, "mp3"),
        (_ADTS_FRAME * 2, "aac"),
        (_ID3 + _MP3_FRAME * 2, "mp3"),
        (_ID3 + bytes(40) + _MP3_FRAME * 2, "mp3"),
        (_ID3 + b"fLaC\0\0\0\x22", "flac"),
        (b"ID3\x03\0\0\0\x7f\x7f\x7f" + bytes(200), "mp3"),  # cover art longer than the head
    ],
)
def test_formats_are_known_by_their_first_bytes(head: bytes, name: str) -> None:
    found = sniff(head)
    assert found is not None
    assert found.name == name
    assert found in FORMATS


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"RIFF",
        b"RIFF\0\0\0\0AVI LIST",
        b"OggS\0\x02" + bytes(22) + b"\x80theora",
        b"#EXTM3U\n#EXT-X-VERSION:3\nhttp://example.com/a.ts\n",
        b"ffconcat version 1.0\nfile 'http://example.com/a.wav'\n",
        b"It was a dark and stormy night",
        b"\xff\xd8\xff\xe0\0\x10JFIF",
        b"\x89PNG\r\n\x1a\n",
        b"%PDF-1.7",
        b"\xff\xfe" + "text".encode("utf-16-le"),
        _MP3_FRAME + b"not a second frame",
        _ID3 + b"lyrics in a text file",
    ],
)
def test_what_is_not_sound_is_not_taken_for_it(head: bytes) -> None:
    assert sniff(head) is None


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(head: bytes) -> None:
    assert sniff(head) is None or sniff(head) in FORMATS
    assert id3_bytes(head) >= 0


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ("fffb9000", 417),  # MPEG-1 layer 3, 128 kbit/s, 44.1 kHz
        ("fffb9200", 418),  # the same, padded
        ("fff38000", 208),  # MPEG-2 layer 3, 64 kbit/s, 22.05 kHz
        ("fffbf000", 0),  # bitrate 15 doesn't exist
        ("fffb9c00", 0),  # nor does frequency 3
    ],
)
def test_frame_lengths_follow_the_standard(header: str, length: int) -> None:
    assert mpeg_frame_bytes(bytes.fromhex(header)) == length


def test_the_head_is_enough_for_usual_cover_art() -> None:
    assert HEAD_BYTES >= 32_768
