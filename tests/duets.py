"""Duets whose voices overlap: the second singer comes in while the first still sings.

Made of the duets of `tests.songs`, in which nobody overlaps: the lines of the second singer are cut
out of the vocals and put back earlier.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from processors.audio.samples import Audio
from tests import songs
from tests.songs import Song, WordTruth

_FADE_MS = 20
_TAIL_MS = 250
"""Of a line's reverberation that moves with it."""


def overlapping(seed: int, overlap: float) -> Song:
    """A duet in which the second singer's lines begin ``overlap`` (0 to 1) of the first one's line
    before its end. Lines stay in the order in which they begin; the band does not move.
    """
    song = songs.make("duet", seed)
    rate = song.vocals.rate
    vocals = np.zeros_like(song.vocals.samples)
    lines: list[list[WordTruth]] = []
    for at, (line, singer) in enumerate(zip(song.lines, song.singers, strict=True)):
        moved_ms = 0
        if singer == "b" and at:
            first = lines[at - 1]
            wanted = first[-1].end_ms - overlap * (first[-1].end_ms - first[0].start_ms)
            moved_ms = round(wanted) + 150 - line[0].start_ms  # nobody begins on one instant
        start, end = line[0].start_ms - 100, line[-1].end_ms + _TAIL_MS
        part = song.vocals.samples[:, start * rate // 1000 : end * rate // 1000].copy()
        fade = np.linspace(0, 1, _FADE_MS * rate // 1000, dtype=np.float32)
        part[:, : len(fade)] *= fade
        part[:, -len(fade) :] *= fade[::-1]
        to = (start + moved_ms) * rate // 1000
        vocals[:, to : to + part.shape[1]] += part
        lines.append(
            [replace(w, start_ms=w.start_ms + moved_ms, end_ms=w.end_ms + moved_ms) for w in line]
        )
    stem = Audio(vocals, rate)
    mix = Audio(vocals + song.backing.samples, rate)
    text = "".join(
        f"[{'Anna' if singer == 'a' else 'Ben'}]\n" + " ".join(w.text for w in line) + "\n"
        for line, singer in zip(lines, song.singers, strict=True)
    )
    name = f"{song.name}-overlap-{overlap}"
    return replace(song, name=name, mix=mix, vocals=stem, lines=lines, lyrics_text=text)
