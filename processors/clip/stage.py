"""Clip: the first of the generated songs becomes an MP4, and goes on where its channel wants it.

Needs no network: the songs are in the store by now. What it starts (karaoke, a master) has ids that
follow from the job's, so a song that is handled twice is imported once.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from processors.audio.decoding import check_length, opened
from processors.audio.ffmpeg import DEMUXERS, FfmpegFailed
from processors.audio.undecodable import Undecodable
from processors.clip import rendering
from processors.clip.chaining import Chained, chained
from processors.karaoke import required
from processors.runtime import Made, MadeFile, Reject, Sla, Task, stage
from processors.runtime.task import Fetched
from processors.video.fonts import fonts_for
from processors.video.pictures import cover_demuxer, write_gradient
from schemas.events import (
    Backend,
    ClipMade,
    Event,
    Generated,
    ImportRequested,
    MasteringRequested,
)
from schemas.work import extend, find
from topics.sniffing import HEAD_BYTES, sniff

BACKEND = Backend(name="melisma", model="clip-x264/1", device="cpu")

_TOP, _BOTTOM = "#1f2a44", "#0b0f1a"  # behind a song without a cover
_TITLE = 60  # characters that fit on the picture


@stage(
    name="clip",
    revision=1,
    consumes=(Generated,),
    produces=(ClipMade, ImportRequested, MasteringRequested),
    sla=Sla(base_s=60, per_second=1.0),
)
def clip(event: Generated, task: Task) -> tuple[Event, ...]:
    """Make the clip, pass the song on."""
    work = event.work
    song = task.fetch(required(work, "song-1"))
    pictured = find(work, "cover-1")
    cover = task.fetch(pictured) if pictured is not None else None
    seconds = _length(song, task)
    task.sized(seconds)
    title = " ".join(work.title.split())[:_TITLE]

    def make(folder: Path) -> Made:
        scene = task.folder / "scene"
        background = _laid_out(scene, song, cover, title, task)
        task.progress(0.0, "rendering the clip")
        try:
            made = rendering.render(
                scene,
                seconds=seconds,
                sound=_demuxer(song),
                background=background,
                dim=cover is not None,
                title=title,
                progress=lambda share: task.progress(share, "rendering the clip"),
            )
        except FfmpegFailed as failure:
            task.log.warning("the clip was not rendered", said=failure.log[-500:])
            raise
        return Made(files=(MadeFile("clip", made.replace(folder / made.name), "video/mp4"),))

    result = task.result(
        inputs=[each.sha256 for each in (song, cover) if each is not None],
        backend=BACKEND,
        parameters={"title": title, "seconds": round(seconds, 3)},
        make=make,
    )
    made = extend(work, *result.artifacts, duration_ms=round(seconds * 1000))
    on = chained(made, event.generation, task) if event.generation.chain else Chained()
    return (
        ClipMade(
            work=made,
            generation=event.generation,
            task_id=event.task_id,
            songs=event.songs,
            chained_job_id=on.job_id,
            chained_track_id=on.track_id,
            seconds=task.elapsed(),
            reused=result.reused,
        ),
        *on.events,
    )


def _length(song: Fetched, task: Task) -> float:
    """Seconds of the song as decoded. Raises `Reject` for what cannot be."""
    most_s = task.settings.max_song_seconds
    try:
        with opened(song.path, most_s) as source:
            seconds = sum(len(block) for block in source.blocks) / source.facts.rate
            check_length(seconds, source.facts, 0.0)
    except Undecodable as refusal:
        raise Reject(refusal.code, refusal.message) from None
    return seconds


def _demuxer(song: Fetched) -> str:
    with song.path.open("rb") as file:
        found = sniff(file.read(HEAD_BYTES))
    if found is None or found.name not in DEMUXERS:
        raise Reject("not_audio", "the song is no sound file; generate it again")
    return DEMUXERS[found.name]


def _laid_out(scene: Path, song: Fetched, cover: Fetched | None, title: str, task: Task) -> str:
    """The scene in a folder of its own; the demuxer of its background."""
    shutil.rmtree(scene, ignore_errors=True)
    scene.mkdir(parents=True)
    (scene / rendering.SOUND).symlink_to(song.path.absolute())
    fonts = fonts_for(title, task.settings.video_fonts)
    shown = "".join(" " if letter in fonts.missing else letter for letter in title)
    (scene / rendering.TITLE).write_text(shown, "utf-8")
    if fonts.files:
        # drawtext writes with one font: the one that was chosen for what the bundled two lack
        chosen = fonts.files[2] if len(fonts.files) > 2 else fonts.files[0]
        shutil.copyfile(chosen, scene / rendering.FONT)
    if cover is not None:
        with cover.path.open("rb") as file:
            demuxer = cover_demuxer(file.read(16))
        if demuxer is not None:
            (scene / rendering.BACKGROUND).symlink_to(cover.path.absolute())
            return demuxer
    write_gradient(scene / rendering.BACKGROUND, rendering.WIDTH, rendering.HEIGHT, _TOP, _BOTTOM)
    return "ppm_pipe"
