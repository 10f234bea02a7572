"""A page that plays one karaoke song: words, backing and guide vocal in a single file."""

from __future__ import annotations

import base64
import json
import re
from importlib.resources import files

from schemas.documents.karaoke import KaraokeDocument


def player_page(
    karaoke: KaraokeDocument, *, minus: bytes, vocals: bytes, title: str = "", artist: str = ""
) -> str:
    """The page. ``minus`` and ``vocals`` are compressed audio of a kind that browsers decode."""
    song = {
        "title": title,
        "artist": artist,
        "minus": base64.b64encode(minus).decode(),
        "vocals": base64.b64encode(vocals).decode(),
    }
    template = files("tools.player").joinpath("player.html").read_text("utf-8")
    values = {"song": json.dumps(song), "karaoke": karaoke.to_json().decode()}
    # One pass, so that a title that looks like a placeholder stays a title.
    return re.sub(r"\{\{(song|karaoke)\}\}", lambda hole: _in_script(values[hole[1]]), template)


def _in_script(text: str) -> str:
    """JSON that cannot end the script element it stands in (HTML, section 4.12.1.3)."""
    return text.replace("<", "\\u003c")
