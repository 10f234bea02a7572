"""From a song and its decision to everything that a musician gets: master, MP3, report, checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from processors.analysis.meter import measure
from processors.audio.tags import Tags, read_tags, write_tags
from processors.decision.explaining import Explainer
from processors.decision.reporting import report as report_on
from processors.rendering.checking import correction, nearer, null_test, pair
from processors.rendering.previewing import write_decoded, write_preview
from processors.rendering.rendering import render
from schemas.documents.analysis import Analysis
from schemas.documents.checks import Checks, Pair, PreviewCheck
from schemas.documents.decision import Decision
from schemas.documents.rendered import Rendered
from schemas.documents.report import Report

Progress = Callable[[float, str], None]
"""Told the share of the song that is done, and what goes on."""

_ENDLESS_S = 1e9
"""The song's length was checked when it was analysed; what is made from it is as long."""

_MP3_MARGIN_DB = 0.1
"""Another level is coded with other errors: this much lower, the second try stays below as well."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a master is made from."""

    source: Path
    before: Analysis
    decision: Decision
    format: Literal["wav", "flac"]
    bits: int
    """16, 24, 32 (float), or 0 for those of the song."""
    russian: bool
    explainer: Explainer


@dataclass(frozen=True, slots=True)
class File:
    """A file that was made, under the name that the job has for it."""

    name: str
    path: Path
    media_type: str


def finished(given: Given, folder: Path, progress: Progress) -> tuple[list[File], int]:
    """Make everything in ``folder``; the files, and how many wishes were not met.

    Raises `processors.audio.undecodable.Undecodable` and `processors.audio.ffmpeg.FfmpegFailed`.
    """
    master = folder / f"master.{given.format}"
    rendered, after, corrected = _rendered(given, master, progress)
    test = None if rendered.changed else null_test(given.source, master)
    tags = read_tags(given.source)
    write_tags(master, tags, source=given.source)

    progress(0.75, "making the MP3")
    preview = folder / "preview.mp3"
    preview_check = _previewed(master, given, rendered, preview, tags)
    progress(0.88, "making the pair to compare")
    matched = pair(given.before, after)
    before_mp3, after_mp3 = folder / "compare-before.mp3", folder / "compare-after.mp3"
    _compared(given, master, rendered, matched, before_mp3, after_mp3)

    progress(0.97, "writing the report")
    explanation = given.explainer.explain(given.decision, given.before)
    report = report_on(given.decision, given.before, after, explanation=explanation)
    checks = Checks(
        rendered=rendered,
        format=given.format,
        corrected=corrected,
        source_frames=given.before.source.frames,
        length_kept=rendered.frames == given.before.source.frames,
        tags=tuple(sorted(tags)),
        preview=preview_check,
        pair=matched,
        null_test=test,
    )
    words = folder / "words.txt"
    words.write_text(in_words(report, checks, russian=given.russian), "utf-8")
    documents = {"analysis-after": after, "report": report, "checks": checks}
    for name, document in documents.items():
        (folder / f"{name}.json").write_bytes(document.to_json())
    files = [
        File("master", master, f"audio/{given.format}"),
        File("preview", preview, "audio/mpeg"),
        File("compare-before", before_mp3, "audio/mpeg"),
        File("compare-after", after_mp3, "audio/mpeg"),
        *(File(name, folder / f"{name}.json", "application/json") for name in documents),
        File("words", words, "text/plain"),
    ]
    return files, len(report.misses) + len(report.compromises)


def _rendered(given: Given, master: Path, progress: Progress) -> tuple[Rendered, Analysis, bool]:
    """Render and measure; a miss is corrected once, and kept only where that came nearer."""
    chain = given.decision.chain
    depth = {16: 16, 24: 24, 32: 32}.get(given.bits)
    made = render(
        given.source,
        chain,
        master,
        lambda share: progress(0.6 * share, "rendering"),
        depth=depth,  # type: ignore[arg-type]
    )
    progress(0.62, "measuring the master")
    after = measure(master, max_seconds=_ENDLESS_S)
    again = correction(chain, made, after)
    if again is None:
        return made, after, False
    progress(0.66, "correcting a miss")
    second = master.with_stem("second")
    remade = render(given.source, again, second, depth=depth)  # type: ignore[arg-type]
    remeasured = measure(second, max_seconds=_ENDLESS_S)
    if not nearer(chain, remeasured, after):
        second.unlink()
        return made, after, False
    second.replace(master)
    return remade, remeasured, True


