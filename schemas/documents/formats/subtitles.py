"""SRT and WebVTT: a cue a line, to the millisecond; WebVTT with a time stamp before every word.

Sources: the W3C's WebVTT recommendation; SRT has no standard, this is what VLC and mpv read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from schemas.documents.formats.cues import About, Cue, cues, label, several_singers
from schemas.documents.formats.stamps import clock
from schemas.documents.karaoke import Karaoke

_VTT_STYLE = "STYLE\n::cue(:past) { color: yellow }\n::cue(:future) { color: white }"
"""A player that knows the CSS extensions lights up what was sung."""


def to_srt(karaoke: Karaoke, about: About) -> str:
    """The song as SRT. ``about`` has no place in it."""
    blocks = [
        f"{number}\n{clock(cue.start_ms, ',')} --> {clock(cue.end_ms, ',')}\n"
        + "\n".join(_plain(row) for row in cue.rows)
        for number, cue in enumerate(cues(karaoke), start=1)
    ]
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _plain(row: str) -> str:
    """A row in which no player finds markup, times or nothing at all: SRT has no escapes."""
    row = re.sub(r"(?<=\d):(?=\d+:\d+[,.]\d)", "∶", row)
    row = row.replace("-->", "→").replace("<", "‹").replace("{\\", "(\\")
    return row.strip() or "♪"


def to_webvtt(karaoke: Karaoke, about: About) -> str:
    """The song as WebVTT: voices where there are several singers, a stamp before each word."""
    found = cues(karaoke)
    names = {singer.id: label(singer.name) or singer.id for singer in karaoke.singers}
    voices = names if len(several_singers(found)) > 1 else {}
    header = " - ".join(filter(None, (label(about.artist), label(about.title))))
    head = f"WEBVTT {header}".replace("-->", "→").strip()
    blocks = [head, _VTT_STYLE]
    for cue in found:
        voice = voices.get(cue.singer)
        opening = f"<v {_escaped(voice)}>" if voice else ""
        rows = [_escaped(row) for row in cue.before]
        rows.append(opening + "".join(_stamped(cue)))
        rows += [_escaped(row) for row in cue.after]
        times = f"{clock(cue.start_ms)} --> {clock(cue.end_ms)}"
        blocks.append("\n".join((_identifier(cue.line_id), times, *rows)))
    return "\n\n".join(blocks) + "\n"


def _stamped(cue: Cue) -> Iterator[str]:
    reached = cue.start_ms
    for piece in cue.pieces:
        # Stamps must lie inside the cue and grow (WebVTT, section 4.2.2).
        if reached < piece.start_ms < cue.end_ms:
            yield f"<{clock(piece.start_ms)}>"
            reached = piece.start_ms
        yield _escaped(piece.text + piece.sep)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _identifier(id_: str) -> str:
    return label(id_).replace("-->", "→") or "line"
