"""Real songs in a folder, with word times in whatever format their makers chose.

One song a group of files with one stem, in the folder or below it::

    songs/
      Harbour Lights.flac            the mix: wav, aiff, flac, mp3, m4a, ogg
      Harbour Lights.lrc             its words with times, one of:
                                       .lrc       enhanced LRC (<mm:ss.xx> before each word)
                                       .ttml .ultrastar, or .txt in UltraStar's form
                                       .TextGrid  Praat, an interval tier of words (and of lines)
                                       .csv       JamendoLyrics: word_start, word_end[, line_end]
                                       .json      karaoke-json, or a list of lines of words, or of
                                                  words: {text, startMs, endMs} or {text, start,
                                                  end} in seconds
      Harbour Lights.words.txt       for .csv without a word column: one word a line
      Harbour Lights.vocals.flac     the true voice, where there is one (for the SDR)
      Harbour Lights.lang            language, e.g. ``en``; or LANGUAGE as the folder's name

Words without an end are fine; lines that the times do not tell are cut at pauses of a second.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from schemas.documents.formats import READ, guess
from schemas.documents.karaoke import KaraokeDocument
from tests.eval.pieces import Piece, TrueWord

_SOUND = (".wav", ".aiff", ".aif", ".flac", ".mp3", ".m4a", ".ogg", ".opus")
_TIMES = (".json", ".lrc", ".ttml", ".textgrid", ".csv", ".ultrastar", ".txt")
_PAUSE_MS = 1_000
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]+)*")

Lines = list[list[TrueWord]]


class NoDataset(ValueError):
    """The folder, or a file of it, is not what this module's words describe."""


def pieces(folder: Path) -> Iterator[Piece]:
    """The songs of a folder, by name. Raises `NoDataset`."""
    found = False
    for mix in sorted(folder.rglob("*")):
        if mix.suffix.lower() not in _SOUND or mix.stem.endswith(".vocals"):
            continue
        times = _beside(mix, _TIMES)
        if times is None:
            continue
        found = True
        lines = read(times)
        voice = _beside(mix, tuple(f".vocals{suffix}" for suffix in _SOUND))
        yield Piece(
            name=str(mix.relative_to(folder).with_suffix("")),
            language=_language(mix, folder),
            mix=mix,
            lines=tuple(tuple(line) for line in lines),
            vocals=voice,
        )
    if not found:
        raise NoDataset(
            f"'{folder}' has no audio file with word times beside it; see tests/eval/dataset.py"
        )


def read(path: Path) -> Lines:
    """Lines of words with their times. Raises `NoDataset`."""
    try:
        words = _READERS.get(path.suffix.lower(), _timed)(path)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise NoDataset(f"'{path}' cannot be read as word times: {error}") from error
    if not any(words):
        raise NoDataset(f"'{path}' has no word with a time")
    return words


def _beside(mix: Path, suffixes: Iterable[str]) -> Path | None:
    names = {path.name.lower(): path for path in mix.parent.iterdir() if path != mix}
    for suffix in suffixes:
        path = names.get(f"{mix.stem.lower()}{suffix}")
        if path is not None:
            return path
    return None


def _language(mix: Path, folder: Path) -> str:
    told = mix.with_name(f"{mix.stem}.lang")
    if told.is_file():
        return told.read_text("utf-8").strip()
    above = mix.parent.name if mix.parent != folder else folder.name
    return above if _LANGUAGE.fullmatch(above) and len(above) <= 5 else ""


def _timed(path: Path) -> Lines:
    """LRC, UltraStar and TTML, by the product's own readers."""
    text = path.read_text("utf-8-sig")
    document = READ[guess(text)](text).document(language="", locked=False)
    return [
        [
            TrueWord(word.text, word.start_ms, word.end_ms)
            for word in line.words
            if word.start_ms is not None
        ]
        for line in document.lines
    ]


