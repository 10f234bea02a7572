"""``melisma extract``: features of sound and video files, without a server.

A folder a file: the manifest, the arrays, a picture. A file that can't be used fails alone.
"""

from __future__ import annotations

import csv
import io
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import typer
from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from processors.audio.undecodable import Undecodable
from processors.extraction.extracting import Options, extract_file
from processors.extraction.extracting import Progress as Told
from processors.extraction.registry import Registry, discover
from schemas.documents.audio_manifest import AudioManifest, ExtractorResult
from topics.artifacts import ArtifactError
from topics.artifacts.files import new_file

SOME_FAILED = 3
"""Exit status when some files or extractors failed and others did not; 1 when all did."""
_TABLE = "features.csv"

_console = Console()


def _fail(message: str, status: int = 1) -> NoReturn:
    """Say what is wrong in one line and leave. `tools.serve` has the same, and the gateway and
    the bus behind it, which an extraction does not need."""
    _console.print(f"[red]melisma:[/] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(status)


@dataclass(frozen=True, slots=True)
class Extracted:
    """One file: its manifest and folder, or the sentence that says why there is none."""

    path: Path
    folder: Path
    manifest: AudioManifest | None
    error: str = ""


def extract_files(
    files: Sequence[Path],
    *,
    out: Path,
    extractors: Sequence[str] = (),
    device: str = "cpu",
    table: bool = False,
    pictures: bool = True,
) -> list[Extracted]:
    """Extract ``files`` into folders in ``out`` and say how it went.

    Leaves with status 1 when nothing could be done, 3 when something failed, 130 on Ctrl-C.
    """
    registry = discover()
    missing = [name for name in extractors if name not in registry.extractors]
    if missing:
        why = registry.broken.get(missing[0])
        known = ", ".join(registry.extractors)
        _fail(
            f"extractor '{missing[0]}': {why}"
            if why
            else f"there is no extractor '{missing[0]}'; there are: {known}"
        )
    if out.exists() and not out.is_dir():
        _fail(f"'{out}' is not a folder; name another one with --out")
    try:
        with _bars() as bars:
            done = _all(files, out, list(extractors) or None, device, registry, pictures, bars)
        if table:
            _write_table(out / _TABLE, done)
    except KeyboardInterrupt:
        _fail("stopped; the files that are done are whole", 128 + signal.SIGINT)
    except ArtifactError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"'{error.filename}': {error.strerror}")
    _report(done, out)
    good = [each for each in done if each.manifest is not None]
    if not good:
        _fail("no file could be used")
    parts = [part for each in good if each.manifest for part in each.manifest.extractors]
    if all(part.status == "failed" for part in parts):
        _fail("every extractor failed")
    if len(good) < len(done) or any(part.status == "failed" for part in parts):
        _fail("some of it failed; the rest is written", SOME_FAILED)
    return done


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=_console,
    )


def _all(
    files: Sequence[Path],
    out: Path,
    extractors: Sequence[str] | None,
    device: str,
    registry: Registry,
    pictures: bool,
    bars: Progress,
) -> list[Extracted]:
    whole = bars.add_task("extract", total=float(len(files)), note="")
    done: list[Extracted] = []
    for place, (path, folder) in enumerate(zip(files, folders(files, out), strict=True)):
        bars.update(whole, note=escape(path.name))
        options = Options(device=device, registry=registry)

        def moved(share: float, place: int = place) -> None:
            bars.update(whole, completed=place + share)

        found = _one(path, folder, extractors, options, moved)
        if found.manifest is not None and pictures:
            from tools.pictures.extraction import draw  # matplotlib takes a second to import

            draw(folder / "picture.png", path, folder, found.manifest)
        done.append(found)
        bars.update(whole, completed=place + 1)
    bars.update(whole, note="")
    return done