def _previewed(
    master: Path, given: Given, rendered: Rendered, preview: Path, tags: Tags
) -> PreviewCheck:
    """The MP3, turned down once where decoding it exceeds full scale: codecs overshoot."""
    gain_db = 0.0
    _mp3(master, given.format, preview, rendered, gain_db, tags)
    heard = _decoded(preview, rendered)
    over = heard.peaks.true_peak_dbtp
    if over is not None and over > 0.0:
        gain_db = -(over + _MP3_MARGIN_DB)
        _mp3(master, given.format, preview, rendered, gain_db, tags)
        heard = _decoded(preview, rendered)
    peak = heard.peaks.true_peak_dbtp
    return PreviewCheck(
        lufs=heard.loudness.integrated_lufs,
        true_peak_dbtp=peak,
        gain_db=gain_db,
        frames=heard.source.frames,
        rate_hz=heard.source.rate_hz,
        under_full_scale=peak is None or peak <= 0.0,
    )


def _compared(
    given: Given, master: Path, rendered: Rendered, matched: Pair, before: Path, after: Path
) -> None:
    container = given.before.source.container
    _mp3(given.source, container, before, rendered, matched.before_gain_db, {})
    _mp3(master, given.format, after, rendered, matched.after_gain_db, {})


def _mp3(
    source: Path, container: str, target: Path, rendered: Rendered, gain_db: float, tags: Tags
) -> None:
    write_preview(
        source,
        container,
        target,
        seconds=rendered.frames / rendered.rate_hz,
        rate=rendered.rate_hz,
        channels=rendered.channels,
        gain_db=gain_db,
        tags=tags,
    )


def _decoded(preview: Path, rendered: Rendered) -> Analysis:
    wave = preview.with_suffix(".wav")
    try:
        write_decoded(preview, wave, seconds=rendered.frames / rendered.rate_hz)
        return measure(wave, max_seconds=_ENDLESS_S)
    finally:
        wave.unlink(missing_ok=True)


def in_words(report: Report, checks: Checks, *, russian: bool) -> str:
    """The report as a page of text."""
    said = report.explanation.ru if russian else report.explanation.en
    summary = report.summary.ru if russian else report.summary.en
    outcomes = [each.words.ru if russian else each.words.en for each in report.outcomes]
    page = [summary, "", *said, "", *(f"- {line}" for line in outcomes), ""]
    return "\n".join([*page, *(f"- {line}" for line in _of_files(checks, russian))]) + "\n"


def _of_files(checks: Checks, russian: bool) -> list[str]:
    preview = checks.preview
    lines = []
    if preview.lufs is not None and preview.true_peak_dbtp is not None:
        heard = f"{preview.lufs:.1f} LUFS, {preview.true_peak_dbtp:.1f} dBTP"
        lines.append(f"MP3 после декодирования: {heard}" if russian else f"MP3, decoded: {heard}")
    if preview.gain_db < 0:
        gain = f"{preview.gain_db:.2f} dB"
        lines.append(
            f"MP3 тише мастера на {gain}: кодек превышал полную шкалу"
            if russian
            else f"the MP3 is {gain} against the master: the codec went over full scale"
        )
    if checks.null_test is not None:
        same = checks.null_test.differing == 0
        if russian:
            lines.append("мастер равен исходнику бит в бит" if same else "отсчёты отличаются")
        else:
            lines.append(
                "the master is the song, bit by bit"
                if same
                else f"{checks.null_test.differing} samples differ from the song's"
            )
    return lines
