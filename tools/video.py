"""``melisma video``: the karaoke film of a track that is there already, watched until saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.markup import escape

from gateway.client import Client, NotInTime, Refused, Unreachable
from tools.serve import fail, in_words
from tools.sing import TIMEOUT_S, progress_bars


def make_video(track_id: str, *, url: str, out: Path, cover: Path | None, **wanted: Any) -> None:
    """Have a published version of ``track_id`` rendered and save it as ``out``.

    ``wanted``: the wishes in the words of the API; what is None is left to it. Leaves with status
    1 when there is no film, 130 when nobody wanted to look any longer.
    """
    if out.is_dir():
        fail(f"'{escape(str(out))}' is a folder; name the file with --out")
    if cover is not None and not cover.is_file():
        fail(f"there is no picture '{escape(str(cover))}'")
    key = os.environ.get("MELISMA_API_KEY", "")
    wishes = {name: value for name, value in wanted.items() if value is not None}
    job_id = ""
    try:
        with Client(url, client_id="melisma-video", api_key=key) as client, progress_bars() as bars:
            if cover is not None:
                wishes["coverAssetId"] = client.upload(cover, purpose="cover")
            asked = client.video(track_id, **wishes)
            job_id = asked["jobId"]
            rendering = bars.add_task("video", total=1.0, note=f"version {asked['version']}")
            job = client.wait_for_job(
                job_id,
                timeout_s=TIMEOUT_S,
                progress=lambda seen: bars.update(rendering, completed=seen["progress"]),
            )
            if job["state"] != "succeeded":
                error = job.get("error") or {}
                fail(escape(error.get("message") or f"the video was {job['state']}"))
            ready = client.video_ready(track_id, asked["videoId"])
            saving = bars.add_task("save", total=1.0, note=str(out))
            out.parent.mkdir(parents=True, exist_ok=True)
            client.download(
                ready["url"],
                out,
                progress=lambda got, total: bars.update(saving, completed=got / max(total, 1)),
            )
            bars.update(saving, completed=1.0)
    except (Refused, NotInTime) as refused:
        fail(escape(str(refused)))
    except Unreachable:
        fail(f"the gateway at {escape(url)} does not answer; is it running?")
    except OSError as error:
        fail(escape(in_words(error)))
    except KeyboardInterrupt:
        fail("stopped looking" + (f"; job {job_id} goes on" if job_id else ""), 130)
    print(out)
