"""LRC, a line and the moment it starts, which every player reads; and enhanced LRC (A2), the same
with a stamp for every word. Both to a hundredth of a second, rounded down.

LRC has no singers and no way to escape: brackets that a reader would take for a stamp become round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from schemas.documents.formats.cues import About, Cue, cues, label, one_row
from schemas.documents.formats.stamps import hundredths
from schemas.documents.formats.timed import Sung, TimedLine, TimedLyrics, UnreadableLyrics
from schemas.documents.karaoke import Karaoke

_STAMP = r"(\d{1,3}):(\d{1,2})(?:[.:,](\d{1,3}))?"
_LINE = re.compile(rf"\s*\[{_STAMP}\]")
_WORD = re.compile(rf"<{_STAMP}>")
_TAG = re.compile(r"\s*\[([A-Za-z#]{1,20}):(.*)\]\s*")

_SLOWEST_MS_A_LETTER = 250
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
    shift = _offset(tags.get("offset", ""))
    stamped.sort(key=lambda pair: pair[0])
    word_times = any(_WORD.search(rest) for _, rest in stamped)
    lines: list[TimedLine] = []
    for index, (start, rest) in enumerate(stamped):
        following = next((later for later, _ in stamped[index + 1 :] if later > start), None)
        if word_times:
            pieces = _stamped_pieces(rest, start, following)
        else:
            pieces = [Sung(rest, *_spread(stamped, index, following))]
        if any(piece.text.strip() for piece in pieces):
            lines.append(TimedLine(tuple(_shifted(piece, shift) for piece in pieces)))
    return TimedLyrics(
        tuple(lines),
        word_times,
        language=tags.get("la", ""),
        title=tags.get("ti", ""),
        artist=tags.get("ar", ""),
    )


def _spread(stamped: list[tuple[int, str]], index: int, following: int | None) -> tuple[int, int]:
    """When a line without word stamps is sung. Lines of one stamp follow one another."""
    start = stamped[index][0]
    together = [at for at, (other, _) in enumerate(stamped) if other == start]
    letters = sum(len(stamped[at][1].strip()) for at in together)
    limit = start + min(_LONGEST_LINE_MS, max(500, _SLOWEST_MS_A_LETTER * letters))
    room = (limit if following is None else min(following, limit)) - start
    nth = together.index(index)
    begin = start + room * nth // len(together)
    return begin, max(start + room * (nth + 1) // len(together), begin + 1)


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