def _textgrid(path: Path) -> Lines:
    """Praat's long and short text formats: intervals of the tier whose name says words."""
    raw = path.read_bytes()
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    tokens = re.findall(r'"(?:[^"]|"")*"|[-+]?\d+(?:\.\d+)?(?:e-?\d+)?', raw.decode(encoding))
    tiers: dict[str, list[tuple[float, float, str]]] = {}
    at = tokens.index('"IntervalTier"')
    while at < len(tokens):
        if tokens[at] != '"IntervalTier"':
            at += 1
            continue
        name = tokens[at + 1].strip('"').lower()
        rest = tokens[at + 4 :]  # behind the name: from, to, number of intervals
        number = next(i for i, token in enumerate(rest) if token.isdigit())
        rows, place = [], at + 4 + number + 1
        for _ in range(int(rest[number])):
            numbers = []
            while not tokens[place].startswith('"'):
                numbers.append(float(tokens[place]))
                place += 1
            rows.append((numbers[-2], numbers[-1], tokens[place][1:-1].replace('""', '"').strip()))
            place += 1
        tiers[name], at = rows, place
    words = next((rows for name, rows in tiers.items() if "word" in name), None)
    if words is None:
        words = next(iter(tiers.values()))
    spoken = [TrueWord(t, _ms(a), _ms(b)) for a, b, t in words if t and t not in ("sil", "sp", "_")]
    lines = next((rows for name, rows in tiers.items() if "line" in name), None)
    if lines is None:
        return _at_pauses(spoken)
    cut = [[w for w in spoken if _ms(a) <= w.start_ms < _ms(b)] for a, b, text in lines if text]
    return [line for line in cut if line]


def _jamendo(path: Path) -> Lines:
    """JamendoLyrics: a row a word, seconds; ``line_end`` stands with the last word of a line."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    column = next((name for name in ("word", "text") if rows and name in rows[0]), None)
    if column is not None:
        texts = [row[column] for row in rows]
    else:
        texts = path.with_name(f"{path.stem}.words.txt").read_text("utf-8").split()
    lines: Lines = [[]]
    for row, text in zip(rows, texts, strict=True):
        end = row.get("word_end") or ""
        start_ms = _ms(float(row["word_start"]))
        lines[-1].append(TrueWord(text.strip(), start_ms, _ms(float(end)) if end else None))
        if (row.get("line_end") or "").strip() not in ("", "nan"):
            lines.append([])
    lines = [line for line in lines if line]
    return lines if len(lines) > 1 else _at_pauses(lines[0])


def _json(path: Path) -> Lines:
    found: Any = json.loads(path.read_text("utf-8-sig"))
    if isinstance(found, dict) and str(found.get("schema", "")).startswith("karaoke/"):
        lines = KaraokeDocument.from_json(path.read_bytes()).lines
        return [
            [TrueWord(w.text, w.start_ms, w.end_ms) for w in line.words if w.start_ms is not None]
            for line in lines
        ]
    if isinstance(found, dict):
        found = found["lines"] if "lines" in found else found["words"]
    if found and isinstance(found[0], dict) and "words" not in found[0]:
        return _at_pauses([_word(each) for each in found])
    return [
        [_word(each) for each in (line["words"] if isinstance(line, dict) else line)]
        for line in found
    ]


def _word(wire: dict[str, Any]) -> TrueWord:
    text = str(wire.get("text", wire.get("word", ""))).strip()
    if "startMs" in wire:
        end = wire.get("endMs")
        return TrueWord(text, round(wire["startMs"]), None if end is None else round(end))
    end = wire.get("end")
    return TrueWord(text, _ms(wire["start"]), None if end is None else _ms(end))


def _at_pauses(words: list[TrueWord]) -> Lines:
    lines: Lines = []
    reached = -_PAUSE_MS
    for word in words:
        if not lines or word.start_ms - reached >= _PAUSE_MS:
            lines.append([])
        lines[-1].append(word)
        reached = max(word.start_ms, word.end_ms or 0)
    return lines


def _ms(seconds: float) -> int:
    return round(1000 * float(seconds))


_READERS = {".textgrid": _textgrid, ".csv": _jamendo, ".json": _json}
