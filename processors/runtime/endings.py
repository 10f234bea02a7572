"""What a worker writes about a record when it is done with it. Pure: records in, records out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from processors.runtime import records
from processors.runtime.declaration import Stage
from processors.runtime.delays import waiting_record
from processors.runtime.jobs import Job, job_of
from processors.runtime.later import Later
from processors.runtime.metrics import Ending
from processors.runtime.outcomes import Crashed, Failure, Rejected
from processors.runtime.records import Turn
from processors.runtime.retry import GiveUp, decide
from schemas.events import Event, JobFailed, StepFailed, StepProgressed
from topics.codec import Codec, Envelope, Poison
from topics.log import LogError, Outgoing, Record, TopicPartition

WRITTEN = (StepProgressed.topic, StepFailed.topic, JobFailed.topic)
"""What every stage writes besides the events that it declares."""


@dataclass(frozen=True, slots=True)
class Input:
    """A record, read."""

    record: Record
    turn: Turn
    envelope: Envelope
    job: Job | None


@dataclass(frozen=True, slots=True)
class Settled:
    """A record that the worker is done with: what goes out in the transaction that commits it."""

    tp: TopicPartition
    offset: int  # the next one to read
    ending: Ending | None = None  # None: not this stage's turn
    outgoing: tuple[Outgoing, ...] = ()

    @property
    def dead(self) -> bool:
        """Whether a dead letter is among it, which must not be lost."""
        return self.ending in ("rejected", "spent", "poison")


def read(record: Record, codec: Codec) -> Input:
    """Decode a record of an input or retry topic.

    Raises `Poison`, and `LogError` when the registry cannot say in which schema it is written.
    """
    turn = records.turn_of(record)
    try:
        envelope = codec.decode(record, codec.in_catalog(turn.origin.topic))
    except (Poison, LogError):
        raise
    except Exception as error:  # whatever bytes lead a decoder to is about the bytes
        raise Poison(f"the record cannot be read: {error!r}") from error
    return Input(record, turn, envelope, job_of(envelope.event))


class Endings:
    """The records of one stage's endings."""

    def __init__(self, stage: Stage, codec: Codec) -> None:
        self._stage = stage
        self._codec = codec

    def poison(self, record: Record, poison: Poison) -> Settled:
        """Bytes that are no event: to the dead letters, as they are."""
        letter = records.unreadable(record, poison, stage=self._stage.name, codec=self._codec)
        return _settled(record, "poison", (letter,))

    def dropped(self, record: Record, ending: Ending | None) -> Settled:
        """Nothing goes out: not this stage's turn, canceled, stale."""
        return _settled(record, ending, ())

    def canceled(self, work: Input, sign: StepProgressed | None, span: str, now_ms: int) -> Settled:
        """The job was canceled while it was worked on."""
        return _settled(work.record, "canceled", self.signs(work, (sign,), span, now_ms))

    def finished(
        self,
        work: Input,
        events: Sequence[Event | Later],
        sign: StepProgressed | None,
        span: str,
        now_ms: int,
    ) -> Settled:
        """The handler returned. Raises whatever encoding events that are not right leads to."""
        seen: dict[str, int] = {}
        outgoing = []
        for made in events:
            event = made.event if isinstance(made, Later) else made
            part = self._attempt(work)
            if before := seen.get(event.topic, 0):
                part += f", {before}"
            seen[event.topic] = before + 1
            envelope = self._envelope(work, event, part, span, now_ms)
            outgoing.append(
                waiting_record(made, envelope, stage=self._stage.name, codec=self._codec)
                if isinstance(made, Later)
                else self._codec.encode(envelope)
            )
        if sign is not None:
            outgoing += self.signs(work, (sign,), span, now_ms)
        return _settled(work.record, "finished", tuple(outgoing))

    def failed(self, work: Input, failure: Failure, span: str, now_ms: int) -> Settled:
        """The try failed: another one in a while, or the dead letters and the end of the job."""
        stage, turn = self._stage, work.turn
        decision = decide(stage.retry, failure, turn.try_number)
        outgoing: list[Outgoing] = []
        if isinstance(decision, GiveUp):
            ending: Ending = "rejected" if isinstance(failure, Rejected) else "spent"
            kind = failure.kind if isinstance(failure, Crashed) else type(failure).__name__
            detail = failure.detail if isinstance(failure, Crashed) else ""
            outgoing.append(
                records.dead_letter(
                    work.record,
                    origin=turn.origin,
                    tries=decision.tries,
                    stage=stage.name,
                    kind=kind,
                    code=failure.code,
                    message=detail or failure.message,
                    codec=self._codec,
                )
            )
            retry_after_ms = -1
        else:
            ending = "retried"
            outgoing.append(
                records.retry(
                    work.record,
                    turn,
                    stage=stage.name,
                    tier=decision.tier,
                    next_try=decision.next_try,
                    due_ms=now_ms + decision.delay_ms,
                    codec=self._codec,
                )
            )
            retry_after_ms = decision.delay_ms
        if work.job is not None:
            about = {
                **work.job.fields(),
                "stage": stage.name,
                "try_number": turn.try_number,
                "code": failure.code,
                "message": _by(stage, failure.message),
            }
            step = StepFailed(**about, retry_after_ms=retry_after_ms)  # type: ignore[arg-type]
            part = f"{self._attempt(work)}, try {turn.try_number}"
            outgoing.append(self._encode(work, step, part, span, now_ms))
            if isinstance(decision, GiveUp):
                job = JobFailed(**about, **work.job.told())  # type: ignore[arg-type]
                outgoing.append(self._encode(work, job, self._attempt(work), span, now_ms))
        return _settled(work.record, ending, tuple(outgoing))

    def signs(
        self, work: Input, signs: Sequence[StepProgressed | None], span: str, now_ms: int
    ) -> tuple[Outgoing, ...]:
        """The records of life signs."""
        return tuple(
            self._encode(
                work,
                sign,
                f"{self._attempt(work)}, try {sign.try_number}, sequence {sign.sequence}",
                span,
                now_ms,
            )
            for sign in signs
            if sign is not None
        )

    def _attempt(self, work: Input) -> str:
        return f"attempt {work.job.attempt}" if work.job else ""

    def _encode(self, work: Input, event: Event, part: str, span: str, now_ms: int) -> Outgoing:
        return self._codec.encode(self._envelope(work, event, part, span, now_ms))

    def _envelope(self, work: Input, event: Event, part: str, span: str, now_ms: int) -> Envelope:
        return Envelope.caused(
            event,
            by=work.envelope.id,
            source=self._stage.name,
            time_ms=now_ms,
            traceparent=span,
            part=part,
        )


def _by(stage: Stage, message: str) -> str:
    said = f"{stage.name}: "
    return message if message.startswith(said) else said + message


def _settled(record: Record, ending: Ending | None, outgoing: tuple[Outgoing, ...]) -> Settled:
    return Settled(record.tp, record.offset + 1, ending, outgoing)
