"""LRC: a line and the moment it starts, which every player reads."""

from __future__ import annotations

from schemas.documents.karaoke import KaraokeDocument


def to_lrc(karaoke: KaraokeDocument, *, title: str = "", artist: str = "") -> str:
    """The song as LRC: tags, then ``[mm:ss.xx]text`` in the order of time.

    Times are rounded down to the hundredth: early is easier to sing to than late. A line that
    could not be placed follows the line before it, so that no words are lost.
    """
    minutes, seconds = divmod(round(karaoke.duration_ms / 1000), 60)
    tags = {"ti": title, "ar": artist, "la": karaoke.language, "length": f"{minutes}:{seconds:02}"}
    head = [f"[{tag}:{_one_line(value)}]" for tag, value in tags.items() if value]
    timed: list[tuple[int, str]] = []
    reached = 0
    for line in karaoke.lines:
        reached = reached if line.start_ms is None else line.start_ms
        timed.append((reached, line.text))
    body = [f"[{_stamp(start)}]{text}" for start, text in sorted(timed, key=lambda pair: pair[0])]
    return "\n".join((*head, *body)) + "\n"


def _stamp(ms: int) -> str:
    minutes, rest = divmod(ms // 10, 6000)
    return f"{minutes:02}:{rest // 100:02}.{rest % 100:02}"


def _one_line(text: str) -> str:
    return " ".join(text.replace("]", ")").split())
