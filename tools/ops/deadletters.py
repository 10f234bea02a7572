"""Dead letters: what they say, and which of them may be written to their topics again. Mostly pure.

A log only grows, so what an operator did about a letter is a mark of its own (`Mark`), keyed by
the letter's place, in a topic that keeps the newest mark of each. A replay and its mark are one
transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, Self

from processors.runtime.control import Verdicts
from processors.runtime.jobs import job_of
from schemas.work import ADMISSION, DELIVERY, EVERY_STAGE
from tools.ops import headers, reading
from topics.catalog import CATALOG, CONTROL, HANDLED, dead_letter_topic
from topics.codec import Codec, Envelope, Poison
from topics.log import Headers, Log, Outgoing, Producer, Record

PROJECTOR = "projector"
OWNERS = (*EVERY_STAGE, PROJECTOR, ADMISSION, DELIVERY)
"""Who has a dead-letter topic."""

_ERROR = "melisma.error."
_NOT_THEIRS = (_ERROR, "melisma.retry.", headers.PREFIX)


@dataclass(frozen=True, slots=True)
class Mark:
    """What an operator did about a letter."""

    action: Literal["replayed", "dropped"]
    reason: str
    at_ms: int
    by: str = ""
    replay_id: str = ""

    def to_bytes(self) -> bytes:
        """The value of the mark's record."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, value: bytes) -> Self:
        """Read `to_bytes`. Raises ValueError."""
        try:
            return cls(**json.loads(value))
        except TypeError as error:
            raise ValueError("the mark is damaged") from error


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter with what its headers say of it."""

    owner: str
    """The stage that gave up, or the projector."""
    record: Record
    event: Envelope | None
    """None when the bytes are no event."""
    poison: str = ""
    """Why they are none."""
    mark: Mark | None = None

    @property
    def id(self) -> str:
        """What operators name it by: owner/partition/offset."""
        return f"{self.owner}/{self.record.partition}/{self.record.offset}"

    def said(self, name: str) -> str:
        """One of the ``melisma.error.*`` headers; empty when missing."""
        return headers.text(self.record.headers, _ERROR + name)

    @property
    def origin(self) -> str:
        """Where the record was first read: topic/partition/offset, topic as on the log."""
        place = (self.said("topic"), self.said("partition"), self.said("offset"))
        return "/".join(place) if all(place) else ""

    @property
    def job_id(self) -> str:
        """The job it belongs to; empty when nobody can tell."""
        job = job_of(self.event.event) if self.event is not None else None
        return job.job_id if job is not None else ""

    @property
    def replays(self) -> int:
        """How often its record was replayed before it ended here."""
        return headers.number(self.record.headers, headers.COUNT)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant; each given condition must hold."""

    ids: Collection[str] = ()
    owner: str = ""
    code: str = ""
    job_id: str = ""
    from_ms: int | None = None
    to_ms: int | None = None
    handled: bool = False
    """Those, too, that were replayed or dropped."""

    def takes(self, letter: Letter) -> bool:
        """Whether the letter is meant."""
        at_ms = letter.record.timestamp_ms
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.owner or letter.owner == self.owner)
            and (not self.code or letter.said("code") == self.code)
            and (not self.job_id or letter.job_id == self.job_id)
            and (self.from_ms is None or at_ms >= self.from_ms)
            and (self.to_ms is None or at_ms < self.to_ms)
            and (self.handled or letter.mark is None)
        )


@dataclass(frozen=True, slots=True)
class Resend:
    """A record to write to its topic again, for one or more letters about it."""

    letters: Sequence[Letter]

    @property
    def letter(self) -> Letter:
        """The one whose bytes are sent; all of them are of one record."""
        return self.letters[0]

    def outgoing(self, replay_id: str, reason: str) -> Outgoing:
        """The record as it was, with who sent it again and why."""
        record = self.letter.record
        about: Mapping[str, str] = {
            headers.ID: replay_id,
            headers.COUNT: str(max(letter.replays for letter in self.letters) + 1),
            headers.OF: self.letter.id,
            headers.REASON: reason,
        }
        theirs: Headers = tuple(p for p in record.headers if not p[0].startswith(_NOT_THEIRS))
        return Outgoing(
            topic=self.letter.said("topic"),
            key=record.key,
            value=record.value,
            headers=(*theirs, *((name, text.encode()) for name, text in about.items())),
        )


@dataclass(frozen=True, slots=True)
class Left:
    """A letter that is not replayed."""

    letter: Letter
    why: str


def topics(codec: Codec) -> dict[str, str]:
    """Dead-letter topics on the log and whose they are."""
    return {codec.on_log(dead_letter_topic(owner)): owner for owner in OWNERS}


