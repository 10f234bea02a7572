"""Whether each line sounds like its own words: other texts are tried in its place.

An aligner places any text somewhere, and its confidence says little about whether the text is what
is sung. What says more is a comparison at the same place: a line that is sung there fits better
than other lines of about its length, and than its own letters backwards. With lyrics of another
song all of them fit alike.

Languages are compared by sound, not by letters: the lines are read in those that are written in the
same letters, and the one that is sung fits best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from processors.alignment.aligner import Fit, Heard
from processors.alignment.languages import UnknownLanguage, resolve, script
from schemas.documents.evidence import Evidence, LanguageEvidence, LineEvidence
from schemas.documents.karaoke import Karaoke, Line

_MARGIN_MS = 300
"""Around a line's place: vocal activity begins late in soft consonants (as in `strays`)."""
_MOST_RIVALS = 4
_MOST_FITS = 240
"""About 2 s of work for the light backend; a song of 80 lines has two rivals a line then."""
_SHARED = 0.5
"""Lines with so many words in common are versions of one another, no rivals."""

LANGUAGES = {
    "LATIN": ("en", "es", "fr", "de", "it", "pt"),
    "CYRILLIC": ("ru", "uk", "bg"),
}
"""Languages that most songs of their letters are in; one that is sung and not here mostly fits one
of these better than it fits a wrong one."""
_JUDGED_LINES = 8
"""The longest: 40 fits, a third of a second for the light backend."""

Texts = tuple[str, ...]


def sounding_of(content: Karaoke, heard: Heard, language: str) -> Evidence:
    """The evidence of every line that was placed."""
    placed = [line for line in content.lines if line.start_ms is not None]
    count = max(1, min(_MOST_RIVALS, _MOST_FITS // max(1, len(placed)) - 1))
    distinct: dict[Texts, Texts] = {}
    for line in content.lines:
        distinct.setdefault(_folded(line), _texts(line))

    def fit(texts: Texts, line: Line) -> float | None:
        start = max(0, (line.start_ms or 0) - _MARGIN_MS)
        end = min(content.duration_ms, (line.end_ms or 0) + _MARGIN_MS)
        return heard.fit([texts], language, start, end)

    found: list[LineEvidence] = []
    for line in placed:
        rivals = list(_rivals(line, distinct, count))
        fits = [value for texts in rivals if (value := fit(texts, line)) is not None]
        own = fit(_texts(line), line)
        found.append(
            LineEvidence(
                line_id=line.id,
                fit=None if own is None else round(own, 4),
                rival=round(max(fits), 4) if fits else None,
                rivals=len(rivals),
            )
        )
    by_sound = heard.by_sound
    tried = () if by_sound is None else other_languages(content, by_sound, language)
    return Evidence(lines=tuple(found), languages=tuple(tried))


def other_languages(content: Karaoke, by_sound: Fit, language: str) -> Iterator[LanguageEvidence]:
    """Every other language of these letters, over the lines that can be read in both."""
    distinct = {_folded(line): line for line in content.lines if line.start_ms is not None}
    lines = sorted(distinct.values(), key=lambda line: -_letters(_texts(line)))[:_JUDGED_LINES]
    text = " ".join(line.text for line in lines)
    try:
        said = resolve(language)
    except UnknownLanguage:
        return

    def fit(line: Line, read_in: str) -> float | None:
        start = max(0, (line.start_ms or 0) - _MARGIN_MS)
        end = min(content.duration_ms, (line.end_ms or 0) + _MARGIN_MS)
        return by_sound([_texts(line)], read_in, start, end)

    own = [fit(line, said) for line in lines]
    for other in LANGUAGES.get(script(text) or "", ()):
        if resolve(other).partition("-")[0] == said.partition("-")[0]:
            continue
        better = [
            its - mine
            for line, mine in zip(lines, own, strict=True)
            if mine is not None and (its := fit(line, other)) is not None
        ]
        if better:
            yield LanguageEvidence(language=other, margin=round(float(np.mean(better)), 4))


def _rivals(line: Line, distinct: dict[Texts, Texts], count: int) -> Iterator[Texts]:
    """The line backwards, then other lines, those of about its length first."""
    own = _texts(line)
    yield tuple(text[::-1] for text in reversed(own))
    words = set(_folded(line))
    others = [
        texts
        for folded, texts in distinct.items()
        if len(words & set(folded)) < _SHARED * min(len(words), len(set(folded)))
    ]
    length = _letters(own)
    yield from sorted(others, key=lambda texts: abs(_letters(texts) - length))[: count - 1]


def _texts(line: Line) -> Texts:
    return tuple(word.text for word in line.words)


def _folded(line: Line) -> Texts:
    return tuple("".join(filter(str.isalnum, word.text.casefold())) for word in line.words)


def _letters(texts: Sequence[str]) -> int:
    return sum(map(str.isalnum, "".join(texts)))
