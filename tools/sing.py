"""``melisma sing``: one song through the same gateway and stages as any other, with a progress bar.

The product runs in this process on a free port for as long as the song takes.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.client import Client, Refused
from gateway.client_calls import Json
from gateway.projection.store import StoreError
from processors.audio.decoding import decode
from processors.audio.encoding import write_mp3
from processors.audio.samples import Audio
from schemas.documents.karaoke import KaraokeDocument
from tools import product
from tools.player.page import player_page
from tools.serve import fail, in_words, settings_for
from topics import logs
from topics.artifacts import ArtifactError
from topics.log import LogError

TIMEOUT_S = 4 * 3600.0
"""Longer than the hard limits of all steps of the longest song together."""

_console = Console()

_DOING = {
    "separate": "taking voice and backing apart",
    "transcribe": "writing the words down",
    "align": "placing the words",
    "qc": "checking against the sound",
    "publish": "publishing",
    "video": "rendering the video",
}


@dataclass(frozen=True, slots=True)
class Sung:
    """What came of a song."""

    karaoke: KaraokeDocument
    job: Json
    out: Path


class _Unsung(Exception):
    """The job did not come to its end; the message says why."""


def sing_song(
    song: Path,
    lyrics: Path | None,
    *,
    language: str = "",
    out: Path,
    title: str = "",
    artist: str = "",
    video: bool = False,
    data: Path | None = None,
    truth_ms: Sequence[int] = (),
) -> Sung:
    """Make the karaoke of ``song`` in ``out`` and say how it went. Leaves with status 1 when the
    song or the lyrics cannot be used. ``truth_ms``: the words' true onsets, for the picture.
    """
    check_song(song)
    text = _lyrics_text(lyrics)
    if out.exists() and not out.is_dir():
        fail(f"'{out}' is not a folder; name another one with --out")
    try:
        with own_product(data, "melisma-sing") as client, progress_bars() as bars:
            job = _to_the_end(
                client, bars, song, text, language=language, title=title, artist=artist
            )
            if job["state"] != "succeeded":
                error = job.get("error") or {}
                raise _Unsung(error.get("message") or f"the job was {job['state']}")
            karaoke = _save(
                client,
                bars,
                job,
                out,
                title=title or song.stem,
                artist=artist,
                truth_ms=truth_ms,
            )
            if video:
                _save_video(client, bars, job["trackId"], out)
    except (Refused, _Unsung) as refused:  # said here, behind the bars, which would paint over it
        fail(f"{song.name}: {refused}")
    except (OSError, LogError, ArtifactError, StoreError) as error:
        fail(in_words(error))
    except KeyboardInterrupt:
        fail("stopped; nothing was written that is not whole", 128 + signal.SIGINT)
    result = Sung(karaoke, job, out)
    _report(result)
    return result


def check_song(song: Path) -> None:
    """Leave with status 1 unless there is something to read."""
    if song.is_dir():
        fail(f"'{song}' is a folder; name one audio file in it")
    if not song.is_file():
        fail(f"there is no file '{song}'")
    if song.stat().st_size == 0:
        fail(f"'{song}' is empty; export or download the song again")


def _lyrics_text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        fail(f"there is no file '{path}'")
    except OSError as error:
        fail(f"the lyrics cannot be read: {in_words(error)}")
    except UnicodeDecodeError:
        fail(f"'{path}' is not UTF-8 text; save the lyrics as UTF-8")


@contextmanager
def own_product(data: Path | None, client_id: str) -> Iterator[Client]:
    """The product on a free port of this machine, its log in a file of its data folder."""
    with ExitStack() as parts:
        if data is None:
            scratch = tempfile.TemporaryDirectory(prefix="melisma-", ignore_cleanup_errors=True)
            data = Path(parts.enter_context(scratch))
        gateway_settings, stage_settings = settings_for(data)
        # The song was started to be finished: on Ctrl-C nothing is worth waiting for.
        stage_settings = stage_settings.model_copy(update={"drain_seconds": 0.0})
        data.mkdir(parents=True, exist_ok=True)
        log = parts.enter_context((data / "melisma.log").open("a", encoding="utf-8"))
        logs.configure("json", gateway_settings.log_level, stream=log)
        server = parts.enter_context(
            product.everything(gateway_settings, stage_settings, host="127.0.0.1", port=0)
        )
        yield parts.enter_context(Client(server.url, client_id=client_id))


def progress_bars() -> Progress:
    """A row a step: what it does, how far it is, how long it took."""
    return Progress(
        TextColumn("{task.description}", style="bold"),
        BarColumn(bar_width=32),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=_console,
        transient=not sys.stdout.isatty(),
    )


def _to_the_end(
    client: Client,
    bars: Progress,
    song: Path,
    lyrics: str | None,
    *,
    language: str,
    title: str,
    artist: str,
) -> Json:
    """Upload, import and follow the job until it has ended."""
    upload = bars.add_task("upload", total=1.0, note=song.name)
    asset = client.upload(
        song, progress=lambda sent, total: bars.update(upload, completed=sent / max(total, 1))
    )
    accepted = client.import_track(
        asset,
        lyrics=lyrics,
        language=language or None,
        title=title or None,
        artist=artist or None,
    )
    rows: dict[str, TaskID] = {}

    def show(job: Json) -> None:
        for step in job["steps"]:
            if step["state"] == "waiting":
                continue
            name = step["step"]
            if name not in rows:
                rows[name] = bars.add_task(name, total=1.0, note=_DOING[name])
            bars.update(
                rows[name], completed=step["progress"], note=step.get("note") or _DOING[name]
            )
            if step["state"] == "succeeded":
                bars.update(rows[name], completed=1.0, note="")

    return client.wait_for_job(accepted["jobId"], timeout_s=TIMEOUT_S, progress=show)


def _save(
    client: Client,
    bars: Progress,
    job: Json,
    out: Path,
    *,
    title: str,
    artist: str,
    truth_ms: Sequence[int],
) -> KaraokeDocument:
    """Fetch the published version, write the player around it and draw it."""
    out.mkdir(parents=True, exist_ok=True)
    saving = bars.add_task("save", total=5.0, note=str(out))
    track = job["trackId"]
    karaoke = KaraokeDocument.from_json(client.lyrics(track).encode())
    _write(out / "karaoke.json", karaoke.to_json())
    _write(out / "song.lrc", client.lyrics(track, format="lrc").encode())
    bars.advance(saving)
    assets = client.assets(track)
    stems: dict[str, Audio] = {}
    players: dict[str, bytes] = {}
    for stem in ("minus", "vocals"):
        flac = out / f"{stem}.flac"
        client.download(assets[stem]["url"], flac)
        stems[stem] = decode(flac, max_seconds=TIMEOUT_S)
        players[stem] = _as_mp3(stems[stem])
        bars.advance(saving, 1.5)
    page = player_page(
        karaoke, minus=players["minus"], vocals=players["vocals"], title=title, artist=artist
    )
    _write(out / "player.html", page.encode())
    _draw(out / "picture.png", karaoke, stems, title=title, truth_ms=truth_ms)
    bars.advance(saving)
    return karaoke


def _draw(
    path: Path,
    karaoke: KaraokeDocument,
    stems: Mapping[str, Audio],
    *,
    title: str,
    truth_ms: Sequence[int],
) -> None:
    from tools.pictures.karaoke import draw  # matplotlib takes a second to import

    draw(
        path,
        karaoke,
        vocals=stems["vocals"],
        minus=stems["minus"],
        title=title,
        truth_ms=truth_ms,
    )


def _save_video(client: Client, bars: Progress, track_id: str, out: Path) -> None:
    """Have the published version rendered and fetch the film."""
    row = bars.add_task("video", total=1.0, note=_DOING["video"])
    asked = client.video(track_id)
    job = client.wait_for_job(
        asked["jobId"],
        timeout_s=TIMEOUT_S,
        progress=lambda seen: bars.update(row, completed=seen["progress"]),
    )
    if job["state"] != "succeeded":
        error = job.get("error") or {}
        raise _Unsung(error.get("message") or f"the video was {job['state']}")
    client.download(client.video_ready(track_id, asked["videoId"])["url"], out / "video.mp4")
    bars.update(row, completed=1.0, note="")


def _as_mp3(stem: Audio) -> bytes:
    with tempfile.TemporaryDirectory(prefix="melisma-") as folder:
        mp3 = Path(folder) / "stem.mp3"
        write_mp3(mp3, stem, kbps=160)
        return mp3.read_bytes()


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(path.name + ".part")
    draft.write_bytes(data)
    draft.replace(path)


def _report(sung: Sung) -> None:
    table = Table("step", "backend", "seconds", box=None, header_style="dim")
    for step in sung.job["steps"]:
        if "seconds" not in step:
            continue
        note = " (reused)" if step.get("reused") else ""
        table.add_row(step["step"], f"{step.get('backend') or ''}{note}", f"{step['seconds']:.1f}")
    _console.print(table)
    words = list(sung.karaoke.words())
    placed = sum(word.start_ms is not None for word in words)
    score = sung.karaoke.qc.score
    _console.print(
        f"{placed} of {len(words)} words placed"
        + ("" if score is None else f", quality {round(100 * score)} of 100")
    )
    if sung.karaoke.qc.needs_review:
        _console.print("  [bold red]needs review[/]: below the quality bar", highlight=False)
        for reason in sung.karaoke.qc.reasons:
            _console.print(f"  [red]because[/] {reason}", highlight=False)
    for flag in sung.karaoke.qc.flags[:5]:
        _console.print(f"  [yellow]look at[/] {flag.message}", highlight=False)
    if len(sung.karaoke.qc.flags) > 5:
        _console.print(f"  and {len(sung.karaoke.qc.flags) - 5} more in karaoke.json")
    _console.print(f"see it:  [bold]{(sung.out / 'picture.png').resolve()}[/]", soft_wrap=True)
    _console.print(f"play it: [bold]{(sung.out / 'player.html').resolve()}[/]", soft_wrap=True)
