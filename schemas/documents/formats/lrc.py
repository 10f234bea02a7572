"""LRC, a line and the moment it starts, which every player reads; and enhanced LRC (A2), the same
with a stamp for every word. Both to a hundredth of a second, rounded down.

LRC has no singers and no way to escape: brackets that a reader would take for a stamp become round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby, pairwise

from schemas.documents.formats.cues import About, Cue, cues, label, one_row
from schemas.documents.formats.stamps import hundredths
from schemas.documents.formats.timed import Sung, TimedLine, TimedLyrics, UnreadableLyrics
from schemas.documents.karaoke import Karaoke

_STAMP = r"(\d{1,3}):(\d{1,2})(?:[.:,](\d{1,3}))?"
_LINE = re.compile(rf"\s*\[{_STAMP}\]")
_WORD = re.compile(rf"<{_STAMP}>")
_TAG = re.compile(r"\s*\[([A-Za-z#]{1,20}):(.*)\]\s*")

_SLOWEST_MS_A_LETTER = 250
_MAX_CHARACTERS = 2_000_000
"""Of all lines, repeated ones as often as they are sung: a thousand stamps before one long line
would be as many long lines."""

_LONGEST_LINE_MS = 10_000
"""A line ends with the next one's start, and before a long break after what its letters can fill:
four letters a second is slower than any pop song's average."""


def to_lrc(karaoke: Karaoke, about: About) -> str:
    """The song as LRC: tags, then ``[mm:ss.xx]text`` in the order of time.

    A line that could not be placed follows the line before it, so that no words are lost.
    """
    body = [
        f"[{hundredths(cue.start_ms)}]{_plain(row)}" for cue in cues(karaoke) for row in cue.rows
    ]
    return "\n".join((*_tags(karaoke, about), *body)) + "\n"


def to_enhanced_lrc(karaoke: Karaoke, about: About) -> str:
    """The song as enhanced LRC: ``[mm:ss.xx]<mm:ss.xx>word<mm:ss.xx> <mm:ss.xx>word…``.

    A stamp also closes a word where a rest follows it.
    """
    rows: list[str] = []
    for cue in cues(karaoke):
        stamp = f"[{hundredths(cue.start_ms)}]"
        rows += [stamp + _plain(row) for row in cue.before]
        rows.append(stamp + "".join(_stamped(cue)))
        rows += [stamp + _plain(row) for row in cue.after]
    return "\n".join((*_tags(karaoke, about), *rows)) + "\n"


def _stamped(cue: Cue) -> Iterator[str]:
    for index, piece in enumerate(cue.pieces):
        follows = cue.pieces[index + 1] if index + 1 < len(cue.pieces) else None
        end = hundredths(piece.end_ms)
        rest = follows is None or end != hundredths(follows.start_ms)
        yield f"<{hundredths(piece.start_ms)}>{_plain(piece.text)}"
        yield f"<{end}>{_plain(piece.sep)}" if rest else _plain(piece.sep)


def _tags(karaoke: Karaoke, about: About) -> list[str]:
    minutes, seconds = divmod(round(karaoke.duration_ms / 1000), 60)
    tags = {
        "ti": about.title,
        "ar": about.artist,
        "la": karaoke.language,
        "length": f"{minutes}:{seconds:02}",
    }
    return [f"[{tag}:{label(value).replace(']', ')')}]" for tag, value in tags.items() if value]


def _plain(text: str) -> str:
    """Text in which no reader finds a stamp or a tag."""
    text = one_row(text)
    if not re.search(r"<\d+:\d|\[[^\]]*:|^\s*\[", text):
        return text
    return text.translate(str.maketrans("[]<>", "()‹›"))


def looks_like_lrc(text: str) -> bool:
    """True when most lines that are no tags begin with a stamp."""
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    words = [line for line in lines if not _TAG.fullmatch(line) or _LINE.match(line)]
    return sum(1 for line in words if _LINE.match(line)) * 2 > max(1, len(words))


