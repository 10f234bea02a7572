"""UltraStar TXT: notes on a grid of beats, a pitch each, what singing games read.

A beat is a quarter of the tempo's: ``15000 / BPM`` ms. The tempo is a ruler, not the song's: the
slowest of `TEMPOS` on which no time moves by more than `TOLERANCE_MS`. Source: the UltraStar Song
Format 1.1.0 (usdx.eu/format).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from schemas.documents.formats.cues import About, Cue, cues, label, several_singers
from schemas.documents.formats.timed import (
    MAX_MS,
    MAX_PIECES,
    Sung,
    TimedLine,
    TimedLyrics,
    UnreadableLyrics,
)
from schemas.documents.karaoke import Karaoke

TEMPOS = (300, 375, 400, 500, 600, 750, 1500)
"""Tempos to choose from, BPM: beats of 50, 40, 37.5, 30, 25, 20 and 10 ms."""

TOLERANCE_MS = 5
"""Farthest that a time may move: half a beat of the fastest tempo, half a frame of alignment."""

C4 = 60
"""MIDI number of UltraStar's pitch 0."""

_MS_A_MINUTE_OF_BEATS = 15_000  # 60,000 ms, four beats to each of the tempo's
_MOST_VOICES = 9

_LANGUAGES = {
    "de": "German", "en": "English", "es": "Spanish", "fr": "French", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese",
    "ru": "Russian", "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian", "zh": "Chinese",
}  # fmt: skip
"""UltraStar names languages in English."""


def to_ultrastar(karaoke: Karaoke, about: About, pitches: Mapping[str, int] | None = None) -> str:
    """The song as UltraStar TXT.

    ``pitches`` are MIDI notes by word id. A word without one is a freestyle note (``F``), which
    games show and do not score: better than a pitch that nobody sang.
    """
    found = cues(karaoke)
    times = [ms for cue in found for piece in cue.pieces for ms in (piece.start_ms, piece.end_ms)]
    gap = min(times, default=0)
    tempo = _tempo([ms - gap for ms in times])
    grid = _Grid(gap, tempo, pitches or {})
    names = {singer.id: label(singer.name) for singer in karaoke.singers}
    singers = several_singers(found)
    voices = singers[:_MOST_VOICES] if len(singers) > 1 else []
    file = label(" - ".join(filter(None, (about.artist, about.title)))) or "song"
    head = {
        "VERSION": "1.1.0",
        "TITLE": label(about.title) or "Unknown",
        "ARTIST": label(about.artist) or "Unknown",
        "LANGUAGE": _LANGUAGES.get(karaoke.language.partition("-")[0].lower(), ""),
        "MP3": f"{file}.mp3",
        "AUDIO": f"{file}.mp3",
        **{f"P{n}": names.get(singer) or f"Singer {n}" for n, singer in enumerate(voices, 1)},
        "BPM": str(tempo),
        "GAP": str(gap),
    }
    rows = [f"#{name}:{value}" for name, value in head.items() if value]
    if voices:
        for number, singer in enumerate(voices, start=1):
            last = number == len(voices)
            own = [
                cue for cue in found if cue.singer == singer or (last and cue.singer not in voices)
            ]
            rows += [f"P{number}", *grid.notes(own)]
    else:
        rows += grid.notes(found)
    return "\n".join((*rows, "E")) + "\n"


def _tempo(times: list[int]) -> int:
    def moved(ms: int, tempo: int) -> float:
        beat = _MS_A_MINUTE_OF_BEATS / tempo
        return abs(round(ms / beat) * beat - ms)

    for tempo in TEMPOS:
        if all(moved(ms, tempo) <= TOLERANCE_MS for ms in times):
            return tempo
    return TEMPOS[-1]


@dataclass(frozen=True, slots=True)
class _Grid:
    gap_ms: int
    tempo: int
    pitches: Mapping[str, int]

    def _beat(self, ms: int) -> int:
        return round((ms - self.gap_ms) * self.tempo / _MS_A_MINUTE_OF_BEATS)

    def notes(self, found: list[Cue]) -> Iterator[str]:
        """Note rows of one voice, a line end between lines."""
        reached = 0
        for index, cue in enumerate(found):
            if index:
                # the next line shows when the last one ends, two beats of air kept if there are
                start = max(reached, self._beat(cue.start_ms))
                yield f"- {max(reached, min(start, reached + 2))}"
            rows = [" ".join(cue.before), *("" for _ in cue.pieces)]
            for number, piece in enumerate(cue.pieces):
                start = max(reached, self._beat(piece.start_ms))
                end = max(start + 1, self._beat(piece.end_ms))
                reached = end
                text = piece.text + piece.sep
                if number == 0 and rows[0]:
                    text = f"{rows[0]} {text}"
                if number == len(cue.pieces) - 1:
                    text = " ".join((text, *cue.after))
                pitch = self.pitches.get(piece.word_id)
                kind, tone = ("F", 0) if pitch is None else (":", pitch - C4)
                yield f"{kind} {start} {end - start} {tone} {_one_note(text)}"


