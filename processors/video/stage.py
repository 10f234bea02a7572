"""Video: a published version becomes a karaoke MP4, its lines lighting up over the backing track.

Asked for by itself and as often as one likes; the same version with the same wishes is rendered
once.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import soundfile

from processors.audio.ffmpeg import FfmpegFailed
from processors.karaoke import read_document, required
from processors.runtime import Made, MadeFile, Reject, Sla, Task, stage
from processors.runtime.task import Fetched
from processors.video import rendering
from processors.video.fonts import Chosen, fonts_for
from processors.video.pictures import cover_demuxer, write_gradient
from processors.video.scene import captions
from schemas.documents.formats import About
from schemas.documents.formats.ass import to_ass
from schemas.documents.formats.cues import label
from schemas.documents.karaoke import KaraokeDocument
from schemas.events import Backend, Video, VideoRendered, VideoRequested, Work
from schemas.work import extend

_IN_DEJAVU = str.maketrans("｛｝＼", "❴❵∖")
"""The full-width twins of what ASS would not show as it is lie in a block that DejaVu lacks."""

BACKEND = Backend(name="melisma", model="ass-x264/1", device="cpu")


@stage(
    name="video",
    revision=1,
    consumes=(VideoRequested,),
    produces=(VideoRendered,),
    # on two busy cores 4 x real time at 720p with 30 pictures a second, 1.5 x at 1080p
    sla=Sla(base_s=60, per_second=1.0),
)
def video(event: VideoRequested, task: Task) -> VideoRendered:
    """Render the version that the event names."""
    work, wanted = event.work, event.video
    task.sized(work.duration_ms / 1000)
    karaoke_file = task.fetch(required(work, "karaoke"))
    minus = task.fetch(required(work, "minus"))
    vocals = task.fetch(required(work, "vocals")) if wanted.vocals == "guide" else None
    cover = task.fetch(required(work, "cover")) if wanted.cover_asset_id else None
    script = script_of(read_document(KaraokeDocument, karaoke_file.path), work, wanted)
    fonts = _fonts(script, task)

    def make(folder: Path) -> Made:
        scene = task.folder / "scene"
        picture = _laid_out(scene, wanted, script, fonts, minus, vocals, cover)
        sound = soundfile.info(minus.path)
        task.progress(0.0, "rendering the video")
        try:
            made = rendering.render(
                scene,
                picture,
                seconds=sound.frames / sound.samplerate,
                rate=sound.samplerate,
                guide=vocals is not None,
                title=label(work.title),
                artist=label(work.artist),
                progress=lambda share: task.progress(share, "rendering the video"),
            )
        except FfmpegFailed as failure:
            task.log.warning("the video was not rendered", said=failure.log[-500:])
            if cover is not None:
                raise Reject(
                    "cover_unreadable",
                    "the cover cannot be read as a picture; upload it again as PNG or JPEG, at "
                    "most 50 megapixels, or leave it out",
                ) from failure
            raise
        return Made(files=(MadeFile("video", made.replace(folder / made.name), "video/mp4"),))

    result = task.result(
        inputs=[each.sha256 for each in (karaoke_file, minus, vocals, cover) if each is not None],
        backend=BACKEND,
        parameters={
            # the words of the script, not the version's number: they are what is seen
            "script": hashlib.sha256(script.encode()).hexdigest(),
            "fonts": [hashlib.sha256(file.read_bytes()).hexdigest() for file in fonts.files],
            "title": label(work.title),
            "artist": label(work.artist),
            **wanted.to_wire(),
        },
        make=make,
    )
    return VideoRendered(
        work=extend(work, *result.artifacts, backends={**work.backends, "video": BACKEND}),
        video=wanted,
        seconds=task.elapsed(),
        reused=result.reused,
    )


def script_of(karaoke: KaraokeDocument, work: Work, wanted: Video) -> str:
    """Everything that is written on the picture, as ASS."""
    about = About(work.title, work.artist)
    seen = captions(karaoke, about, title_card=wanted.title_card, countdown=wanted.countdown)
    return to_ass(karaoke, about, captions=seen).translate(_IN_DEJAVU)


def _fonts(script: str, task: Task) -> Chosen:
    """Fonts for every character. Raises `Reject` rather than show boxes instead of words."""
    chosen = fonts_for(script, task.settings.video_fonts)
    if chosen.missing:
        some = " ".join(sorted(chosen.missing)[:10])
        raise Reject(
            "font_missing",
            f"no font here has {some}; install one for this language (such as Noto Sans) and name "
            "its folder in VIDEO_FONTS",
        )
    return chosen


def _laid_out(
    scene: Path,
    wanted: Video,
    script: str,
    fonts: Chosen,
    minus: Fetched,
    vocals: Fetched | None,
    cover: Fetched | None,
) -> rendering.Picture:
    """The scene in a folder of its own, under names that no client chose."""
    shutil.rmtree(scene, ignore_errors=True)
    (scene / rendering.FONTS).mkdir(parents=True)
    for number, font in enumerate(fonts.files):
        shutil.copyfile(font, scene / rendering.FONTS / f"{number}{font.suffix.lower()}")
    (scene / rendering.SCRIPT).write_text(script, "utf-8")
    (scene / rendering.MINUS).symlink_to(minus.path.absolute())
    if vocals is not None:
        (scene / rendering.VOCALS).symlink_to(vocals.path.absolute())
    background = scene / rendering.BACKGROUND
    if cover is None:
        bottom = wanted.gradient_to or wanted.color
        try:
            write_gradient(background, wanted.width, wanted.height, wanted.color, bottom)
        except ValueError as error:
            raise Reject("color_invalid", str(error)) from error
        return rendering.Picture(wanted.width, wanted.height, wanted.fps)
    with cover.path.open("rb") as file:
        demuxer = cover_demuxer(file.read(16))
    if demuxer is None:
        raise Reject(
            "cover_unreadable", "the cover is neither PNG, JPEG nor WebP; upload one that is"
        )
    background.symlink_to(cover.path.absolute())
    return rendering.Picture(wanted.width, wanted.height, wanted.fps, demuxer, dim=True)
