"""What a provider's bodies mean. Pure: bytes and a profile in, types out.

Shapes: docs.sunoapi.org, and what its users report. A body is data from outside: every field may be
missing, null, of another type or lie about the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.providers import Fault, Profile
from topics.logs import redacted

_DETAIL = 300  # characters of the provider's own words that a person reads
_OK = 200


@dataclass(frozen=True, slots=True)
class Given:
    """One song as the provider gives it."""

    song_id: str
    audio_url: str
    image_url: str = ""
    title: str = ""
    tags: str = ""
    lyrics: str = ""
    duration_ms: int = 0
    created_ms: int = 0
    """0 where it says no time that can be read."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request was taken (and paid)."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The provider said that it did not take the request."""

    fault: Fault
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unsent:
    """The request never left: nothing was paid."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Undecided:
    """The request may have been taken: no answer, half of one, or one that nobody can read."""

    detail: str = ""


Outcome = Accepted | Refusal | Unsent | Undecided
"""Of a request for songs."""


@dataclass(frozen=True, slots=True)
class Generating:
    """Not done yet."""

    status: str
    asked_for: Mapping[str, Any] | None = None
    """What the provider remembers of the request; None when it does not say."""


@dataclass(frozen=True, slots=True)
class Made:
    """Songs with addresses of their sound."""

    songs: tuple[Given, ...]
    status: str
    asked_for: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Failing:
    """The provider gave up on the task; ``code`` is a word of ours."""

    code: str
    detail: str
    status: str


@dataclass(frozen=True, slots=True)
class Unread:
    """The record could not be read this time."""

    code: str
    detail: str = ""


Reading = Generating | Made | Failing | Unread
"""Of a task's record."""

_FAILED = {
    "CREATE_TASK_FAILED": "create_task_failed",
    "GENERATE_AUDIO_FAILED": "generate_audio_failed",
    "SENSITIVE_WORD_ERROR": "sensitive_words",
}


def outcome_of(status: int, body: bytes, profile: Profile) -> Outcome:
    """What the answer to a request for songs means.

    A body with a ``code`` decides. Without one nobody knows what became of the request, except
    where HTTP itself says that it was not handled: 503 and any 4xx.
    """
    said = _object(body)
    code = _number(said.get("code")) if said is not None else None
    if said is None or code is None:
        words = _words(f"HTTP {status}: {_text_of(body)}")
        if status == 503:
            return Refusal("server_error", words)
        if 400 <= status < 500:
            return Refusal(profile.fault(status), words)
        return Undecided(words)
    if code != _OK:
        return Refusal(profile.fault(code), _words(_text(said.get("msg"))))
    task_id = _task_of(said)
    if not task_id:
        return Undecided("the provider took the request and named no task")
    return Accepted(task_id)


def reading_of(status: int, body: bytes, profile: Profile) -> Reading:
    """What a task's record says."""
    said = _object(body)
    code = _number(said.get("code")) if said is not None else None
    if said is None or code is None:
        return Unread("unreadable", _words(f"HTTP {status}: {_text_of(body)}"))
    if code != _OK:
        return Unread(profile.fault(code), _words(_text(said.get("msg"))))
    data = said.get("data")
    if not isinstance(data, Mapping):
        return Unread("not_found", "the provider does not know the task (yet)")
    state = _text(data.get("status")).upper() or "PENDING"
    asked_for = _asked_for(data.get("param"))
    if state in _FAILED:
        detail = _words(_text(data.get("errorMessage")) or _text(said.get("msg")))
        return Failing(_FAILED[state], detail, state)
    songs = songs_of(data)
    # FIRST_SUCCESS is the first of two songs: the second follows, and both are paid. Anything
    # else that names no sound, SUCCESS with `response: null` too, is asked again.
    if state in ("SUCCESS", "CALLBACK_EXCEPTION") and songs:
        return Made(songs, state, asked_for)
    return Generating(state, asked_for)


