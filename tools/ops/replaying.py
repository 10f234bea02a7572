"""A replay on the log: find the recorded events, reserve versions, write the requests.

Ids follow from the replay's id and the recorded event, and what the replay has written is read
back from the log first; so an interrupted replay goes on under its id and doubles nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.projection.reservations import Reservations
from gateway.projection.store import ProjectionStore
from schemas.events import Mastering, MasteringRequested, ReprocessRequested, Work
from tools.ops import reading
from tools.ops.headers import COUNT, ID, OF, number
from tools.ops.replay import WORK_TOPICS, Candidate, Order, Request, Skipped, plan
from topics import trace
from topics.codec import Codec, Envelope, Poison
from topics.log import Log, Outgoing, Record

SOURCE = "replay"
_REQUESTS = (ReprocessRequested.topic, MasteringRequested.topic)
_BATCH = 100  # requests in one transaction, far below its 10 s time-out

Where = tuple[str, str]  # tenant and track


@dataclass(frozen=True, slots=True)
class Selection:
    """Which recorded events the operator means; each given condition must hold."""

    topic: str = ""  # in the catalog
    job_id: str = ""
    track_id: str = ""
    from_ms: int | None = None
    """Taken by the log at this time or later, Unix time."""
    to_ms: int | None = None
    """Taken by the log before this time."""

    def takes(self, record: Record, topic: str, work: Work) -> bool:
        """Whether the event is meant."""
        return (
            (not self.topic or topic == self.topic)
            and (not self.job_id or work.job_id == self.job_id)
            and (not self.track_id or work.track_id == self.track_id)
            and (self.from_ms is None or record.timestamp_ms >= self.from_ms)
            and (self.to_ms is None or record.timestamp_ms < self.to_ms)
        )

    def topics(self) -> tuple[str, ...]:
        """Topics of the catalog to read."""
        return (self.topic,) if self.topic else WORK_TOPICS


@dataclass
class Survey:
    """What the log holds of the selection and of the replay itself."""

    candidates: dict[Where, list[Candidate]] = field(default_factory=lambda: defaultdict(list))
    requested: dict[Where, Work] = field(default_factory=dict)
    """What this replay has asked for already, in an earlier run."""
    poisoned: int = 0
    """Records that are no events; the dead letters have them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay does and what it leaves."""

    requests: Sequence[Request]
    skipped: Sequence[Skipped]
    poisoned: int = 0


def survey(
    log: Log,
    codec: Codec,
    selection: Selection,
    replay_id: str,
    progress: reading.Progress = lambda read: None,
) -> Survey:
    """Read the selected topics, and the requests for what replays did before."""
    found = Survey()
    counts: dict[str, int] = {}  # job -> replays behind it
    taken: list[tuple[Candidate, Where]] = []
    topics = [codec.on_log(name) for name in {*selection.topics(), *_REQUESTS}]
    for record in reading.records(log, topics, progress=progress):
        topic = codec.in_catalog(record.topic)
        try:
            envelope = codec.decode(record)
        except Poison:
            found.poisoned += 1
            continue
        work = getattr(envelope.event, "work", None)
        if not isinstance(work, Work):
            continue
        where = (work.tenant, work.track_id)
        if topic in _REQUESTS:
            before = counts.get(work.job_id, 0)
            counts[work.job_id] = max(before, number(record.headers, COUNT))
            if work.replay_id == replay_id:
                found.requested[where] = work
        if selection.takes(record, topic, work):
            place = (topic, record.partition, record.offset)
            wanted = getattr(envelope.event, "mastering", None)
            mastering = wanted if isinstance(wanted, Mastering) else None
            taken.append((Candidate(*place, envelope.id, work, mastering=mastering), where))
    for candidate, where in taken:
        replays = counts.get(candidate.work.job_id, 0)
        found.candidates[where].append(replace(candidate, replays=replays))
    return found


def plan_all(found: Survey, store: ProjectionStore, order: Order) -> Plan:
    """Decide for every track of the selection."""
    requests: list[Request] = []
    skipped: list[Skipped] = []
    for (tenant, track_id), candidates in sorted(found.candidates.items()):
        earlier = found.requested.get((tenant, track_id))
        if earlier is not None:
            why = f"this replay asked for it already: {earlier.job_id}"
            skipped.append(Skipped(tenant, track_id, "requested", why))
            continue
        decided = plan(candidates, store.track(tenant, track_id), order)
        if isinstance(decided, Request):
            requests.append(decided)
        elif decided is not None:
            skipped.append(decided)
    return Plan(requests, skipped, found.poisoned)


def publish(
    requests: Iterable[Request],
    *,
    log: Log,
    codec: Codec,
    reservations: Reservations,
    replay_id: str,
    now_ms: Callable[[], int],
    batch: int = _BATCH,
) -> Iterator[Work]:
    """Write the requests in transactions of ``batch``; the works that were committed.

    Raises `topics.log.Fenced` when another run of the same replay took over.
    """
    # One name a replay: a second run of it fences this one off instead of writing beside it.
    producer = log.producer(f"{SOURCE}-{replay_id}")
    try:
        for some in _batches(requests, batch):
            written: list[Work] = []
            with producer.transaction() as transaction:
                for request in some:
                    work = request.work
                    version = reservations.reserve_version(
                        work.tenant, work.track_id, work.job_id, floor=request.floor
                    )
                    event = request.event(version)
                    transaction.send(_outgoing(codec, request, event, replay_id, now_ms()))
                    written.append(event.work)
            yield from written
    finally:
        producer.close()


def _batches(requests: Iterable[Request], size: int) -> Iterator[list[Request]]:
    some: list[Request] = []
    for request in requests:
        some.append(request)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _outgoing(
    codec: Codec,
    request: Request,
    event: MasteringRequested | ReprocessRequested,
    replay_id: str,
    now_ms: int,
) -> Outgoing:
    caused = Envelope.caused(
        event,
        by=f"{replay_id}/{request.source.event_id}",
        source=SOURCE,
        time_ms=now_ms,
        traceparent=trace.begin(),
    )
    about: Mapping[str, str] = {
        ID: replay_id,
        COUNT: str(request.replays),
        OF: request.source.place,
    }
    headers = tuple((name, value.encode()) for name, value in about.items())
    return codec.encode(replace(caused, headers=headers))
