"""The stems of a job, to be heard, or what was heard of them before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from processors.arrays import Origin
from processors.audio.decoding import decode
from processors.karaoke import required, spare
from processors.quality import listening
from processors.quality.listening import Listened, listen
from processors.runtime import MadeFile, Task
from schemas.events import Work
from schemas.work import find


@dataclass(frozen=True, slots=True)
class Stems:
    """``vocals`` and ``minus`` lie in the scratch folder where ``known`` is None."""

    origin: Origin
    max_seconds: float
    known: Listened | None = None
    vocals: Path | None = None
    minus: Path | None = None

    @property
    def inputs(self) -> list[str]:
        """SHA-256 of the stems, as read."""
        return [digest for digest in (self.origin["vocals"], self.origin["minus"]) if digest]

    def heard(self, folder: Path) -> tuple[Listened, list[MadeFile]]:
        """What is heard of them, and the file that keeps it where it was not known."""
        if self.known is not None:
            return self.known, []
        assert self.vocals is not None
        vocals = decode(self.vocals, max_seconds=self.max_seconds)
        minus = decode(self.minus, max_seconds=self.max_seconds) if self.minus else None
        heard = listen(vocals, minus)
        path = folder / "listened.npz"
        listening.keep(path, self.origin, heard)
        return heard, [MadeFile(listening.NAME, path, listening.MEDIA_TYPE)]


def stems(work: Work, task: Task) -> Stems:
    """What was heard before, if it was of these very stems; the stems themselves else."""
    longest = task.settings.max_song_seconds

    def made_from(vocals: str, minus: str) -> Origin:
        return listening.origin(vocals, minus, task.settings.decoder, longest)

    voice, rest = required(work, "vocals"), find(work, "minus")
    promised = voice.sha256 and (rest is None or rest.sha256)
    kept = spare(work, task, listening.NAME) if promised and not work.force else None
    if kept is not None:
        origin = made_from(voice.sha256, rest.sha256 if rest else "")
        known = listening.recall(kept.path, origin)
        if known is not None:
            return Stems(origin, longest, known)
    vocals, minus = task.fetch(voice), spare(work, task, "minus")
    origin = made_from(vocals.sha256, minus.sha256 if minus else "")
    return Stems(origin, longest, None, vocals.path, minus.path if minus else None)