def _one(
    path: Path,
    folder: Path,
    extractors: Sequence[str] | None,
    options: Options,
    moved: Told,
) -> Extracted:
    if path.is_dir():
        return Extracted(path, folder, None, "it is a folder; name the files in it")
    if not path.is_file():
        return Extracted(path, folder, None, "there is no such file")
    try:
        return Extracted(path, folder, extract_file(path, extractors, options, folder, moved))
    except Undecodable as refused:
        error = refused.message
    except PermissionError:
        error = "it may not be read"
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return Extracted(path, folder, None, error)


def folders(files: Sequence[Path], out: Path) -> list[Path]:
    """A folder for each file, named after it; files of one name are numbered."""
    taken: set[str] = set()
    found = []
    for path in files:
        name, number = path.stem or "file", 1
        while name.casefold() in taken:
            number += 1
            name = f"{path.stem}-{number}"
        taken.add(name.casefold())
        found.append(out / name)
    return found


def flat(manifest: AudioManifest) -> dict[str, str | float]:
    """The single numbers and words of a manifest by dotted name; lists are left to the JSON."""
    row: dict[str, str | float] = {}

    def walk(prefix: str, value: JsonValue) -> None:
        if isinstance(value, Mapping):
            for key, each in value.items():
                walk(f"{prefix}.{key}", each)
        elif isinstance(value, str | int | float):
            row[prefix] = value

    for part in manifest.extractors:
        row[f"{part.name}.status"] = part.status
        walk(part.name, part.features)
    return row


def _write_table(path: Path, done: Sequence[Extracted]) -> None:
    rows: list[dict[str, str | float]] = []
    for each in done:
        row: dict[str, str | float] = {"file": str(each.path), "error": each.error}
        if each.manifest is not None:
            row |= {"duration_s": each.manifest.input.duration_s, **flat(each.manifest)}
        rows.append(row)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path.parent, path.name) as file:
        file.write(text.getvalue().encode())
        file.publish(path)


def _report(done: Sequence[Extracted], out: Path) -> None:
    columns = ("file", "length", "BPM", "key", "range", "loudness", "parts", "× real time")
    table = Table(*columns, box=None, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in done:
        if each.manifest is None:
            continue
        manifest = each.manifest
        length = manifest.input.duration_s
        table.add_row(
            escape(each.path.name),
            f"{int(length) // 60}:{length % 60:04.1f}",
            _figure(manifest, "tempo_extractor", "{tempo_bpm:.2f}"),
            _figure(manifest, "chroma_key", "{key} {scale}"),
            _range(manifest),
            _figure(manifest, "loudness", "{integrated_lufs:.1f} LUFS"),
            _figure(manifest, "structure", "{form}"),
            f"{length / max(manifest.seconds, 1e-6):.0f}",
        )
    if table.row_count:
        _console.print(table)
    for each in done:
        if each.manifest is None:
            _console.print(
                f"[red]{escape(each.path.name)}[/]: {escape(each.error)}",
                highlight=False,
                soft_wrap=True,
            )
            continue
        for part in each.manifest.extractors:
            if part.error is not None:
                _console.print(
                    f"[yellow]{escape(each.path.name)}[/]: {escape(part.error.message)}",
                    highlight=False, soft_wrap=True,
                )  # fmt: skip
    _console.print(f"everything is in [bold]{escape(str(out.resolve()))}[/]", soft_wrap=True)


def _part(manifest: AudioManifest, name: str) -> ExtractorResult | None:
    return next((part for part in manifest.extractors if part.name == name), None)


def _figure(manifest: AudioManifest, name: str, form: str) -> str:
    """What a part found, a dash where it has nothing to say."""
    part = _part(manifest, name)
    if part is None:
        return ""
    try:
        return form.format(**part.features).replace("-", "−") if part.features else "failed"
    except (KeyError, TypeError):  # null has no decimals
        return "–"


_NOTES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def _range(manifest: AudioManifest) -> str:
    part = _part(manifest, "pitch_extractor")
    if part is None:
        return ""
    span = part.features.get("range")
    if not isinstance(span, dict):
        return "–"
    ends = [span["low_midi"], span["high_midi"]]
    names = [
        f"{_NOTES[round(end) % 12]}{round(end) // 12 - 1}" for end in ends if isinstance(end, float)
    ]
    return "–".join(names)
