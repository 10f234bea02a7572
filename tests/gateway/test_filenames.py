from __future__ import annotations

import pytest

from gateway.filenames import MAX_BYTES, clean_filename


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("song.flac", "song.flac"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Music\\my song.wav", "my song.wav"),
        ("Привет 🎤.mp3", "Привет 🎤.mp3"),
        ("a\r\nSet-Cookie: x.wav", "aSet-Cookie x.wav"),
        ("evil\u202egpj.wav", "evilgpj.wav"),
        ("..", "upload"),
        ("/", "upload"),
        ("  .hidden. ", "hidden"),
        ("\x00", "upload"),
    ],
)
def test_only_a_base_name_is_left(given: str, expected: str) -> None:
    assert clean_filename(given) == expected


@pytest.mark.parametrize("given", ["я" * 500 + ".flac", "x" * 5000, "." + "y" * 900])
def test_it_fits_a_file_system(given: str) -> None:
    cleaned = clean_filename(given)
    assert 0 < len(cleaned.encode()) <= MAX_BYTES
    assert given.endswith(".flac") == cleaned.endswith(".flac")