def _one_note(text: str) -> str:
    """Note text. A lone tilde would prolong the note before; nothing else is the format's own
    once the text stands behind three numbers.
    """
    return "∼" if text.strip() == "~" else text


def looks_like_ultrastar(text: str) -> bool:
    """True for a header with a tempo and at least one note."""
    return bool(
        re.search(r"(?im)^\ufeff?#BPM\s*:", text)
        and re.search(r"(?m)^[:*FRG]\s*-?\d+\s+\d+\s", text)
    )


_HEADER = re.compile(r"#([A-Za-z0-9]{1,30})\s*:(.*)")
_NOTE = re.compile(r"([:*FRG])\s*(-?\d{1,9})\s+(\d{1,9})\s+(-?\d{1,9})(?: (.*))?")
_BREAK = re.compile(r"-\s*(-?\d{1,9})(?:\s+(-?\d{1,9}))?\s*")
_VOICE = re.compile(r"P\s?([1-9])\s*")


@dataclass(slots=True)
class _Reading:
    """Where reading stands."""

    beat_ms: float = 0.0
    gap_ms: float = 0.0
    base: int = 0  # beats that a relative file counts from
    singer: str | None = None
    pieces: list[Sung] = field(default_factory=list)
    lines: list[TimedLine] = field(default_factory=list)

    def ms(self, beat: int) -> int:
        return max(0, round(self.gap_ms + (self.base + beat) * self.beat_ms))

    def end_line(self) -> None:
        if self.pieces:
            self.lines.append(TimedLine(tuple(self.pieces), self.singer))
            self.pieces = []


def from_ultrastar(text: str) -> TimedLyrics:
    """Read UltraStar TXT, duets and relative files included.

    Raises `UnreadableLyrics` for a tempo that is none and for rows that mean nothing.
    """
    head: dict[str, str] = {}
    state = _Reading()
    count = 0
    for number, row in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        if not row.strip():
            continue
        if header := _HEADER.fullmatch(row.strip()):
            head[header[1].upper()] = header[2].strip()
        elif row.strip() == "E":
            break
        elif voice := _VOICE.fullmatch(row):
            state.end_line()
            state.singer, state.base = _singer(head, voice[1]), 0
        elif note := _NOTE.fullmatch(row):
            if not state.beat_ms:
                state.beat_ms, state.gap_ms = _beat_ms(head), _number(head, "GAP", 0.0)
            count += 1
            if count > MAX_PIECES:
                raise UnreadableLyrics(f"the UltraStar file holds more than {MAX_PIECES} notes")
            _add(state, note, number)
        elif line_end := _BREAK.fullmatch(row):
            state.end_line()
            if head.get("RELATIVE", "").upper() == "YES":
                state.base += int(line_end[2] or line_end[1])
        else:
            raise UnreadableLyrics(
                f"line {number} of the UltraStar file is no note, line end or tag: '{row[:40]}'"
            )
    state.end_line()
    if not state.lines:
        raise UnreadableLyrics("the UltraStar file holds no notes with words")
    language = head.get("LANGUAGE", "").strip().lower()
    return TimedLyrics(
        tuple(state.lines),
        word_times=True,
        language=next((code for code, name in _LANGUAGES.items() if name.lower() == language), ""),
        title=head.get("TITLE", ""),
        artist=head.get("ARTIST", ""),
    )


def _add(state: _Reading, note: re.Match[str], number: int) -> None:
    begin, length, words = int(note[2]), int(note[3]), note[5] or ""
    start, end = state.ms(begin), state.ms(begin + length)
    if end > MAX_MS:
        raise UnreadableLyrics(
            f"the note in line {number} ends {end // 60_000} minutes into the song:"
            " check #BPM and #GAP"
        )
    if words.strip() == "~" and state.pieces:  # the vowel before goes on, on another pitch
        before = state.pieces[-1]
        text = before.text + (" " if words.endswith(" ") else "")
        state.pieces[-1] = Sung(text, before.start_ms, max(end, before.end_ms or end))
    elif words.strip():
        state.pieces.append(Sung(words, start, max(end, start + 1)))


def _singer(head: Mapping[str, str], number: str) -> str:
    named = head.get(f"P{number}") or head.get(f"DUETSINGERP{number}")
    return label(named or "") or f"Singer {number}"


def _beat_ms(head: Mapping[str, str]) -> float:
    tempo = _number(head, "BPM", 0.0)
    if not 1 <= tempo <= 10_000:
        raise UnreadableLyrics(
            f"#BPM is '{head.get('BPM', '')[:20]}': a tempo of 1 to 10000 has to come first"
        )
    return _MS_A_MINUTE_OF_BEATS / tempo


def _number(head: Mapping[str, str], name: str, default: float) -> float:
    """A number of the header; many files write a decimal comma."""
    value = head.get(name, "").replace(",", ".")
    if not value:
        return default
    if not re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", value):
        raise UnreadableLyrics(f"#{name} is '{value[:20]}', which is no number")
    return float(value)
