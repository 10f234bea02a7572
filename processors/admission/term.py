"""One worker's time as the one who admits: from taking over the partition of requests to losing it.

Beginning is reading: the requests from the oldest open one, then what became of them. Nothing is
released before all that was written until then is known. The producer has one name for all
workers, so that making it fences a predecessor that still believes it is its turn; what that one
had committed is read, and nothing of it can follow. Hence each item is released once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from processors.admission import metrics
from processors.admission.following import Follower
from processors.admission.marks import Marks
from processors.admission.room import Item, Limits, Release, Room
from processors.runtime.clock import Clock
from processors.runtime.control import Verdicts
from processors.runtime.records import unreadable
from schemas.events import (
    AdmissionReported,
    Event,
    ExtractionAdmitted,
    ExtractionRequested,
    FeaturesExtracted,
    JobCanceled,
    JobFailed,
    StepFailed,
)
from schemas.work import ADMISSION as NAME
from topics import logs
from topics.admission import WaitingRoom
from topics.codec import Codec, Envelope, Poison
from topics.log import Consumer, Log, Outgoing, Record, TopicPartition

TOLD = (ExtractionAdmitted, FeaturesExtracted, StepFailed, JobFailed)
"""What tells of items besides their requests and cancels."""

_AT_ONCE = 500  # records of one transaction: some 500 kB
_TIDY_S = 1.0  # between two commits of what is done, and between two reports
_RATE_S = 60.0  # over which the items done a second are counted

_logger = logs.get(__name__)


class Term:
    """Belongs to the thread that polls ``consumer``. Any error of the log ends it."""

    def __init__(
        self,
        log: Log,
        codec: Codec,
        consumer: Consumer,
        limits: Limits,
        clock: Clock,
        *,
        wake: Callable[[], None],
    ) -> None:
        self._codec = codec
        self._consumer = consumer
        self._clock = clock
        self._requests = TopicPartition(codec.on_log(ExtractionRequested.topic), 0)
        self._producer = log.producer(codec.on_log(NAME))
        try:
            told = [codec.on_log(kind.topic) for kind in TOLD]
            canceled = codec.on_log(JobCanceled.topic)
            report = _last_report(log, codec)
            start = {tp: at for tp, at in _marks(report, codec).items() if tp.topic in told}
            count = log.topics()[codec.on_log(ExtractionAdmitted.topic)]
            self._room = Room(limits, count)
            if report is not None:
                self._room.remember(report.sequence, report.virtual_now, report.served)
            self._marks = Marks(start)
            self._committed = consumer.committed(self._requests) or 0
            self._marks.requests = self._committed
            self._reads = log.reader([*told, canceled], start=start)
        except BaseException:
            self._producer.close()
            raise
        self._wake = wake
        self._follower: Follower | None = None
        self._verdicts = Verdicts()
        self._canceled: dict[str, JobCanceled] = {}
        self._to_cancel: set[str] = set()
        self._known = False
        self._unwritten: list[Outgoing] = []
        self._done_s: deque[float] = deque()
        self._tidied_s = float("-inf")
        self._reported: AdmissionReported | None = None

    @property
    def known(self) -> bool:
        """Whether everything is read that was written before this term."""
        return self._known

    def turn(self, requests: Sequence[Record]) -> bool:
        """Take in what came, release whose turn it is; True when there is more to do at once."""
        for record in requests:
            self._asked(record)
        if self._follower is None:
            # What is told of an item means something only behind its request.
            if not self._consumer.caught_up():
                return False
            self._follower = Follower(self._reads, self._wake)
        for record in self._follower.records():
            self._told(record)
        if not self._known:
            if not self._follower.known:
                return False
            self._known = True
        self._cancel()
        more = self._release()
        self._tidy()
        return more

    def close(self) -> None:
        """Let go of everything; what is not committed never was."""
        if self._follower is not None:
            self._follower.close()
        else:
            self._reads.close()
        self._producer.close()

    # What is read.

    def _asked(self, record: Record) -> None:
        try:
            envelope = self._codec.decode(record)
        except Poison as poison:
            _logger.error(
                "poison goes to the dead letters", offset=record.offset, error=str(poison)
            )
            self._unwritten.append(unreadable(record, poison, stage=NAME, codec=self._codec))
            self._marks.asked(record.offset)
            self._marks.done(record.offset, None)
            return
        event = envelope.event
        assert isinstance(event, ExtractionRequested)
        item = Item(event, envelope.id, record.offset, record.timestamp_ms, envelope.traceparent)
        self._marks.asked(record.offset)
        before = self._room.items.get(item.id)
        if self._verdicts.is_canceled(item.id, item.attempt) or not self._room.ask(item):
            self._marks.done(record.offset, None)
            return
        if before is not None:
            self._marks.done(before.offset, None)
        if self._verdicts.is_canceled(item.task, item.attempt):
            self._to_cancel.add(item.task)

    def _told(self, record: Record) -> None:
        if record.topic != self._codec.on_log(JobCanceled.topic):
            self._marks.saw(record.tp, record.offset)
        try:
            event = self._codec.decode(record).event
        except Poison as poison:
            _logger.error(
                "no event; left out",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                error=str(poison),
            )
            return
        match event:
            case ExtractionAdmitted():
                item = self._room.items.get(event.work.job_id)
                if item is not None and item.attempt == event.work.attempt:
                    self._marks.told(item.offset, record.tp, record.offset)
                self._room.released(event, record.partition)
            case FeaturesExtracted():
                self._over(event.work.job_id, event.work.attempt, record)
            case StepFailed():
                # Its next try comes by itself, through a delay topic.
                item = self._room.put_off(event.job_id, event.attempt)
                if item is not None:
                    self._marks.told(item.offset, record.tp, record.offset)
            case JobFailed():
                self._over(event.job_id, event.attempt, record)
            case JobCanceled():
                self._verdicts.add(event)
                self._canceled[event.job_id] = event
                self._over(event.job_id, event.attempt, None)
                self._to_cancel.add(event.job_id)
            case _:
                pass

    def _over(self, item_id: str, attempt: int, by: Record | None) -> None:
        item = self._room.ended(item_id, attempt)
        if item is not None:
            self._marks.done(item.offset, (by.tp, by.offset) if by else None)
            if by is not None:
                self._done_s.append(self._clock.monotonic_s())

    # What is written.

    def _cancel(self) -> None:
        """The open items of canceled tasks end, each by an event of its own."""
        for task in self._to_cancel:
            order = self._canceled.get(task)
            if order is None:
                continue
            for item in self._room.of_task(task, order.attempt):
                work = item.event.work
                event = replace(order, job_id=item.id, track_id=work.track_id, attempt=item.attempt)
                self._tell(event, item)
                self._over(item.id, item.attempt, None)
                metrics.ENDED.labels("canceled").inc()
        self._to_cancel.clear()

    def _release(self) -> bool:
        while len(self._unwritten) < _AT_ONCE:
            release = self._room.next()
            if release is None:
                break
            event = self._admitted(release)
            self._room.released(event, release.partition)
            self._tell(event, release.item, release.partition)
            metrics.WAITED.observe(event.waited_seconds)
        more = self._room.next() is not None
        if self._unwritten:
            self._write(self._unwritten)
            self._unwritten = []
        return more

    def _admitted(self, release: Release) -> ExtractionAdmitted:
        item = release.item
        return ExtractionAdmitted(
            work=item.event.work,
            extraction=item.event.extraction,
            sequence=release.sequence,
            virtual_start=release.start,
            virtual_finish=release.finish,
            waited_seconds=max(self._clock.wall_ms() - item.arrived_ms, 0) / 1000,
        )

    def _tell(self, event: Event, item: Item, partition: int | None = None) -> None:
        envelope = Envelope.caused(
            event,
            by=item.cause,
            source=NAME,
            time_ms=self._clock.wall_ms(),
            traceparent=item.traceparent,
            part=f"attempt {item.attempt}",
        )
        self._unwritten.append(replace(self._codec.encode(envelope), partition=partition))

    def _tidy(self) -> None:
        """Now and then: let a successor begin later, and tell how full the room is."""
        now_s = self._clock.monotonic_s()
        if now_s - self._tidied_s < _TIDY_S:
            return
        self._tidied_s = now_s
        while self._done_s and now_s - self._done_s[0] > _RATE_S:
            self._done_s.popleft()
        metrics.WAITING.set(self._room.waiting)
        metrics.IN_FLIGHT.set(self._room.in_flight)
        self._room.forget_the_past()
        report = AdmissionReported(
            reporter_id=NAME,
            waiting=self._room.waiting,
            in_flight=self._room.in_flight,
            waiting_seconds=round(self._room.waiting_s, 3),
            items_per_second=round(len(self._done_s) / _RATE_S, 4),
            clients=self._room.clients(),
            sequence=self._room.sequence,
            virtual_now=self._room.now,
            served=dict(self._room.served),
            marks={
                f"{self._codec.in_catalog(tp.topic)}/{tp.partition}": at
                for tp, at in self._marks.marks().items()
            },
        )
        if report == self._reported:
            if self._marks.low_water() > self._committed:
                self._write([])
            return
        self._reported = report
        now_ms = self._clock.wall_ms()
        envelope = Envelope.caused(
            replace(report, reported_ms=now_ms),
            by=f"{now_ms} {report.sequence}",
            source=NAME,
            time_ms=now_ms,
            traceparent="",
        )
        self._write([self._codec.encode(envelope)])

    def _write(self, records: Sequence[Outgoing]) -> None:
        """Everything with the offset of the requests, which only their owner may commit."""
        low = self._marks.low_water()
        with self._producer.transaction() as transaction:
            for record in records:
                transaction.send(record)
            transaction.commit_offsets(self._consumer, {self._requests: low})
        self._committed = low


def _last_report(log: Log, codec: Codec) -> AdmissionReported | None:
    room = WaitingRoom(log, codec)
    room.refresh()
    return room.latest


def _marks(report: AdmissionReported | None, codec: Codec) -> dict[TopicPartition, int]:
    found: dict[TopicPartition, int] = {}
    for name, at in (report.marks if report else {}).items():
        topic, _, partition = name.rpartition("/")
        found[TopicPartition(codec.on_log(topic), int(partition))] = at
    return found
