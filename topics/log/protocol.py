"""What a log is to the rest of the product, whichever broker keeps it.

The shape is Kafka's, because Kafka is the demanding implementation: groups hand partitions over
between members, a transaction joins outputs to input offsets, and a commit may end in doubt. One
contract suite (``tests/topics/log/contract.py``) runs over every implementation.

Thread rules: a consumer and a reader belong to the thread that polls them (``wake`` excepted); a
producer may be shared, but its transactions belong to one thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes], ...]
"""Header pairs in order. Names may repeat, as they may in Kafka."""


class TopicPartition(NamedTuple):
    """One ordered sequence of records."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read: committed, at a known offset."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int  # Unix time at which the log took it
    key: bytes | None
    value: bytes | None  # None is a tombstone
    headers: Headers = ()

    @property
    def tp(self) -> TopicPartition:
        """The partition it was read from."""
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to write. Without ``partition`` the key decides it: equal keys, equal partition."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Headers = field(default=())
    partition: int | None = None


class LogError(Exception):
    """The log could not do what was asked. Nothing was written unless a subclass says otherwise."""


class UnknownTopic(LogError):
    """The topic is not provisioned. The message names it and how to provision it."""


class Fenced(LogError):
    """A commit named a partition that the consumer does not own now. Nothing was written."""


class Doubtful(LogError):
    """A commit whose outcome is unknown. Make a new producer and read the offsets again."""


class Transaction(Protocol):
    """Outputs and input offsets that become visible together or not at all."""

    def send(self, outgoing: Outgoing) -> None:
        """Add an output. Raises `UnknownTopic`."""

    def commit_offsets(self, consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Add the next offsets to read. Raises `Fenced` for a partition that is not owned."""


class Writing(Protocol):
    """A transaction that is written while the caller goes on. What fails is told by `wait`."""

    def send(self, outgoing: Outgoing) -> None:
        """Add an output; it may set out at once."""

    def end(self, consumer: Consumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Begin to commit it, with the next offsets to read.

        Until `wait` has returned or raised, the consumer must not be polled.
        """

    def over(self) -> bool:
        """Whether `wait` returns at once."""

    def wait(self) -> None:
        """Return once it is committed. Raises what `Producer.transaction` raises, each time."""


class Producer(Protocol):
    """Writes records, alone or in transactions."""

    def send(self, outgoing: Iterable[Outgoing]) -> None:
        """Write outside any transaction; returns once every record is durable."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Commit on a clean exit, abort on an exception. Raises `Fenced` or `Doubtful` on exit."""

    def write(self) -> Writing:
        """Begin a transaction; until its `Writing.wait` has returned or raised no other begins."""

    def close(self) -> None:
        """Abort what is open and let go."""


class Reader(Protocol):
    """Reads whole partitions without a group: no offsets are kept, nothing is shared."""

    def poll(self, timeout_s: float, max_records: int = 100) -> Sequence[Record]:
        """Up to ``max_records`` committed records, in offset order per partition.

        Returns as soon as there is one, with an empty sequence after ``timeout_s`` or `wake`.
        """

    def caught_up(self) -> bool:
        """True once every record that was committed when the reader was opened has been polled."""

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read this partition on from ``offset``."""

    def wake(self) -> None:
        """Make a poll in progress return early, where the client can. Safe from any thread.

        Outside a poll it may end the next one at once.
        """

    def close(self) -> None:
        """Let go of everything."""


class Consumer(Reader, Protocol):
    """A group member. Partitions come inside `poll` and go inside `poll` and `close`, on the
    polling thread. They come unpaused. `caught_up` speaks of the partitions owned, and is False
    before the first come; `seek` raises `LogError` for one that is not owned."""

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions owned now, paused ones included."""

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver nothing of these until resumed. Polling goes on. Unowned ones are ignored."""

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver these again, from the position after the last delivered record."""

    def committed(self, tp: TopicPartition) -> int | None:
        """The group's next offset of a partition, None when it never committed one."""


OnPartitions = Callable[[frozenset[TopicPartition]], None]


class Log(Protocol):
    """A broker, seen from a service."""

    def provision(
        self, topics: Mapping[str, int], retention_ms: Mapping[str, int] | None = None
    ) -> None:
        """Create the named topics with that many partitions; existing ones are left as they are.

        ``retention_ms`` is how long a broker keeps records, of the topics that do not keep them for
        ever. A log that is trimmed from outside is told when it is trimmed.
        """

    def topics(self) -> Mapping[str, int]:
        """Every topic and its number of partitions."""

    def consumer(
        self,
        group: str,
        topics: Collection[str],
        *,
        on_assign: OnPartitions | None = None,
        on_revoke: OnPartitions | None = None,
    ) -> Consumer:
        """Join ``group``. New groups start at the earliest record.

        ``on_revoke`` runs before another member can own the partitions, so what it still commits
        is safe. Raises `UnknownTopic`.
        """

    def reader(
        self, topics: Collection[str], *, start: Mapping[TopicPartition, int] | None = None
    ) -> Reader:
        """Read these topics whole, from the earliest record or from ``start``."""

    def producer(self, name: str) -> Producer:
        """A producer; ``name`` is stable per process role and fences its dead predecessor."""

    def end_offsets(self, topics: Collection[str]) -> Mapping[TopicPartition, int]:
        """The offset after the last committed record of each partition."""

    def group_offsets(self, group: str) -> Mapping[TopicPartition, int]:
        """What a group has committed, for lag."""

    def close(self) -> None:
        """Close what this log opened. No callback runs: close consumers first, on their threads."""
