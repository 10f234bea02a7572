"""Whether each line sounds like its own words: other texts are tried in its place.

An aligner places any text somewhere, and its confidence says little about whether the text is what
is sung. What says more is a comparison at the same place: a line that is sung there fits better
than other lines of about its length, and than its own letters backwards. With lyrics of another
song all of them fit alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from processors.alignment.aligner import Heard
from schemas.documents.evidence import Evidence, LineEvidence
from schemas.documents.karaoke import Karaoke, Line

_MARGIN_MS = 300
"""Around a line's place: vocal activity begins late in soft consonants (as in `strays`)."""
_MOST_RIVALS = 4
_MOST_FITS = 240
"""About 2 s of work for the light backend; a song of 80 lines has two rivals a line then."""
_SHARED = 0.5
"""Lines with so many words in common are versions of one another, no rivals."""

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
    return Evidence(lines=tuple(found))


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
