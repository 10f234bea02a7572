"""Lyrics as people paste them, cut into lines, singers and words that rebuild the surface exactly.

A word keeps its own punctuation ("don't,", "«мир»"); what lies between two words is the
separator (``sep``) of the first. So ``"".join(word + sep)`` is the line as given, less white space
at its ends.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from schemas.documents.repeats import Blocks, heading, marked

MAX_WORDS = 20_000
"""More than any song holds; a bound on what one request can make the aligner chew."""

_BLANK = "\ufeff \t\u00a0\u200b"
_SECTION = re.compile(r"\[([^\[\]]{1,80})\]")
_SECTION_NAMES = re.compile(
    r"(?:pre-?|post-?)?(?:verse|chorus|hook|refrain|bridge|intro|outro|interlude|instrumental|solo"
    r"|break|drop|part|skit|куплет|припев|бридж|проигрыш|вступление|концовка|интро|аутро)\b",
    re.IGNORECASE,
)
_UNSPACED = ("CJK UNIFIED", "HIRAGANA", "KATAKANA")
"""Scripts written without spaces between words: each character is a word to highlight."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of lyrics: ``(text, sep)`` pairs, and who sings it when the lyrics say so."""

    words: tuple[tuple[str, str], ...]
    singer: str | None = None


def split_lyrics(text: str) -> list[TextLine]:
    """The sung lines of pasted lyrics, in order, repetitions written out (`repeats`).

    A line in brackets is not sung: ``[Chorus]`` names a section, ``[Anna]`` and ``[Verse 2: Anna]``
    say who sings from there on.
    """
    blocks = Blocks[TextLine](MAX_WORDS, lambda line: len(line.words))
    singer: str | None = None
    for raw in unicodedata.normalize("NFC", text).replace("\r\n", "\n").splitlines():
        line, times = marked(raw.strip(_BLANK))
        line = line.strip(_BLANK)
        if section := _SECTION.fullmatch(line):
            singer = _singer(section[1], singer)
            inner, inside = marked(section[1].strip())
            blocks.head(inner.partition(":")[0].strip(), max(times, inside))
        elif name := heading(line):
            blocks.head(name, times)
        elif line:
            blocks.add(TextLine(tuple(split_line(line)), singer), times)
        elif times > 1:
            blocks.again(times)
        else:
            blocks.blank()
    return blocks.end()


def split_line(line: str) -> list[tuple[str, str]]:
    """The words of one line, each with the separator behind it; the last separator is empty.

    Marks that belong to no word ("—", "♪") join the separator before them, or the first word when
    they open the line. A line of nothing but marks is one word.
    """
    words: list[tuple[str, str]] = []
    lead = ""
    for piece, space in _pieces(line.strip()):
        if is_sung(piece):
            words.append((lead + piece, space))
            lead = ""
        elif words:
            text, sep = words.pop()
            words.append((text, sep + piece + space))
        else:
            lead += piece + space
    if lead:
        return [(lead.rstrip(), "")]
    text, sep = words.pop()
    trailing = sep.rstrip()
    # Marks that close the line stay with its last word, so that its separator is empty.
    words.append((text + trailing, ""))
    return words


def is_sung(text: str) -> bool:
    """True when the text holds a letter or a digit: something that a voice can make heard."""
    return any(unicodedata.category(char)[0] in "LN" for char in text)


def _pieces(line: str) -> Iterator[tuple[str, str]]:
    """Runs without white space, each with the white space behind it; unspaced scripts by letter."""
    for match in re.finditer(r"(\S+)(\s*)", line):
        run, space = match[1], match[2]
        cuts = [0, *(i for i in range(1, len(run)) if _cut_before(run, i)), len(run)]
        for start, end in pairwise(cuts):
            yield run[start:end], space if end == len(run) else ""


def _cut_before(run: str, index: int) -> bool:
    here, before = run[index], run[index - 1]
    return (_unspaced(here) and is_sung(run[:index])) or (_unspaced(before) and is_sung(here))


def _unspaced(char: str) -> bool:
    name = unicodedata.name(char, "")
    return name.startswith(_UNSPACED) and "SOUND MARK" not in name


def _singer(section: str, current: str | None) -> str | None:
    name, colon, who = section.partition(":")
    if colon and who.strip():
        return who.strip()
    if _SECTION_NAMES.match(section.strip()):
        return current
    return name.strip() or current
