"""Records that wait for another try, and dead letters: the same bytes, with headers of our own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from topics import catalog
from topics.codec import Codec, Poison
from topics.log import Headers, Outgoing, Record
from topics.logs import redacted

_TRY = "melisma.retry.try"
_DUE = "melisma.retry.due-ms"
_ORIGIN = "melisma.retry.origin"
_READ = frozenset((_TRY, _DUE, _ORIGIN))
_OURS = ("melisma.retry.", "melisma.error.")
_LONGEST = 4000  # characters of an error message in a header


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record was first read."""

    topic: str  # on the log
    partition: int
    offset: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Turn:
    """Which try a record is for, when it is due, and where it came from."""

    origin: Origin
    try_number: int = 1
    due_ms: int = 0  # Unix time


def turn_of(record: Record) -> Turn:
    """Read the headers of a record that waited; any other record is its own origin at try 1.

    Raises `Poison` when they are not what `retry` wrote.
    """
    ours = {name: value for name, value in record.headers if name in _READ}
    if not ours:
        return Turn(_place(record))
    try:
        return Turn(Origin(**json.loads(ours[_ORIGIN])), int(ours[_TRY]), due_ms=int(ours[_DUE]))
    except (KeyError, ValueError, TypeError) as error:
        raise Poison(f"the headers of a waiting record are damaged: {error!r}") from error


def retry(
    record: Record, turn: Turn, *, stage: str, tier: str, next_try: int, due_ms: int, codec: Codec
) -> Outgoing:
    """The record again, for the topic of its delay tier."""
    return Outgoing(
        topic=codec.on_log(catalog.retry_topic(stage, tier)),
        key=record.key,
        value=record.value,
        headers=(
            *_theirs(record.headers),
            (_TRY, str(next_try).encode()),
            (_DUE, str(due_ms).encode()),
            (_ORIGIN, json.dumps(asdict(turn.origin)).encode()),
        ),
    )


def waiting(
    record: Outgoing, *, origin: Origin, stage: str, tier: str, due_ms: int, codec: Codec
) -> Outgoing:
    """A new record for the topic of a delay tier, as if ``origin`` had been its first topic."""
    return Outgoing(
        topic=codec.on_log(catalog.retry_topic(stage, tier)),
        key=record.key,
        value=record.value,
        headers=(
            *_theirs(record.headers),
            (_TRY, b"1"),
            (_DUE, str(due_ms).encode()),
            (_ORIGIN, json.dumps(asdict(origin)).encode()),
        ),
    )


def dead_letter(
    record: Record,
    *,
    origin: Origin,
    tries: int,
    stage: str,
    kind: str,
    code: str,
    message: str,
    codec: Codec,
) -> Outgoing:
    """The record as it was, with what happened to it."""
    said = {
        "stage": stage,
        "class": kind,
        "code": code,
        "message": redacted(message)[:_LONGEST],
        "topic": origin.topic,
        "partition": str(origin.partition),
        "offset": str(origin.offset),
        "timestamp": str(origin.timestamp_ms),
        "attempts": str(tries),
    }
    return Outgoing(
        topic=codec.on_log(catalog.dead_letter_topic(stage)),
        key=record.key,
        value=record.value,
        headers=(
            *_theirs(record.headers),
            *((f"melisma.error.{name}", value.encode()) for name, value in said.items()),
        ),
    )


def unreadable(record: Record, poison: Poison, *, stage: str, codec: Codec) -> Outgoing:
    """The dead letter of a record that is no event. Nobody worked on it, so it counts no try."""
    try:
        origin = turn_of(record).origin
    except Poison:
        origin = _place(record)
    return dead_letter(
        record,
        origin=origin,
        tries=0,
        stage=stage,
        kind=type(poison).__name__,
        code=poison.code,
        message=str(poison),
        codec=codec,
    )


def _place(record: Record) -> Origin:
    return Origin(record.topic, record.partition, record.offset, record.timestamp_ms)


def _theirs(headers: Headers) -> Headers:
    return tuple(pair for pair in headers if not pair[0].startswith(_OURS))
