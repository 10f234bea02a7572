"""TTML as music players read it: a ``p`` a line, a ``span`` a word, an agent a singer.

Times are to the millisecond and all of them count from the start of the song, those of spans
too: so Apple Music and its kin have it (``itunes:timing="Word"``), where TTML 1, section 10.4,
would have a span count from its paragraph. A file that does is recognised on reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser
from xml.sax.saxutils import escape, quoteattr

from schemas.documents.formats.cues import About, Cue, cues, label, several_singers
from schemas.documents.formats.stamps import clock
from schemas.documents.formats.timed import Sung, TimedLine, TimedLyrics, UnreadableLyrics
from schemas.documents.karaoke import Karaoke

TT = "http://www.w3.org/ns/ttml"
TTM = "http://www.w3.org/ns/ttml#metadata"
ITUNES = "http://music.apple.com/lyric-ttml-internal"
XML = "http://www.w3.org/XML/1998/namespace"

_MAX_DEPTH = 32
"""Nested deeper is no lyrics file: ``tt/body/div/p/span/span`` is what there is."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # the ASCII part of XML's NCName


def to_ttml(karaoke: Karaoke, about: About) -> str:
    """The song as TTML."""
    found = cues(karaoke)
    agents = {singer: f"v{n}" for n, singer in enumerate(several_singers(found), start=1)}
    names = {singer.id: label(singer.name) for singer in karaoke.singers}
    head = [f"<ttm:title>{_text(label(about.title))}</ttm:title>"] if label(about.title) else []
    for singer, agent in agents.items():
        name = names.get(singer, "")
        inner = f'<ttm:name type="full">{_text(name)}</ttm:name>' if name else ""
        head.append(f'<ttm:agent type="person" xml:id="{agent}">{inner}</ttm:agent>')
    language = f" xml:lang={quoteattr(_clean(karaoke.language))}"
    paragraphs = "\n".join(_paragraph(cue, agents[cue.singer]) for cue in found)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<tt xmlns="{TT}" xmlns:ttm="{TTM}" xmlns:itunes="{ITUNES}" itunes:timing="Word"'
        f"{language}>\n<head><metadata>{''.join(head)}</metadata></head>\n"
        f'<body dur="{clock(karaoke.duration_ms)}"><div>\n{paragraphs}\n</div></body>\n</tt>\n'
    )


def _paragraph(cue: Cue, agent: str) -> str:
    rows = [_text(row) + "<br/>" for row in cue.before]
    for piece in cue.pieces:
        times = f'begin="{clock(piece.start_ms)}" end="{clock(piece.end_ms)}"'
        rows.append(f"<span{_id(piece.word_id)} {times}>{_text(piece.text)}</span>")
        rows.append(_text(piece.sep))
    rows += ["<br/>" + _text(row) for row in cue.after]
    times = f'begin="{clock(cue.start_ms)}" end="{clock(cue.end_ms)}"'
    key = f"itunes:key={quoteattr(_clean(cue.line_id))}"
    return (
        f'<p{_id(cue.line_id)} {times} {key} ttm:agent="{agent}" xml:space="preserve">'
        f"{''.join(rows)}</p>"
    )


def _id(id_: str) -> str:
    return f' xml:id="{id_}"' if _NAME.fullmatch(id_) else ""


def _text(text: str) -> str:
    return escape(_clean(text))


def _clean(text: str) -> str:
    """Without what XML 1.0 (section 2.2) cannot hold even escaped."""
    return "".join(char for char in text if ord(char) >= 0x20 and ord(char) not in (0xFFFE, 0xFFFF))


def looks_like_ttml(text: str) -> bool:
    """True for an XML document that has TTML's root."""
    head = text.lstrip("\ufeff \t\r\n")[:4000]
    return head.startswith("<") and re.search(r"<(?:\w+:)?tt[\s>]", head) is not None


def from_ttml(text: str) -> TimedLyrics:
    """Read TTML. Raises `UnreadableLyrics`; documents with a DTD are refused, whatever is in it."""
    root = _tree(text.lstrip("\ufeff \t\r\n"))
    if root.tag not in (f"{{{TT}}}tt", "tt"):
        raise UnreadableLyrics("the XML document is no TTML: its root is not tt")
    names = _agents(root)
    relative = _counts_from_paragraph(root)
    lines: list[TimedLine] = []
    word_times = False
    for paragraph in _all(root, "p"):
        begin, end = _begin(paragraph), _end(paragraph)
        shift = (begin or 0) if relative else 0
        pieces = list(_pieces(paragraph, shift, (None, None)))
        timed = any(piece.start_ms is not None for piece in pieces)
        word_times = word_times or timed
        if not timed and begin is not None:
            close = end if end is not None and end > begin else begin + 2_000
            pieces = [Sung("".join(piece.text for piece in pieces), begin, close)]
        singer = names.get(_attribute(paragraph, "agent") or "")
        lines.append(TimedLine(tuple(pieces), singer))
    if not lines:
        raise UnreadableLyrics("the TTML document holds no p with words")
    title = next((one.text or "" for one in _all(root, "title")), "")
    return TimedLyrics(
        tuple(lines), word_times, language=root.get(f"{{{XML}}}lang", ""), title=title.strip()
    )