def read(
    log: Log,
    codec: Codec,
    wanted: Filter,
    progress: reading.Progress = lambda read: None,
) -> Iterator[Letter]:
    """The letters that the filter takes, in no particular order of time."""
    done = marks(log, codec)
    owners = topics(codec)
    chosen = [topic for topic, owner in owners.items() if wanted.owner in ("", owner)]
    for record in reading.records(log, chosen, progress=progress):
        letter = letter_of(record, owners[record.topic], codec)
        letter = replace(letter, mark=done.get(letter.id))
        if wanted.takes(letter):
            yield letter


def letter_of(record: Record, owner: str, codec: Codec) -> Letter:
    """A record of a dead-letter topic, decoded as far as its bytes let it."""
    topic = headers.text(record.headers, f"{_ERROR}topic")
    try:
        return Letter(owner, record, codec.decode(record, codec.in_catalog(topic)))
    except Poison as poison:
        return Letter(owner, record, None, str(poison))


def marks(log: Log, codec: Codec) -> dict[str, Mark]:
    """The newest mark of each letter, by the letter's id."""
    found: dict[str, Mark] = {}
    for record in reading.records(log, [codec.on_log(HANDLED)]):
        if record.key is None or record.value is None:
            continue
        try:
            found[record.key.decode(errors="replace")] = Mark.from_bytes(record.value)
        except ValueError:
            continue  # nobody's mark: the letter stays open
    return found


def verdicts(log: Log, codec: Codec) -> Verdicts:
    """Which jobs were canceled or tried again since."""
    found = Verdicts()
    for record in reading.records(log, [codec.on_log(name) for name in CONTROL]):
        try:
            found.add(codec.decode(record).event)
        except Poison:
            continue
    return found


def plan(
    letters: Iterable[Letter],
    verdicts: Verdicts,
    on_log: Collection[str],
    *,
    max_replays: int,
    again: bool = False,
) -> tuple[list[Resend], list[Left]]:
    """Which records to send, and why the other letters are left.

    Several stages read some topics; letters about one record make one resend. The order of the
    letters does not matter.
    """
    by_origin: dict[str, list[Letter]] = {}
    left: list[Left] = []
    for letter in sorted(letters, key=lambda one: one.id):
        why = _refusal(letter, verdicts, on_log, max_replays=max_replays, again=again)
        if why:
            left.append(Left(letter, why))
        else:
            by_origin.setdefault(letter.origin, []).append(letter)
    return [Resend(tuple(same)) for same in by_origin.values()], left


def _refusal(
    letter: Letter,
    verdicts: Verdicts,
    on_log: Collection[str],
    *,
    max_replays: int,
    again: bool,
) -> str:
    if letter.mark is not None and not again:
        return f"it was {letter.mark.action} already ({letter.mark.reason}); --again repeats it"
    if not letter.origin:
        return "its headers do not say which topic it came from"
    if letter.owner == PROJECTOR:
        return "the projector reads its topic whole: `melisma rebuild` once the cause is mended"
    if letter.said("topic") not in on_log:
        return f"its topic '{letter.said('topic')}' is not on the log"
    if letter.replays >= max_replays:
        return f"it was replayed {letter.replays} times and came back; see --max-replays"
    job = job_of(letter.event.event) if letter.event is not None else None
    if job is not None and verdicts.is_canceled(job.job_id, job.attempt):
        return f"{job.job_id} was canceled"
    if job is not None and verdicts.is_stale(job.job_id, job.attempt):
        return f"{job.job_id} was tried again since"
    return ""


def resend(producer: Producer, codec: Codec, resends: Iterable[Resend], mark: Mark) -> None:
    """Write records to their topics and mark their letters, all of it in one transaction."""
    with producer.transaction() as transaction:
        for each in resends:
            transaction.send(each.outgoing(mark.replay_id, mark.reason))
            for letter in each.letters:
                transaction.send(_marked(letter, codec, mark))


def drop(producer: Producer, codec: Codec, letters: Iterable[Letter], mark: Mark) -> None:
    """Mark letters as dropped, in one transaction. Their bytes stay in the topic."""
    with producer.transaction() as transaction:
        for letter in letters:
            transaction.send(_marked(letter, codec, mark))


def _marked(letter: Letter, codec: Codec, mark: Mark) -> Outgoing:
    return Outgoing(codec.on_log(HANDLED), mark.to_bytes(), letter.id.encode())


def known_topic(letter: Letter, codec: Codec) -> str:
    """The catalog's name of the letter's topic; empty for one that is not in it."""
    name = codec.in_catalog(letter.said("topic"))
    return name if name in CATALOG else ""
