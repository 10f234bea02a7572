"""One song through the product's own stages, each as it runs in production, in this process.

Separation, alignment on what it separated, the quality check; and recognition of the same stem
without the lyrics, for the words it invents.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from processors.alignment.languages import reader
from processors.audio.decoding import decode
from processors.audio.samples import Audio
from processors.runtime import Reject
from processors.runtime.testing import StageEnvironment
from schemas.documents.karaoke import Karaoke
from schemas.documents.lyrics import LyricsDocument
from schemas.events import ImportRequested, Separated, Work
from schemas.work import find
from tests.bench.bench_separation import peak_mb, sdr
from tests.eval.figures import Row, invented, onset_errors, perceptual
from tests.eval.pieces import Piece

_MAX_S = 3600.0


def measure(piece: Piece, backend: str, folder: Path, **settings: Any) -> Row:
    """The song's row by ``backend`` (light or full). ``folder`` is scratch.

    Raises `processors.runtime.Reject` and `Retry` as the stages do.
    """
    from processors.alignment.stage import alignment
    from processors.quality.stage import quality
    from processors.separation.stage import separation

    chosen = {f"{stage}_backend": backend for stage in ("separation", "alignment")}
    env = StageEnvironment(folder, **(chosen | settings), max_song_seconds=_MAX_S)
    lyrics = LyricsDocument.from_text(piece.text, language=piece.language)
    work = Work(
        job_id="job_eval",
        track_id="trk_eval",
        language=piece.language or reader(piece.text, "en"),
        artifacts=(env.put("source", piece.mix),),
        lyrics=env.put("lyrics", lyrics.to_json(), "application/json"),
    )
    seconds: dict[str, float] = {}

    def timed(step: str, stage: Any, event: Any) -> Any:
        began = time.perf_counter()
        made = env.run(stage, event).event
        seconds[step] = time.perf_counter() - began
        return made

    separated = timed("separate", separation, ImportRequested(work=work))
    aligned = timed("align", alignment, separated)
    checked = timed("qc", quality, aligned)
    peak = peak_mb()  # before the truth is read and recognition runs: those are the evaluation's
    heard = _recognized(env, separated, backend, seconds, settings)
    karaoke = Karaoke.from_json(_read(env, checked.work, "checked"))
    found = [(word.text, word.start_ms) for word in karaoke.words()]
    errors = onset_errors(piece.words, found)
    worst = max(errors, key=lambda pair: abs(pair[1]), default=None)
    gained, before = _sdr(piece, env, separated.work)
    return Row(
        song=piece.name,
        backend=backend,
        models={name: made.model for name, made in checked.work.backends.items()},
        song_s=separated.work.duration_ms / 1000,
        words=len(piece.words),
        errors_s=[round(error, 4) for _, error in errors],
        worst=f"'{worst[0].text}' at {worst[0].start_ms / 1000:.2f} s by {worst[1]:+.2f} s"
        if worst
        else "",
        perceptual=perceptual(errors),
        sdr_db=gained,
        sdr_mix_db=before,
        heard=None if heard is None else len(heard),
        invented=None if heard is None else invented([*piece.words, *piece.extra], heard),
        score=karaoke.qc.score,
        seconds={step: round(took, 3) for step, took in seconds.items()},
        peak_mb=round(peak, 1),
    )


def _recognized(
    env: StageEnvironment,
    separated: Separated,
    backend: str,
    seconds: dict[str, float],
    settings: dict[str, Any],
) -> Sequence[tuple[int, int]] | None:
    """When the recognizer heard words; None where it does not know the language."""
    from processors.transcription.stage import transcription

    env.settings = env.settings.model_copy(
        update={"transcription_backend": settings.get("transcription_backend", backend)}
    )
    began = time.perf_counter()
    try:
        asked = replace(separated, work=replace(separated.work, lyrics=None))
        made = env.run(transcription, asked).event
    except Reject as refusal:
        return [] if refusal.code != "language_not_recognized" else None
    seconds["transcribe"] = time.perf_counter() - began
    lyrics = made.work.lyrics
    document = LyricsDocument.from_json(env.store.read(lyrics.uri))
    return [
        (word.start_ms, word.end_ms)
        for word in document.words()
        if word.start_ms is not None and word.end_ms is not None
    ]


def _sdr(piece: Piece, env: StageEnvironment, work: Work) -> tuple[float | None, float | None]:
    """Of the separated voice, and of the mix taken for it."""
    if piece.vocals is None:
        return None, None
    true = decode(piece.vocals, max_seconds=_MAX_S)
    found, mix = (_stem(env, work, name) for name in ("vocals", "mix"))
    if {found.rate, mix.rate} != {true.rate}:
        return None, None
    length = min(each.frames for each in (true, found, mix))
    rows = min(each.channels for each in (true, found, mix))
    voice, separated, everything = (
        _channels(each, rows)[:, :length] for each in (true, found, mix)
    )
    return round(sdr(voice, separated), 2), round(sdr(voice, everything), 2)


def _channels(audio: Audio, rows: int) -> np.ndarray:
    return audio.samples if audio.channels == rows else audio.mono()[None]


def _stem(env: StageEnvironment, work: Work, name: str) -> Audio:
    artifact = find(work, name)
    assert artifact is not None
    path = env.settings.scratch_dir / f"{name}.eval.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    env.store.fetch(artifact.uri, path)
    return decode(path, max_seconds=_MAX_S)


def _read(env: StageEnvironment, work: Work, name: str) -> bytes:
    artifact = find(work, name)
    assert artifact is not None
    return env.store.read(artifact.uri)