class _Bounded(TreeBuilder):
    """A tree without document types, and so without entities, and not too deep to walk."""

    depth = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called before anything in the DTD could be expanded."""
        raise UnreadableLyrics("the TTML document has a DOCTYPE: remove it, lyrics need none")

    def start(self, tag: Any, attrs: Any, /) -> Element:
        """See `TreeBuilder.start`."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise UnreadableLyrics(f"the TTML document is nested deeper than {_MAX_DEPTH} elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        """See `TreeBuilder.end`."""
        self.depth -= 1
        return super().end(tag)


def _tree(text: str) -> Element:
    # S314 is about entities: `_Bounded` refuses any document that could declare one.
    parser = XMLParser(target=_Bounded())  # noqa: S314
    try:
        # the text is decoded: what encoding the declaration names no longer counts
        parser.feed(re.sub(r"^<\?xml[^>]*\?>", "", text).encode("utf-8", "replace"))
        root: Element = parser.close()
    except ParseError as error:
        line, column = error.position
        raise UnreadableLyrics(
            f"the TTML document stops being XML in line {line}, column {column + 1}"
        ) from None
    return root


def _all(root: Element, name: str) -> Iterator[Element]:
    return (one for one in root.iter() if one.tag.rpartition("}")[2] == name)


def _attribute(element: Element, name: str) -> str | None:
    return next(
        (value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), None
    )


def _agents(root: Element) -> dict[str, str]:
    """Agents' names by id; only when there are several, for one needs no name to tell it apart."""
    found: dict[str, str] = {}
    for agent in _all(root, "agent"):
        name = next((one.text or "" for one in _all(agent, "name")), "")
        id_ = agent.get(f"{{{XML}}}id", "")
        found[id_] = label(name) or f"Singer {len(found) + 1}"
    named = any(name != f"Singer {n}" for n, name in enumerate(found.values(), start=1))
    return found if named or len(found) > 1 else {}


def _counts_from_paragraph(root: Element) -> bool:
    """True when spans count from their paragraph: some would else start before it does."""
    if any(key.startswith(f"{{{ITUNES}}}") for key in root.attrib):
        return False
    for paragraph in _all(root, "p"):
        begin = _begin(paragraph)
        for span in _all(paragraph, "span"):
            start = _begin(span)
            if begin is not None and start is not None and start < begin:
                return True
    return False


def _pieces(element: Element, shift: int, times: tuple[int | None, int | None]) -> Iterator[Sung]:
    """The text under an element: what a span times is timed, what lies between is not."""
    if element.text:
        yield Sung(_unindented(element.text), *times)
    for child in element:
        name = child.tag.rpartition("}")[2]
        if name == "br":
            yield Sung(" ")
        elif name == "span" and _attribute(child, "role") not in ("x-translation", "x-roman"):
            begin, end = _begin(child), _end(child)
            if begin is None:
                inner = times
            else:
                inner = begin + shift, (begin + 1 if end is None else max(end, begin + 1)) + shift
            yield from _pieces(child, shift, inner)
        if child.tail:
            yield Sung(_unindented(child.tail), *times)


def _unindented(text: str) -> str:
    """A line break of the XML file is a space between words."""
    return re.sub(r"\s*\n\s*", " ", text)


_CLOCK = re.compile(r"(?:(\d{1,3}):)?(?:(\d{1,4}):)?(\d{1,6}(?:\.\d{1,9})?)")
_OFFSET = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(h|m|s|ms)")
_UNIT_MS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def _time(value: str | None) -> int | None:
    """A TTML time in ms; seconds without a unit are Apple's."""
    if value is None:
        return None
    value = value.strip()
    if offset := _OFFSET.fullmatch(value):
        return round(float(offset[1]) * _UNIT_MS[offset[2]])
    if match := _CLOCK.fullmatch(value):
        hours, minutes = (match[1], match[2]) if match[2] else (None, match[1])
        return round((int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(match[3])) * 1000)
    raise UnreadableLyrics(f"'{value[:40]}' is no time; write 00:01:02.345 or 62.345s")


def _begin(element: Element) -> int | None:
    return _time(_attribute(element, "begin"))


def _end(element: Element) -> int | None:
    end = _time(_attribute(element, "end"))
    if end is None:
        begin, lasts = _begin(element), _time(_attribute(element, "dur"))
        return None if begin is None or lasts is None else begin + lasts
    return end
