"""Songs whose truth is known: sung words over a synthesised band, with stems and word times.

``make(kind, seed)`` composes one; ``all()`` gives one of each kind. A seed decides key, tempo,
chords, melody, lyrics, singer, mix level and room, so that nobody tunes to one song. Songs are
kept in the user's cache folder under the hash of the code that makes them; making one is
deterministic and atomic, so that parallel tests may ask for the same one.

``python -m tests.songs --demo tools/demo`` writes the demo song again;
``python -m tests.songs --out DIR [--seed N]`` writes one of each kind to listen to.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import imageio_ffmpeg
import numpy as np
import soundfile

from processors.audio.samples import Audio
from tests import song_band, song_lyrics, song_voice
from tests.song_band import RATE, Harmony, Signal
from tests.song_voice import Note, SpokenWord, Voice

Kind = Literal["english", "english_break", "russian", "duet", "mono_mp3", "short"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_VOICES = {
    "en": (
        Voice("en-us", 110, 52),
        Voice("en-us+m3", 105, 50),
        Voice("en-us+f2", 160, 62),
        Voice("en-us+f4", 150, 60),
    ),
    "ru": (Voice("ru", 110, 52), Voice("ru+f2", 160, 62)),
}


@dataclass(frozen=True, slots=True)
class WordTruth:
    """A word and where it is heard, in milliseconds from the start of the song."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Song:
    """A finished song and everything that is true of it.

    ``mix`` equals ``vocals + backing`` to the last bit (the file of ``mono_mp3`` is lossy, its
    ``mix`` is what was encoded). ``singers`` has one name a line.
    """

    name: str
    language: str
    path: Path
    mix: Audio
    vocals: Audio
    backing: Audio
    lines: list[list[WordTruth]]
    singers: list[str]
    lyrics_text: str

    @property
    def words(self) -> list[WordTruth]:
        """All words in the order in which they are sung."""
        return [word for line in self.lines for word in line]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the score: what is sung in which bar by whom."""

    text: str
    bar: int
    singer: str


@dataclass(frozen=True, slots=True)
class _Score:
    language: str
    lines: tuple[_Line, ...]
    bars: int
    lead_bars: tuple[int, ...]


def all(seed: int = 0) -> list[Song]:  # noqa: A001 - reads as songs.all()
    """One song of each kind."""
    return [make(kind, seed) for kind in KINDS]


def make(kind: Kind, seed: int = 0) -> Song:
    """Compose a song, or take it from the cache."""
    folder = _cache() / f"{kind}-{seed}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _compose(kind, seed, draft)
            os.rename(draft, folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process finished the same song first
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return _load(kind, seed, folder)


@cache
def _cache() -> Path:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for part in ("songs.py", "song_band.py", "song_lyrics.py", "song_speech.py", "song_voice.py"):
        digest.update((here / part).read_bytes())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "melisma-songs" / digest.hexdigest()[:16]


def _load(kind: Kind, seed: int, folder: Path) -> Song:
    truth = json.loads((folder / "truth.json").read_text("utf-8"))
    return Song(
        name=f"{kind}-{seed}",
        language=truth["language"],
        path=folder / truth["file"],
        mix=_read(folder / "mix.flac"),
        vocals=_read(folder / "vocals.flac"),
        backing=_read(folder / "backing.flac"),
        lines=[[WordTruth(**word) for word in line] for line in truth["lines"]],
        singers=truth["singers"],
        lyrics_text=truth["lyrics"],
    )


def _read(path: Path) -> Audio:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return Audio(np.ascontiguousarray(samples.T), int(rate))


def _score(kind: Kind, random: np.random.Generator, bar_s: float) -> _Score:
    """Lay the lyrics out: a line takes two bars."""
    language = "ru" if kind == "russian" else "en"
    verses, choruses = song_lyrics.draw(language, random)
    if kind == "short":
        lines = [_Line(text, 2 * i, "a") for i, text in enumerate(verses[:2])]
        return _Score(language, tuple(lines), 4, ())
    if kind == "english_break":
        break_bars = int(np.ceil(12.0 / bar_s))
        texts = [*verses[:3], *choruses[:2]]
        lines = [_Line(text, 2 + 2 * i, "a") for i, text in enumerate(texts)]
        again = 12 + break_bars
        lines += [_Line(text, again + 2 * i, "a") for i, text in enumerate(choruses[:2])]
        return _Score(language, tuple(lines), again + 4, (0, 1, *range(12, again)))
    singers = "ababab" if kind == "duet" else "aaaaaa"
    count = {"duet": 6, "mono_mp3": 4}.get(kind, 5)
    texts = [*verses[: count - 2], *choruses[:2]]
    lines = [_Line(t, 2 + 2 * i, singers[i]) for i, t in enumerate(texts)]
    return _Score(language, tuple(lines), 2 + 2 * count, (0, 1))


def _compose(kind: Kind, seed: int, folder: Path) -> None:
    random = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    harmony = song_band.compose(random, (118, 126) if kind == "short" else (88, 112))
    score = _score(kind, random, harmony.bar_s)
    backing = song_band.play(harmony, score.bars, score.lead_bars, random)
    vocals, lines = _sing(score, harmony, backing.shape[1], random)

    if random.random() < 0.75:
        vocals += float(random.uniform(0.08, 0.2)) * song_band.reverb(vocals, 0.9, random)
    sung = np.abs(vocals).max(axis=0) > 0.02 * np.abs(vocals).max()
    # the voice of a pop mix sits a little below the band while it sings
    ratio_db = float(random.uniform(-4, 0))
    vocals *= 10 ** (ratio_db / 20) * _rms(backing[:, sung]) / _rms(vocals[:, sung])
    peak = np.abs(vocals + backing).max()
    vocals, backing = vocals * 0.89 / peak, backing * 0.89 / peak
    if kind == "mono_mp3":
        vocals, backing = (x.mean(axis=0, keepdims=True) for x in (vocals, backing))

    # stems on the 24-bit grid, so that their sum is exact in the file as well
    vocals, backing = (np.round(x * 2**23) / 2**23 for x in (vocals, backing))
    for name, sound in (("vocals", vocals), ("backing", backing), ("mix", vocals + backing)):
        soundfile.write(folder / f"{name}.flac", sound.T, RATE, subtype="PCM_24")
    file = "mix.flac"
    if kind == "mono_mp3":
        file = "mix.mp3"
        _encode_mp3(folder / "mix.flac", folder / file, "128k")
    truth = {
        "language": score.language,
        "file": file,
        "lines": [[asdict(word) for word in line] for line in lines],
        "singers": [line.singer for line in score.lines],
        "lyrics": "\n".join(line.text for line in score.lines) + "\n",
    }
    (folder / "truth.json").write_text(json.dumps(truth, ensure_ascii=False), "utf-8")


def _rms(sound: Signal) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def _sing(
    score: _Score, harmony: Harmony, frames: int, random: np.random.Generator
) -> tuple[Signal, list[list[WordTruth]]]:
    cast = list(_VOICES[score.language])
    order = random.permutation(len(cast))
    singers = sorted({line.singer for line in score.lines})
    voices = {s: cast[int(order[i])] for i, s in enumerate(singers)}
    places = {s: 0.0 if len(singers) == 1 else (-0.2, 0.2)[i] for i, s in enumerate(singers)}
    spoken: dict[tuple[str, str], SpokenWord] = {}
    for singer, voice in voices.items():
        texts = sorted({w for ln in score.lines if ln.singer == singer for w in ln.text.split()})
        sounds = song_voice.speak(voice, [song_lyrics.spoken(text) for text in texts])
        spoken.update({(singer, t): sound for t, sound in zip(texts, sounds, strict=True)})

    track = np.zeros((2, frames))
    truth: list[list[WordTruth]] = []
    melodies: dict[str, list[list[Note]]] = {}
    for line in score.lines:
        words = [(word, spoken[line.singer, word]) for word in line.text.split()]
        if line.text not in melodies:  # a repeated chorus keeps its tune
            syllables = [sound.syllables for _, sound in words]
            melodies[line.text] = _melody(
                syllables, line.bar, harmony, voices[line.singer].centre_midi, random
            )
        at = line.bar * harmony.bar_s + 0.5 * harmony.beat_s
        previous = None
        heard = []
        for (text, sound), notes in zip(words, melodies[line.text], strict=True):
            sung = song_voice.sing(sound, notes, RATE, random, previous)
            start = round(at * RATE)
            track[:, start : start + len(sung)] += song_band.pan(sung, places[line.singer])
            length = sum(note.seconds for note in notes)
            heard.append(WordTruth(text, round(1000 * at), round(1000 * (at + length))))
            at += length
            previous = notes[-1].midi
        truth.append(heard)
    return track, truth


def _melody(
    syllables: Sequence[int],
    bar: int,
    harmony: Harmony,
    centre_midi: int,
    random: np.random.Generator,
) -> list[list[Note]]:
    """A tune for one line, a list of notes per word, seven beats at most."""
    count = sum(syllables)
    lengths = random.choice([1.0, 1.0, 1.5, 2.0], size=count)  # in eighths
    ends = np.cumsum(syllables) - 1
    lengths[ends] += random.choice([0.0, 0.5, 1.0], size=len(ends))
    lengths[-1] = max(lengths[-1], 2.5)
    lengths *= min(1.0, 13.0 / lengths.sum())
    degrees = range(-14, 15)
    home = min(degrees, key=lambda d: abs(harmony.scale(d) - centre_midi))
    degree = home + int(random.integers(-1, 2))
    notes: list[list[Note]] = []
    index = 0
    elapsed = 0.0
    for number in syllables:
        word = []
        for _ in range(number):
            degree += int(random.choice([-2, -1, -1, 0, 1, 1, 2]))
            degree = int(np.clip(degree, home - 4, home + 4))
            if random.random() < 0.5:  # lean on the chord
                chord = [d % 7 for d in harmony.chord(bar + int(elapsed >= 8))]
                degree = min(
                    range(degree - 2, degree + 3),
                    key=lambda d: (d % 7 not in chord, abs(d - degree)),
                )
            seconds = float(lengths[index]) * harmony.beat_s / 2
            word.append(Note(harmony.scale(degree), seconds))
            elapsed += float(lengths[index])
            index += 1
        notes.append(word)
    return notes


def _encode_mp3(source: Path, target: Path, bitrate: str) -> None:
    subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y"),
            *("-i", str(source), "-map_metadata", "-1", "-c:a", "libmp3lame", "-b:a", bitrate),
            str(target),
        ],
        check=True,
        timeout=120,
    )


def write_demo(folder: Path, seed: int = 7) -> None:
    """Write the demo song, its lyrics and its truth into ``folder``."""
    song = make("english", seed)
    folder.mkdir(parents=True, exist_ok=True)
    _encode_mp3(song.path, folder / "song.mp3", "192k")
    (folder / "lyrics.txt").write_text(song.lyrics_text, "utf-8")
    lines = [
        [{"text": w.text, "startMs": w.start_ms, "endMs": w.end_ms} for w in line]
        for line in song.lines
    ]
    truth = {"language": song.language, "lines": lines}
    text = json.dumps(truth, ensure_ascii=False, indent=1)
    (folder / "truth.json").write_text(text + "\n", "utf-8")


def _main() -> None:
    parser = argparse.ArgumentParser(description="Make songs whose truth is known.")
    parser.add_argument("--demo", type=Path, help="folder to write the demo song into")
    parser.add_argument("--out", type=Path, help="folder to copy one song of each kind into")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.demo:
        write_demo(given.demo)
    if given.out:
        for song in all(given.seed):
            shutil.copytree(song.path.parent, given.out / song.name, dirs_exist_ok=True)
            print(f"{song.name}: {song.mix.seconds:.1f} s, {len(song.words)} words")


if __name__ == "__main__":
    _main()
