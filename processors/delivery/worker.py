"""The loop of a delivery worker: what is owed is read, attempted, and how it went written down.

The worker owns partitions of ``webhook-attempted`` and with them endpoints. One thread reads and
writes the log and decides; another (`courier`) sends. An attempt that was made is written before
the offset behind it is committed, so whatever dies in between is attempted again under the same
``webhook-id``: at least once, never lost.
"""

from __future__ import annotations

import random
import threading
from contextlib import suppress

from processors.delivery import metrics
from processors.delivery.attempts import after, given_up
from processors.delivery.courier import Courier, Errand, Report
from processors.delivery.fanout import SOURCE
from processors.delivery.judging import disabled, news_of, probe_of, reenabled
from processors.delivery.owed import Delivery, Name, Partition, name_of
from processors.delivery.queue import Queue
from processors.delivery.sending import GONE, Answer
from processors.delivery.settings import DeliverySettings
from processors.runtime.clock import Clock
from processors.runtime.records import unreadable
from schemas.events import Event, WebhookAttempted
from schemas.webhooks import DELIVERED, PROBE
from schemas.work import DELIVERY
from topics import logs
from topics.catalog import dead_letter_topic
from topics.codec import Codec, Envelope, Poison
from topics.log import Consumer, Log, LogError, Outgoing, Producer, Record, TopicPartition
from topics.log.partitioner import partition_of
from topics.webhooks import Directory, Endpoint

GROUP = "delivery"

_TURN_S = 0.5  # longest wait in one turn: bounds what a missed wake-up costs
_RECORDS = 2000  # taken in one poll
_COMMIT_S = 1.0  # between two commits of offsets: what a successor reads twice at most
_LOOK_S = 0.25  # between two looks at what owners changed
_PROBES_S = 5.0  # between two looks for disabled endpoints that are due a probe
_RESTORED_S = 3.0  # of silence behind which a partition counts as read to its end
_RESTORING_S = 0.05  # longest wait in a turn until then
_DRAIN_S = 5.0  # what is under way may end when the worker is told to stop
_AGAIN_S = 1.0
_UNTRIED_MS = 5_000  # until another try of what could not be tried at all

_logger = logs.get(__name__)


