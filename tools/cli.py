"""The ``melisma`` command.

Each command imports what it needs when it runs, so that help is quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tools.ops import cli as ops
from tools.stack.cli import app as stack_app
from tools.webhooks import app as webhooks_app

app = typer.Typer(
    name="melisma",
    help="Turn songs into published, versioned karaoke, and mixes into masters.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(stack_app, name="stack")
app.add_typer(webhooks_app, name="webhooks")

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of log, artifacts and projection."),
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")]
HostName = Annotated[str, typer.Option("--host", help="Address to listen on.")]
Stages = Annotated[
    list[str] | None, typer.Argument(metavar="[STAGE]...", help="Stages; all when none is named.")
]


@app.command()
def up(
    port: Port = 8080,
    host: HostName = "127.0.0.1",
    data: Data = None,
    stack: Annotated[
        bool,
        typer.Option("--stack", help="On Kafka, Cassandra, a schema registry and S3; needs Java."),
    ] = False,
) -> None:
    """Run the whole product in one process: log, store, projection, gateway, every stage."""
    from tools.serve import run_everything

    run_everything(host=host, port=port, data=data, stack=stack)


@app.command()
def sing(
    song: Annotated[Path, typer.Argument(help="Audio file: WAV, AIFF, FLAC, MP3, M4A, OGG.")],
    lyrics: Annotated[
        Path | None, typer.Option("--lyrics", help="Text file; transcribed without it.")
    ] = None,
    language: Annotated[
        str, typer.Option("--language", help="BCP 47 tag, e.g. en, ru, pt-BR; guessed without it.")
    ] = "",
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("out"),
    title: Annotated[str, typer.Option("--title", help="Song title.")] = "",
    artist: Annotated[str, typer.Option("--artist", help="Performer.")] = "",
    video: Annotated[bool, typer.Option("--video", help="Write video.mp4 as well (720p).")] = False,
    data: Data = None,
) -> None:
    """Turn one song into a page that plays it, karaoke.json, song.lrc, a picture and both stems."""
    from tools.sing import sing_song

    sing_song(
        song,
        lyrics,
        language=language,
        out=out,
        title=title,
        artist=artist,
        video=video,
        data=data,
    )


@app.command()
def master(
    songs: Annotated[
        list[Path],
        typer.Argument(metavar="SONG...", help="WAV, AIFF or FLAC; several are an album."),
    ],
    reference: Annotated[
        Path | None, typer.Option("--reference", help="A finished song to come closer to.")
    ] = None,
    preset: Annotated[
        str,
        typer.Option("--preset", help="streaming, loud, gentle, club, broadcast or podcast."),
    ] = "streaming",
    lufs: Annotated[
        float | None,
        typer.Option(
            "--lufs", min=-40, max=-4, help="Integrated loudness, e.g. -14; the preset's."
        ),
    ] = None,
    true_peak: Annotated[
        float | None,
        typer.Option("--true-peak", min=-20, max=0, help="Ceiling in dBTP; the preset's."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("out"),
    flac: Annotated[bool, typer.Option("--flac", help="FLAC instead of WAV.")] = False,
    language: Annotated[
        str, typer.Option("--language", help="Of the report in words: en or ru.")
    ] = "en",
    data: Data = None,
) -> None:
    """Master songs: master.wav, preview.mp3, what was done and why, and a picture of it."""
    from tools.master import master_songs

    master_songs(
        songs,
        reference,
        preset=preset,
        lufs=lufs,
        true_peak=true_peak,
        out=out,
        flac=flac,
        language=language,
        data=data,
    )


@app.command()
def extract(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Sound or video files of any length.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder; each file gets one in it.")] = Path(
        "out"
    ),
    extractors: Annotated[
        list[str] | None,
        typer.Option("--extractor", "-e", help="Only this one; may be repeated. All without it."),
    ] = None,
    table: Annotated[bool, typer.Option("--csv", help="Also features.csv, a row a file.")] = False,
    pictures: Annotated[
        bool, typer.Option("--plots/--no-plots", help="Draw a picture of each file.")
    ] = True,
    device: Annotated[
        str, typer.Option("--device", help="cpu, auto, or torch's name of one: cuda.")
    ] = "cpu",
) -> None:
    """Measure features of files: tempo, beats, pitch, key, loudness, timbre, structure."""
    from tools.extract import extract_files

    extract_files(
        files, out=out, extractors=extractors or (), device=device, table=table, pictures=pictures
    )


@app.command()
def video(
    track: Annotated[str, typer.Argument(metavar="TRACK", help="Id of a published track.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("out/video.mp4"),
    url: Annotated[
        str, typer.Option("--url", help="Address of the gateway.")
    ] = "http://127.0.0.1:8080",
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="A published one; the current without.")
    ] = None,
    resolution: Annotated[
        str | None, typer.Option("--resolution", help="360p, 480p, 720p or 1080p; 720p without.")
    ] = None,
    fps: Annotated[
        int | None, typer.Option("--fps", help="24, 25, 30, 50 or 60; 30 without.")
    ] = None,
    cover: Annotated[
        Path | None, typer.Option("--cover", help="Picture for the background: PNG, JPEG, WebP.")
    ] = None,
    guide: Annotated[bool, typer.Option("--guide", help="Leave the voice in, quietly.")] = False,
) -> None:
    """Render the karaoke video of a track that is there already, and save it."""
    from tools.video import make_video

    make_video(
        track,
        url=url,
        out=out,
        cover=cover,
        version=version,
        resolution=resolution,
        fps=fps,
        vocals="guide" if guide else None,
    )


@app.command()
def clip(
    channel: Annotated[str, typer.Option("--channel", help="Channel that asks for a song.")] = "",
    job: Annotated[
        str, typer.Option("--job", metavar="ID", help="Ask for none; follow this one again.")
    ] = "",
    url: Annotated[
        str, typer.Option("--url", help="Address of the gateway.")
    ] = "http://127.0.0.1:8080",
    user: Annotated[str, typer.Option("--user", help="Kept with the job.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the songs and the clip.")
    ] = None,
    language: Annotated[str, typer.Option("--language", help="ru or en.")] = "ru",
) -> None:
    """Generate a song for a channel and follow it: stages, timer, ids, why it waits."""
    if bool(channel) == bool(job):
        raise typer.BadParameter("name a --channel that asks for a song, or a --job to follow")
    from tools.clip import make_clip

    make_clip(channel, job_id=job, url=url, user=user, out=out, language=language)


@app.command("fake-provider")
def fake_provider(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 8090,
    audio: Annotated[
        Path | None, typer.Option("--audio", help="Sound that it gives; the demo song without.")
    ] = None,
    lyrics: Annotated[
        Path | None, typer.Option("--lyrics", help="Words of that sound; the demo song's without.")
    ] = None,
    faults: Annotated[
        float, typer.Option("--faults", min=0, max=1, help="Share of answers that go wrong.")
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the faults.")] = 0,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="Time a song takes.")] = 10.0,
    late: Annotated[
        float, typer.Option("--late", min=0, help="Time that a late song takes, one of the faults.")
    ] = 660.0,
    credits_: Annotated[float, typer.Option("--credits", help="Credits of the account.")] = 1000.0,
    key: Annotated[
        str, typer.Option("--key", envvar="SUNO_API_KEY", help="Key that it wants; any without.")
    ] = "",
    profile: Annotated[str, typer.Option("--profile", help="sunoapi or reseller.")] = "sunoapi",
) -> None:
    """Run a provider of generated songs that keeps its contract, to try `clip` against."""
    from tools.provider.serve import run_fake_provider

    run_fake_provider(
        port=port,
        audio=audio,
        lyrics=lyrics,
        faults=faults,
        seed=seed,
        seconds=seconds,
        late=late,
        key=key,
        credits_=credits_,
        profile=profile,
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("out/demo"),
) -> None:
    """Turn the demo song into karaoke and compare it with the truth."""
    from tools.demo.run import run_demo

    run_demo(out)


@app.command()
def worker(stages: Stages = None, data: Data = None) -> None:
    """Run stages alone, against the log that the settings name."""
    from tools.serve import run_worker

    run_worker(stages or [], data=data)


@app.command()
def gateway(port: Port = 8080, host: HostName = "127.0.0.1", data: Data = None) -> None:
    """Run the REST gateway alone."""
    from tools.serve import run_gateway

    run_gateway(host=host, port=port, data=data)


@app.command()
def projector(data: Data = None) -> None:
    """Run the projector alone: folds the topics into the projection that gateways read."""
    from tools.serve import run_projector

    run_projector(data=data)


@app.command()
def delivery(data: Data = None) -> None:
    """Send webhooks alone; any number of these share the load."""
    from tools.serve import run_delivery

    run_delivery(data=data)


ops.mount(app)


def main() -> None:
    """Entry point of the command."""
    app()
