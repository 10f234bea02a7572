r"""Advanced SubStation Alpha with ``\kf`` karaoke, as libass, Aegisub and video players read it.

Lines come up before they are sung and take turns on two rows, so that the next one can be read
while the present one is sung. Each singer has a style; the second sings at the top. Times are
hundredths of a second; durations are differences of rounded times, so that errors never add up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.documents.formats.cues import About, Cue, cues, label, right_to_left, several_singers
from schemas.documents.karaoke import Karaoke

WIDTH, HEIGHT = 1280, 720
"""The picture that positions and font sizes are written for; players scale them to theirs."""

LEAD_MS = 4_000
"""A line shows up this long before it is sung, if its row is free: time to read it once."""

LINGER_MS = 400
"""A line stays this long after its last word, so that an end is not a cut."""

_TURN_MS = 5_000
"""After a break this long a new verse begins on the upper row."""

_FONT = "DejaVu Sans"  # covers Latin, Cyrillic, Greek, Arabic and Hebrew; players replace it freely
_SIZE = 54  # px of 720: about 40 letters a row
_LETTERS = 38  # that fit on a row at this size; longer lines are set smaller
_SMALLEST = 34
_ROWS = (138, 60)  # px from the edge: first the row that is read first
_SUNG = ("&H0030C8FF", "&H00FFB45A", "&H0078E678", "&H00C88CFF")  # amber, blue, green, pink (BGR)
_UNSUNG = "&H00FFFFFF"

_CAPTION = "Style: Caption,{font},48,&H00FFFFFF,&H00FFFFFF,&H00101010,&H80000000," + (
    "1,0,0,0,100,100,0,0,1,3,1,5,40,40,40,1"
)
_FADE_MS = 250  # of a caption, in and out: quick enough for a count of seconds

_STYLE = (
    "Style: {name},{font},{size},{sung},{unsung},&H00101010,&H80000000,"
    "1,0,0,0,100,100,0,0,1,3,1,{place},40,40,60,1"
)
_HEAD = """[Script Info]
; {about}
Title: {title}
ScriptType: v4.00+
PlayResX: {width}
PlayResY: {height}
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
{styles}

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass(frozen=True, slots=True)
class Caption:
    """Text in the middle of the picture beside the lyrics: a title, a count.

    ``size`` and ``y`` (of its middle, from the top) are px of a picture `HEIGHT` px high.
    """

    start_ms: int
    end_ms: int
    text: str
    size: int
    y: int


def to_ass(karaoke: Karaoke, about: About, *, captions: Sequence[Caption] = ()) -> str:
    """The song as ASS, with ``captions`` over it."""
    found = cues(karaoke)
    singers = several_singers(found) or [singer.id for singer in karaoke.singers[:1]]
    styles = {singer: f"Singer{number}" for number, singer in enumerate(singers, start=1)}
    names = {singer.id: label(singer.name) for singer in karaoke.singers}
    head = _HEAD.format(
        about="karaoke",
        title=label(" - ".join(filter(None, (about.artist, about.title)))) or "Karaoke",
        width=WIDTH,
        height=HEIGHT,
        styles="\n".join(
            _STYLE.format(
                name=style,
                font=_FONT,
                size=_SIZE,
                sung=_SUNG[number % len(_SUNG)],
                unsung=_UNSUNG,
                place=8 if number % 2 else 2,  # odd singers at the top, so that duets don't collide
            )
            for number, style in enumerate(styles.values())
        ),
    )
    if captions:
        head = head.replace("\n\n[Events]", "\n" + _CAPTION.format(font=_FONT) + "\n\n[Events]")
    events = [(caption.start_ms // 10, _captioned(caption)) for caption in captions]
    for place in (0, 1):  # bottom and top of the picture
        own = [cue for cue in found if singers.index(cue.singer) % 2 == place]
        for cue, row, begin, stop in _rows(own, top=place == 1):
            name = names.get(cue.singer, "").replace(",", " ")
            text = _text(cue, begin)
            events.append(
                (
                    begin,
                    f"Dialogue: 0,{_stamp(begin)},{_stamp(stop)},{styles[cue.singer]},"
                    f"{name},0,0,{row},,{text}",
                )
            )
    events.sort(key=lambda pair: pair[0])
    return head + "".join(f"{text}\n" for _, text in events)


def _captioned(caption: Caption) -> str:
    size = min(caption.size, WIDTH * 3 // 2 // max(1, len(caption.text)))  # so that it fits a row
    look = f"{{\\pos({WIDTH // 2},{caption.y})\\fs{size}\\fad({_FADE_MS},{_FADE_MS})}}"
    begin, stop = _stamp(caption.start_ms // 10), _stamp(-(-caption.end_ms // 10))
    return f"Dialogue: 1,{begin},{stop},Caption,,0,0,0,,{look}{_escaped(label(caption.text))}"


def _rows(found: list[Cue], *, top: bool) -> Iterator[tuple[Cue, int, int, int]]:
    """Cues with their row (its margin, px) and when they are shown, in hundredths of a second."""
    margins = tuple(reversed(_ROWS)) if top else _ROWS
    free = [0, 0]
    row, reached = 1, 0
    for index, cue in enumerate(found):
        row = 0 if cue.start_ms - reached >= _TURN_MS else 1 - row
        reached = max(reached, cue.end_ms)
        if free[row] > cue.start_ms and free[1 - row] < free[row]:
            row = 1 - row  # the same place's singers overlap: take the row that is free first
        begin = min(cue.start_ms, max(free[row], cue.start_ms - LEAD_MS, 0))
        stop = cue.end_ms + LINGER_MS
        after = [later.start_ms for later in found[index + 1 :][:2]]
        if len(after) == 2 and after[1] > cue.end_ms:
            stop = min(stop, after[1])  # the next line but one wants the row
        free[row] = stop
        yield cue, margins[row], begin // 10, -(-stop // 10)


def _text(cue: Cue, begin: int) -> str:
    longest = max(len(row) for row in cue.rows)
    parts: list[str] = []
    if longest > _LETTERS:
        parts.append(f"{{\\fs{max(_SMALLEST, _SIZE * _LETTERS // longest)}}}")
    if right_to_left(cue.text):
        parts.append("{\\fe-1}")  # libass: the line's direction follows its first letter
    parts += [f"{_escaped(row)}\\N" for row in cue.before]
    reached = begin
    sep = ""
    for piece in cue.pieces:
        start, end = round(piece.start_ms / 10), round(piece.end_ms / 10)
        if start > reached:
            parts.append(f"{{\\k{start - reached}}}")
        # A sweep runs from left to right whatever the script: such a word lights up at once.
        kind = "k" if right_to_left(piece.text) else "kf"
        # The space before a word belongs to the rest before it.
        parts.append(f"{_escaped(sep)}{{\\{kind}{max(0, end - max(start, reached))}}}")
        parts.append(_escaped(piece.text))
        reached, sep = max(reached, end), piece.sep
    parts.append(_escaped(sep))
    parts += [f"\\N{_escaped(row)}" for row in cue.after]
    return "".join(parts)


def _escaped(text: str) -> str:
    """Braces open overrides and a backslash breaks lines in some players however one writes them:
    their full-width twins look the same and mean nothing.
    """
    return re.sub(r"[{}\\]", lambda match: {"{": "｛", "}": "｝"}.get(match[0], "＼"), text)


def _stamp(hundredths: int) -> str:
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02}:{rest // 100:02}.{rest % 100:02}"
