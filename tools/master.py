"""``melisma master``: songs through the same gateway and stages as any other, with progress bars.

The product runs in this process on a free port for as long as the songs take.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.progress import Progress, TaskID
from rich.table import Table

from gateway.client import Client, Refused
from gateway.client_calls import Json
from gateway.projection.store import StoreError
from schemas.documents.analysis import Analysis
from schemas.documents.checks import Checks
from schemas.documents.decision import Decision
from schemas.documents.report import Report
from schemas.work import of_song
from tools.serve import fail, in_words
from tools.sing import TIMEOUT_S, check_song, own_product, progress_bars
from topics.artifacts import ArtifactError
from topics.log import LogError
from topics.sniffing import AIFC, AIFF, FLAC, HEAD_BYTES, RF64, WAV, sniff

_MASTERABLE = (WAV, RF64, AIFF, AIFC, FLAC)
_SAVED = {
    "master": "master",
    "preview": "preview.mp3",
    "analysis-before": "analysis.before.json",
    "analysis-after": "analysis.after.json",
    "decision": "decision.json",
    "report": "report.json",
    "checks": "checks.json",
    "words": "report.txt",
    "compare-before": "compare.before.mp3",
    "compare-after": "compare.after.mp3",
}
_DOING = {
    "analyze": "measuring",
    "decide": "deciding what to do",
    "render": "rendering, and measuring again",
}

_console = Console()


@dataclass(frozen=True, slots=True)
class Song:
    """What came of one song, in a folder."""

    name: str
    folder: Path
    before: Analysis
    after: Analysis
    decision: Decision
    report: Report
    checks: Checks


class _Unmastered(Exception):
    """The job did not come to its end; the message says why."""


def master_songs(
    songs: Sequence[Path],
    reference: Path | None,
    *,
    preset: str = "streaming",
    lufs: float | None = None,
    true_peak: float | None = None,
    out: Path,
    flac: bool = False,
    language: str = "en",
    data: Path | None = None,
) -> list[Song]:
    """Master ``songs`` into ``out`` and say how it went; several are an album, a folder a song.

    Leaves with status 1 when a song, the reference or a wish cannot be used.
    """
    for path in (*songs, *([reference] if reference else ())):
        check_song(path)
    kinds = [_kind(song) for song in songs]
    if out.exists() and not out.is_dir():
        fail(f"'{out}' is not a folder; name another one with --out")
    target = {"lufs": lufs, "truePeak": true_peak}
    wanted: Json = {
        "preset": preset,
        "format": "flac" if flac else "wav",
        "language": language,
        "target": {name: value for name, value in target.items() if value is not None},
    }
    about = songs[0].name if len(songs) == 1 else "the album"
    try:
        with own_product(data, "melisma-master") as client, progress_bars() as bars:
            job = _to_the_end(client, bars, songs, kinds, reference, wanted)
            if job["status"] != "done":
                error = job.get("lastError") or {}
                raise _Unmastered(error.get("message") or "the job was stopped")
            made = [_save(client, bars, job, songs, number, out) for number in _numbers(songs)]
            for song in made:
                _draw(song)
    except (Refused, _Unmastered) as refused:  # said here: the bars would paint over it
        fail(f"{about}: {refused}")
    except (OSError, LogError, ArtifactError, StoreError) as error:
        fail(in_words(error))
    except KeyboardInterrupt:
        fail("stopped; nothing was written that is not whole", 128 + signal.SIGINT)
    for song in made:
        _report(song, russian=language == "ru")
    return made


def _numbers(songs: Sequence[Path]) -> range:
    return range(1, len(songs) + 1)


def _kind(song: Path) -> str:
    with song.open("rb") as file:
        found = sniff(file.read(HEAD_BYTES))
    if found not in _MASTERABLE:
        fail(f"'{song}' is not WAV, AIFF or FLAC; export it from the mix in one of them")
    return found.media_type


def _to_the_end(
    client: Client,
    bars: Progress,
    songs: Sequence[Path],
    kinds: Sequence[str],
    reference: Path | None,
    wanted: Json,
) -> Json:
    """Upload, ask and follow the job until it has ended."""
    assets = [
        _upload(client, bars, song, kind, "mastering")
        for song, kind in zip(songs, kinds, strict=True)
    ]
    wanted = {**wanted, "assetIds": assets}
    if reference is not None:  # any sound file can be compared with, an MP3 too
        wanted["referenceAssetId"] = _upload(client, bars, reference, "", "karaoke")
    accepted = client.master(wanted)
    rows: dict[str, TaskID] = {}

    def show(job: Json) -> None:
        for step in job["steps"]:
            name = step["step"]
            if step["state"] == "waiting":
                continue
            if name not in rows:
                rows[name] = bars.add_task(name, total=1.0, note=_DOING[name])
            done = step["state"] == "succeeded"
            note = "" if done else step.get("note") or _DOING[name]
            bars.update(rows[name], completed=1.0 if done else step["progress"], note=note)

    client.wait_for_job(accepted["jobId"], timeout_s=TIMEOUT_S, progress=show)
    return client.mastering_job(accepted["jobId"])


def _upload(client: Client, bars: Progress, path: Path, kind: str, purpose: str) -> str:
    row = bars.add_task("upload", total=1.0, note=path.name)
    return client.upload(
        path,
        content_type=kind,
        purpose=purpose,
        progress=lambda sent, total: bars.update(row, completed=sent / max(total, 1)),
    )


def _save(
    client: Client, bars: Progress, job: Json, songs: Sequence[Path], number: int, out: Path
) -> Song:
    """Fetch what was made of one song."""
    song = songs[number - 1]
    folder = out if len(songs) == 1 else out / f"{number:02d} {song.stem}"
    folder.mkdir(parents=True, exist_ok=True)
    row = bars.add_task("save", total=float(len(_SAVED)), note=str(folder))
    for name, file in _SAVED.items():
        link = job["artifacts"][of_song(name, number, len(songs))]
        if name == "master":
            file = f"master.{link['mediaType'].removeprefix('audio/')}"
        client.download(link["url"], folder / file)
        bars.advance(row)

    def read(name: str) -> bytes:
        return (folder / _SAVED[name]).read_bytes()

    return Song(
        song.name,
        folder,
        Analysis.from_json(read("analysis-before")),
        Analysis.from_json(read("analysis-after")),
        Decision.from_json(read("decision")),
        Report.from_json(read("report")),
        Checks.from_json(read("checks")),
    )


def _draw(song: Song) -> None:
    from tools.pictures.mastering import draw  # matplotlib takes a second to import

    draw(song.folder / "picture.png", song)


def _report(song: Song, *, russian: bool) -> None:
    table = Table("", "before", "after", "promised", box=None, header_style="dim", title=song.name)
    for column in table.columns[1:]:
        column.justify = "right"
    for outcome in song.report.outcomes:
        name = outcome.name.ru if russian else outcome.name.en
        missed = " [yellow]missed[/]" if outcome.kept is False else ""
        table.add_row(
            f"{name}{missed}",
            _figure(outcome.before, ""),
            _figure(outcome.after, outcome.unit),
            _figure(outcome.predicted, ""),
        )
    _console.print(table)
    said = song.report.explanation.ru if russian else song.report.explanation.en
    for line in said:
        _console.print(Padding(line, (0, 0, 0, 2)), highlight=False)
    for compromise in song.report.compromises:
        words = compromise.words.ru if russian else compromise.words.en
        _console.print(Padding(f"[yellow]compromise[/] {words}", (0, 0, 0, 2)), highlight=False)
    _console.print(f"everything is in [bold]{song.folder.resolve()}[/]", soft_wrap=True)


def _figure(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.1f} {unit}".replace("-", "−").rstrip()
