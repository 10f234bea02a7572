"""Fonts for any song on any machine: those of a wheel first, the machine's own where they end.

DejaVu Sans comes with matplotlib (its licence is Bitstream Vera's, permissive) and has Latin,
Cyrillic, Greek, Armenian, Georgian, Hebrew and Arabic. What it lacks (Chinese, Japanese, Korean,
Thai, Devanagari, …) is looked for in folders of the machine; libass sees only what is chosen here,
so that a video does not depend on what else is installed.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fontTools.ttLib import TTCollection, TTFont, TTLibError

_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zs", "Zl", "Zp"})
_VARIANTS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


@dataclass(frozen=True, slots=True)
class Chosen:
    """Font files that write a text, and the characters that none of them has."""

    files: tuple[Path, ...]
    missing: frozenset[str]


def fonts_for(text: str, folders: Sequence[Path]) -> Chosen:
    """The bundled fonts, and the fewest of ``folders`` (in their order) for what those lack."""
    files = list(bundled())
    wanted = seen_in(text)
    for file in files:
        wanted -= _covered(file, wanted)
    for folder in folders:
        if not wanted:
            break
        for file in _fonts_in(folder):
            found = _covered(file, wanted)
            if found:
                files.append(file)
                wanted -= found
            if not wanted:
                break
    return Chosen(tuple(files), frozenset(wanted))


def bundled() -> tuple[Path, ...]:
    """DejaVu Sans, bold first: lyrics are set in bold."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:  # pragma: no cover - the product depends on it
        raise FileNotFoundError("matplotlib, whose wheel has the fonts, is not installed")
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return (folder / "DejaVuSans-Bold.ttf", folder / "DejaVuSans.ttf")


def seen_in(text: str) -> set[str]:
    """The characters of a text that need a glyph."""
    return {
        char
        for char in set(text) - _VARIANTS
        if unicodedata.category(char) not in _INVISIBLE and char != "\N{COMBINING GRAPHEME JOINER}"
    }


def _fonts_in(folder: Path) -> Iterator[Path]:
    """The font files below a folder, in the order of their paths."""
    if folder.is_dir():
        yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def _covered(file: Path, wanted: Iterable[str]) -> set[str]:
    """Those of the characters that a font has; none for a file that is no font."""
    try:
        with file.open("rb") as data:  # closed by us: fontTools leaves it open on a broken file
            if file.suffix.lower() in (".ttc", ".otc"):
                maps = [font.getBestCmap() or {} for font in TTCollection(data, lazy=True).fonts]
            else:
                maps = [TTFont(data, lazy=True).getBestCmap() or {}]
    except (TTLibError, OSError, AssertionError, ValueError, KeyError):
        return set()
    return {char for char in wanted if any(ord(char) in has for has in maps)}