def from_lrc(text: str) -> TimedLyrics:
    """Read LRC and enhanced LRC: several stamps before a line repeat it, ``[offset:…]`` shifts.

    Raises `UnreadableLyrics` when no line has a stamp.
    """
    tags: dict[str, str] = {}
    stamped: list[tuple[int, str]] = []
    for line in text.lstrip("\ufeff").splitlines():
        if tag := _TAG.fullmatch(line):
            tags.setdefault(tag[1].lower(), tag[2].strip())
            continue
        starts, at = [], 0
        while stamp := _LINE.match(line, at):
            starts.append(_ms(stamp))
            at = stamp.end()
        stamped += [(start, line[at:]) for start in starts]
    if not stamped:
        raise UnreadableLyrics(
            "no line begins with a stamp like [00:12.34]; send plain lyrics as text"
        )
    if sum(len(rest) for _, rest in stamped) > _MAX_CHARACTERS:
        raise UnreadableLyrics("the stamps repeat more text than any song has")
    shift = _offset(tags.get("offset", ""))
    stamped.sort(key=lambda pair: pair[0])
    word_times = any(_WORD.search(rest) for _, rest in stamped)
    lines: list[TimedLine] = []
    together = [(start, [rest for _, rest in group]) for start, group in groupby(stamped, _first)]
    for index, (start, rests) in enumerate(together):
        following = together[index + 1][0] if index + 1 < len(together) else None
        for rest, span in zip(rests, _spread(rests, start, following), strict=True):
            pieces = _stamped_pieces(rest, start, following) if word_times else [Sung(rest, *span)]
            if any(piece.text.strip() for piece in pieces):
                lines.append(TimedLine(tuple(_shifted(piece, shift) for piece in pieces)))
    return TimedLyrics(
        tuple(lines),
        word_times,
        language=tags.get("la", ""),
        title=tags.get("ti", ""),
        artist=tags.get("ar", ""),
    )


def _first(pair: tuple[int, str]) -> int:
    return pair[0]


def _spread(rests: list[str], start: int, following: int | None) -> list[tuple[int, int]]:
    """When lines of one stamp are sung, if nothing but the stamp is known: one after another."""
    letters = sum(len(rest.strip()) for rest in rests)
    limit = start + min(_LONGEST_LINE_MS, max(500, _SLOWEST_MS_A_LETTER * letters))
    room = (limit if following is None else min(following, limit)) - start
    cuts = [start + room * nth // len(rests) for nth in range(len(rests) + 1)]
    return [(begin, max(end, begin + 1)) for begin, end in pairwise(cuts)]


def _stamped_pieces(rest: str, start: int, following: int | None) -> list[Sung]:
    """A line with word stamps in pieces; one without any keeps its words, untimed."""
    stamps = list(_WORD.finditer(rest))
    if not stamps:
        return [Sung(rest)]
    head = rest[: stamps[0].start()]
    pieces = [Sung(head, start, max(_ms(stamps[0]), start + 10))] if head.strip() else []
    for index, stamp in enumerate(stamps):
        last = index + 1 == len(stamps)
        words = rest[stamp.end() : None if last else stamps[index + 1].start()]
        begin = _ms(stamp)
        close = begin + _SLOWEST_MS_A_LETTER * max(1, len(words.strip()))
        if not last:
            close = _ms(stamps[index + 1])
        elif following is not None:
            close = min(following, close)
        # A stamp before nothing closes the word before it.
        pieces.append(Sung(words, begin, max(close, begin + 10)) if words.strip() else Sung(words))
    return pieces


def _ms(stamp: re.Match[str]) -> int:
    fraction = (stamp[3] or "").ljust(3, "0")
    return (int(stamp[1]) * 60 + int(stamp[2])) * 1000 + int(fraction)


def _offset(value: str) -> int:
    """``[offset:+500]``: half a second earlier, in ms."""
    match = re.fullmatch(r"([+-]?)(\d{1,7})", value.strip())
    return 0 if match is None else int(match[2]) * (-1 if match[1] == "-" else 1)


def _shifted(piece: Sung, shift: int) -> Sung:
    if piece.start_ms is None or piece.end_ms is None:
        return piece
    start, end = max(0, piece.start_ms - shift), max(0, piece.end_ms - shift)
    return Sung(piece.text, start, max(end, start + 1))
