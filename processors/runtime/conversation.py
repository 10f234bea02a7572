"""What a worker and its child process say to each other: JSON frames over a socket.

JSON, because a child reads hostile media: what comes out of it is data, never code.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from processors.runtime.later import Later
from schemas.events import EVENTS, Event

_LENGTH = struct.Struct(">I")
_LONGEST = 16 * 1024 * 1024  # bytes of a frame; events are a few kB


class Broken(Exception):
    """The other side sent what is no message, or stopped in the middle of one."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Worker to child, first: what it is. The child trusts its worker, so this may be a pickle."""

    origin: str  # of the stage
    settings: str  # base64 of the pickled `StageSettings`


@dataclass(frozen=True, slots=True)
class Begin:
    """Worker to child: work on this."""

    topic: str
    event: Mapping[str, Any]  # the wire form of the event
    cause: str  # id of the event
    traceparent: str
    try_number: int
    folder: str  # scratch, made and removed by the worker


@dataclass(frozen=True, slots=True)
class Ready:
    """Child to worker: the stage is imported."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Child to worker: a share of the step is done."""

    share: float  # 0 to 1
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sized:
    """Child to worker: how long the material is, which sets the limits of the try."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """Child to worker: waits for another worker's result (or no longer); the limits wait too."""

    begins: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """Child to worker: the handler made these events (topic, wire form).

    ``later`` holds (seconds, jitter) of those that come back to the stage, by their place.
    """

    events: tuple[tuple[str, Mapping[str, Any]], ...]
    later: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """Child to worker: the handler raised. ``outcome`` is rejected, postponed or crashed."""

    outcome: str
    code: str
    message: str
    after_s: float = 0.0
    kind: str = ""
    detail: str = ""


Sign = Progress | Sized | Waiting
"""What a task tells while it runs."""

Message = Hello | Begin | Ready | Progress | Sized | Waiting | Returned | Failed

_KINDS: Mapping[str, type[Message]] = {
    kind.__name__: kind
    for kind in (Hello, Begin, Ready, Progress, Sized, Waiting, Returned, Failed)
}


def packed(event: Event) -> tuple[str, Mapping[str, Any]]:
    """An event as `Begin` and `Returned` carry it."""
    return event.topic, event.to_wire()


def unpacked(topic: str, wire: Mapping[str, Any]) -> Event:
    """The event that was packed. Raises `Broken`."""
    try:
        return EVENTS[topic].from_wire(wire)
    except (KeyError, TypeError, AttributeError) as error:
        raise Broken(f"no event of topic '{topic}': {error!r}") from error


def returned(made: Sequence[Event | Later]) -> Returned:
    """What a handler made, as its child says it."""
    events = [one.event if isinstance(one, Later) else one for one in made]
    return Returned(
        tuple(packed(event) for event in events),
        {str(n): (o.after_s, o.jitter) for n, o in enumerate(made) if isinstance(o, Later)},
    )


def made_by(message: Returned) -> tuple[Event | Later, ...]:
    """The events of `returned`. Raises `Broken`."""
    events = [unpacked(topic, wire) for topic, wire in message.events]
    try:
        return tuple(
            Later(event, *map(float, message.later[str(place)]))
            if str(place) in message.later
            else event
            for place, event in enumerate(events)
        )
    except (TypeError, ValueError) as error:
        raise Broken(f"no delay: {error!r}") from error


def encode(message: Message) -> bytes:
    """A message as a frame. Raises `ValueError` for NaN, `TypeError` for what JSON cannot say."""
    body = json.dumps(
        {"is": type(message).__name__, **asdict(message)}, ensure_ascii=False, allow_nan=False
    ).encode("utf-8", "surrogatepass")
    return _LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """The message of a frame's body. Raises `Broken`."""
    try:
        said = json.loads(body.decode("utf-8", "surrogatepass"))
        kind = _KINDS[said.pop("is")]
        return kind(**said)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Broken(f"not a message: {error!r}") from error


class Line:
    """One end of the socket. Any thread may say; one thread hears."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._saying = threading.Lock()

    def fileno(self) -> int:
        """For select."""
        return self._end.fileno()

    def say(self, message: Message) -> None:
        """Send a message. Raises `OSError` when the other side is gone or stands still."""
        frame = encode(message)
        with self._saying:
            self._end.sendall(frame)

    def hear(self) -> Message | None:
        """The next message, None once the other side is gone. Raises `Broken`."""
        head = self._exactly(_LENGTH.size)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        if length > _LONGEST:
            raise Broken(f"a frame of {length} bytes")
        body = self._exactly(length)
        return None if body is None else decode(body)

    def _exactly(self, count: int) -> bytes | None:
        got = bytearray()
        while len(got) < count:
            try:
                piece = self._end.recv(count - len(got))
            except ConnectionError:
                return None
            except TimeoutError as error:
                raise Broken("stopped in the middle of a message") from error
            if not piece:
                return None
            got += piece
        return bytes(got)

    def close(self) -> None:
        """Hang up."""
        self._end.close()