class Worker:
    """Deliveries of the partitions it is given. `run` blocks; `wake` is for other threads."""

    def __init__(
        self,
        settings: DeliverySettings,
        *,
        log: Log,
        codec: Codec,
        directory: Directory,
        courier: Courier,
        clock: Clock,
        name: str,
        chance: random.Random,
    ) -> None:
        self._log = log
        self._codec = codec
        self._directory = directory
        self._courier = courier
        self._clock = clock
        self._chance = chance
        self._topic = codec.on_log(WebhookAttempted.topic)
        self._group = codec.on_log(GROUP)
        self._name = f"{self._group}.{name}"
        self._schedule = settings.schedule()
        self._policy = settings.health()
        self._probe_ms = round(1000 * settings.webhook_probe_seconds)
        self._queue = Queue(
            self._policy,
            at_once=settings.webhook_concurrency,
            an_endpoint=settings.webhook_endpoint_concurrency,
        )
        self._partitions: dict[TopicPartition, Partition] = {}
        self._restoring: dict[TopicPartition, tuple[int, float]] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._unwritten: list[Outgoing] = []
        self._buried: set[tuple[int, int]] = set()
        self._probed_ms: dict[str, int] = {}
        self._seen = -1  # version of the directory
        self._next_commit_s = self._next_look_s = self._next_probes_s = 0.0
        self._consumer: Consumer | None = None
        self._producer: Producer | None = None
        self._count = 1
        self.moved_s = clock.monotonic_s()
        """When the loop last turned."""

    def wake(self) -> None:
        """Look again: an attempt has ended."""
        if (consumer := self._consumer) is not None:
            consumer.wake()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``. What fails in between is tried again for as long as it takes."""
        while not stop.is_set():
            try:
                self._log.provision({self._codec.on_log(dead_letter_topic(DELIVERY)): 1})
                self._count = self._log.topics()[self._topic]
                self._producer = self._log.producer(self._name)
                self._consumer = self._log.consumer(
                    self._group, [self._topic], on_assign=self._assign, on_revoke=self._revoke
                )
                while not stop.is_set():
                    self._turn(takes=True)
                until_s = self._clock.monotonic_s() + _DRAIN_S
                while self._queue.in_hand and self._clock.monotonic_s() < until_s:
                    self._turn(takes=False)
            except LogError as error:
                _logger.error("deliveries wait for the log", reason=str(error))
                stop.wait(_AGAIN_S)
            finally:
                self._leave()

    def _leave(self) -> None:
        for part in (self._consumer, self._producer):
            if part is not None:
                with suppress(LogError):
                    part.close()
        self._consumer = self._producer = None
        self._partitions.clear()
        self._restoring.clear()

    def _turn(self, *, takes: bool) -> None:
        assert self._consumer is not None
        now_s = self.moved_s = self._clock.monotonic_s()
        records = self._consumer.poll(self._wait_s(), _RECORDS)
        for record in records:
            self._read(record)
        self._restored(len(records), now_s)
        for report in self._courier.reports():
            self._ended(report)
        if now_s >= self._next_look_s or records:
            self._next_look_s = now_s + _LOOK_S
            self._directory.refresh()
            if self._seen != self._directory.version:
                self._seen = self._directory.version
                self._give_up()
        if takes:
            if now_s >= self._next_probes_s:
                self._next_probes_s = now_s + _PROBES_S
                self._probe()
            self._courier.run([self._errand(name) for name in self._next()])
        self._write()
        if now_s >= self._next_commit_s:
            self._next_commit_s = now_s + _COMMIT_S
            self._commit()
        metrics.IN_HAND.set(self._queue.in_hand)
        metrics.WAITING.set(sum(len(each.live) for each in self._partitions.values()))

    def _wait_s(self) -> float:
        if self._restoring:
            return _RESTORING_S
        wait_ms = self._queue.wait_ms(self._clock.wall_ms())
        return _TURN_S if wait_ms is None else min(wait_ms / 1000, _TURN_S)

    # Partitions come and go, inside the poll.

    def _assign(self, gained: frozenset[TopicPartition]) -> None:
        assert self._consumer is not None
        ends = self._log.end_offsets([self._topic])
        until_s = self._clock.monotonic_s() + _RESTORED_S
        for tp in gained:
            begin = self._consumer.committed(tp) or 0
            self._partitions[tp] = Partition(position=begin)
            self._committed[tp] = begin
            if begin < ends[tp]:
                # Nothing is attempted before it is known what a predecessor has delivered.
                self._restoring[tp] = (ends[tp], until_s)

    def _revoke(self, lost: frozenset[TopicPartition]) -> None:
        for report in self._courier.reports():
            self._ended(report)
        try:
            self._write()
            self._commit()
        except LogError as error:
            # The facts are written later; the next owner may attempt again what it reads as owed.
            _logger.warning("partitions were left without a last commit", reason=str(error))
        for tp in lost:
            self._partitions.pop(tp, None)
            self._restoring.pop(tp, None)

    def _restored(self, records: int, now_s: float) -> None:
        for tp, (end, until_s) in list(self._restoring.items()):
            partition = self._partitions.get(tp)
            if partition is None or partition.position >= end or (not records and now_s > until_s):
                del self._restoring[tp]
            elif records:
                self._restoring[tp] = (end, now_s + _RESTORED_S)

    # Records become deliveries.

    def _read(self, record: Record) -> None:
        partition = self._partitions.get(record.tp)
        if partition is None:
            return
        try:
            envelope = self._codec.decode(record)
        except Poison as poison:
            partition.position = max(partition.position, record.offset + 1)
            if (place := (record.partition, record.offset)) not in self._buried:
                # Written before the offset behind it is committed, as every fact. A successor that
                # reads further back for an old delivery may bury it again.
                self._buried.add(place)
                self._unwritten.append(
                    unreadable(record, poison, stage=DELIVERY, codec=self._codec)
                )
            _logger.error(
                "no delivery; set aside",
                partition=record.partition,
                offset=record.offset,
                reason=str(poison),
            )
            return
        event = envelope.event
        assert isinstance(event, WebhookAttempted)
        if partition.read(event, record.offset, envelope.traceparent):
            self._queue.put(name_of(event), event.due_ms)
        if record.tp in self._restoring:  # else it is this worker that knows best
            health = self._queue.health(event.endpoint_id)
            health = (
                health.succeeded()
                if event.outcome == DELIVERED
                else health.remembering(event.failing_since_ms)
            )
            self._queue.judge(event.endpoint_id, health)

    def _home(self, endpoint_id: str) -> TopicPartition:
        return TopicPartition(self._topic, partition_of(endpoint_id.encode(), self._count))

    def _delivery(self, name: Name) -> Delivery | None:
        """A delivery that this worker may attempt."""
        tp = self._home(name.endpoint_id)
        partition = self._partitions.get(tp)
        return None if partition is None or tp in self._restoring else partition.live.get(name)

    def _endpoint(self, delivery: Delivery) -> Endpoint | None:
        event = delivery.event
        return self._directory.endpoint(event.tenant, event.endpoint_id)

    # Deliveries become attempts.

    def _next(self) -> list[Name]:
        if self._restoring:
            return []  # soon
        statuses: dict[str, str] = {}

        def due(name: Name) -> int | None:
            delivery = self._delivery(name)
            if delivery is None:
                return None
            if name.endpoint_id not in statuses:
                endpoint = self._endpoint(delivery)
                statuses[name.endpoint_id] = "deleted" if endpoint is None else endpoint.status
            return delivery.event.due_ms

        taken = list(self._queue.take(self._clock.wall_ms(), due, lambda each: statuses[each]))
        if {"disabled", "deleted"} & set(statuses.values()):
            self._give_up()
        return taken

    def _errand(self, name: Name) -> Errand:
        delivery = self._delivery(name)
        assert delivery is not None
        endpoint = self._endpoint(delivery)
        assert endpoint is not None
        return Errand(endpoint, delivery)

    def _ended(self, report: Report) -> None:
        event, now_ms = report.errand.delivery.event, self._clock.wall_ms()
        endpoint = report.errand.endpoint
        if event.type == PROBE:
            if report.answer is not None and report.answer.delivered:
                _logger.info("a disabled endpoint answers again", endpoint=endpoint.id)
                self._tell(reenabled(endpoint))
            return
        name = name_of(event)
        self._queue.ended(name)
        if report.answer is None:
            self._queue.put(name, now_ms + _UNTRIED_MS)
            return
        made = self._judged(endpoint, event, report.answer, now_ms)
        self._tell(made, report.errand.delivery.traceparent)
        if (partition := self._partitions.get(self._home(endpoint.id))) is not None:
            partition.wrote(made)
            # Not only after a failure: somebody may have asked for another round meanwhile.
            if (delivery := partition.live.get(name)) is not None:
                self._queue.put(name, delivery.event.due_ms)

    def _judged(
        self, endpoint: Endpoint, event: WebhookAttempted, answer: Answer, now_ms: int
    ) -> WebhookAttempted:
        """How the delivery stands, with what the answer says of its endpoint taken in."""
        health = self._queue.health(endpoint.id)
        health = (
            health.succeeded()
            if answer.delivered
            else health.failed(self._policy, now_ms, answer.retry_after_s)
        )
        self._queue.judge(endpoint.id, health)
        made = after(
            event,
            answer,
            health=health,
            schedule=self._schedule,
            now_ms=now_ms,
            chance=self._chance.random(),
        )
        metrics.ATTEMPTS.labels(made.outcome, made.error).inc()
        metrics.SECONDS.observe(made.duration_ms / 1000)
        if not answer.delivered:
            _logger.info(
                "a webhook was not delivered",
                id=event.notification_id,
                endpoint=endpoint.id,
                attempt=made.attempt,
                outcome=made.outcome,
                code=made.error,
                status=made.status,
            )
        gone = answer.status == GONE
        known = self._directory.endpoint(endpoint.tenant, endpoint.id) or endpoint
        if (gone or health.hopeless(self._policy, now_ms)) and known.status != "disabled":
            verdict = disabled(known, "gone" if gone else "failing", health.failing_since_ms)
            metrics.DISABLED.labels(verdict.reason).inc()
            _logger.warning("an endpoint is disabled", endpoint=endpoint.id, reason=verdict.reason)
            self._tell(verdict)
            self._tell(news_of(verdict, now_ms))
        return made

    # What owners and verdicts change.

    def _give_up(self) -> None:
        """Close what is owed to endpoints that are called no more."""
        for tp, partition in self._partitions.items():
            if tp in self._restoring:
                continue
            statuses: dict[str, str] = {}
            for delivery in list(partition.live.values()):
                endpoint_id = delivery.event.endpoint_id
                if endpoint_id not in statuses:
                    endpoint = self._endpoint(delivery)
                    statuses[endpoint_id] = "deleted" if endpoint is None else endpoint.status
                if statuses[endpoint_id] in ("disabled", "deleted"):
                    closed = given_up(delivery.event, statuses[endpoint_id])
                    partition.wrote(closed)
                    self._tell(closed, delivery.traceparent)

    def _probe(self) -> None:
        """Ask disabled endpoints of this worker's share whether they answer again."""
        now_ms = self._clock.wall_ms()
        errands = []
        for endpoint in self._directory.disabled():
            last_ms = max(endpoint.disabled_ms, self._probed_ms.get(endpoint.id, 0))
            due = now_ms - last_ms >= self._probe_ms
            if due and endpoint.disabled != "gone" and self._home(endpoint.id) in self._partitions:
                self._probed_ms[endpoint.id] = now_ms
                errands.append(Errand(endpoint, Delivery(probe_of(endpoint, now_ms), -1)))
        self._courier.run(errands)

    # What was found out is written down.

    def _tell(self, event: Event, traceparent: str = "") -> None:
        now_ms = self._clock.wall_ms()
        # An attempt is a fact of its own: it has no cause that would make it twice.
        unique = f"{self._name}/{self._chance.getrandbits(64):x}"
        envelope = Envelope.caused(
            event, by=unique, source=SOURCE, time_ms=now_ms, traceparent=traceparent
        )
        self._unwritten.append(self._codec.encode(envelope))

    def _write(self) -> None:
        assert self._producer is not None
        if self._unwritten:
            self._producer.send(self._unwritten)
            self._unwritten = []

    def _commit(self) -> None:
        """Let a successor begin behind what is done."""
        assert self._consumer is not None
        assert self._producer is not None
        for partition in self._partitions.values():
            for event in partition.stragglers():
                self._tell(event)
        self._write()
        owned = self._consumer.assignment()
        water = {
            tp: partition.low_water()
            for tp, partition in self._partitions.items()
            if tp in owned and tp not in self._restoring
        }
        moved = {tp: at for tp, at in water.items() if at > self._committed.get(tp, 0)}
        if not moved:
            return
        with self._producer.transaction() as transaction:
            transaction.commit_offsets(self._consumer, moved)
        self._committed |= moved