def songs_of(data: Mapping[str, Any]) -> tuple[Given, ...]:
    """The songs with sound of a record's ``data``, in the provider's order."""
    response = data.get("response")
    listed = response.get("sunoData") if isinstance(response, Mapping) else None
    if not isinstance(listed, list):
        return ()
    songs = (_song(each) for each in listed if isinstance(each, Mapping))
    return tuple(song for song in songs if song.audio_url)


def callback_of(body: bytes) -> tuple[str, str]:
    """``(task id, type)`` that a callback names, "" for what it does not; nothing else of it is
    looked at. camelCase is taken too: some resellers send it.
    """
    said = _object(body)
    data = said.get("data") if said is not None else None
    if said is None or not isinstance(data, Mapping):
        return "", ""
    kind = _text(data.get("callbackType") or data.get("callback_type"))[:20]
    return _task_of(said), kind


def credits_of(status: int, body: bytes) -> float | None:
    """Credits that are left; None where the answer does not say."""
    said = _object(body)
    if said is None or _number(said.get("code")) != _OK:
        return None
    left = said.get("data")
    if isinstance(left, Mapping):
        left = left.get("credits")
    if isinstance(left, bool) or not isinstance(left, int | float) or not math.isfinite(left):
        return None
    return float(left)


def instant_ms(value: object) -> int:
    """A time in either of the provider's formats as Unix milliseconds; 0 for anything else.

    Numbers are milliseconds, or seconds where they are too small for that; texts are ISO 8601, with
    a space or a T, UTC where they name no zone.
    """
    if isinstance(value, bool):
        return 0
    if isinstance(value, str):
        text = value.strip()
        if not text.isdecimal():
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                return 0
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return max(round(moment.timestamp() * 1000), 0)
        value = int(text) if len(text) <= 16 else 0
    if isinstance(value, int | float) and math.isfinite(value) and 0 < value < 1e15:
        return round(value if value >= 1e11 else value * 1000)  # 1e11 ms is in 1973
    return 0


def _song(said: Mapping[str, Any]) -> Given:
    def first(*names: str) -> str:
        return next((text for name in names if (text := _text(said.get(name)))), "")

    seconds = said.get("duration")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    known = is_number and math.isfinite(seconds) and 0 < seconds < 86_400  # type: ignore[arg-type, operator]
    return Given(
        song_id=first("id")[:200],
        audio_url=first("audioUrl", "audio_url", "sourceAudioUrl", "source_audio_url"),
        image_url=first("imageUrl", "image_url", "sourceImageUrl", "source_image_url"),
        title=first("title")[:300],
        tags=first("tags")[:1000],
        lyrics=first("prompt")[:20_000],
        duration_ms=round(seconds * 1000) if known else 0,  # type: ignore[operator]
        created_ms=instant_ms(said.get("createTime", said.get("create_time"))),
    )


def _asked_for(param: object) -> Mapping[str, Any] | None:
    """The request as the record repeats it: an object, or one written out as text."""
    if isinstance(param, str):
        return _object(param.encode("utf-8", "replace"))
    return param if isinstance(param, Mapping) else None


def _task_of(said: Mapping[str, Any]) -> str:
    data = said.get("data")
    if not isinstance(data, Mapping):
        return ""
    task = _text(data.get("taskId") or data.get("task_id"))
    return task if len(task) <= 200 and task.isprintable() else ""


def _object(body: bytes) -> Mapping[str, Any] | None:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, Mapping) else None


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isdecimal() and len(value) < 6:
        return int(value)
    return value if isinstance(value, int) else None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _text_of(body: bytes) -> str:
    return "an HTML page" if b"<" in body[:200] else body[:100].decode("utf-8", "replace")


def _words(text: str) -> str:
    """One line for people, without secrets."""
    return redacted(" ".join(text.split()))[:_DETAIL]
