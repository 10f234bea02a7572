"""Commits what a worker has settled: outputs and input offsets in one short transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from processors.runtime import metrics
from processors.runtime.endings import Settled
from topics import logs
from topics.log import (
    Consumer,
    Doubtful,
    Fenced,
    Log,
    LogError,
    TopicPartition,
    UnknownTopic,
    Writing,
)

_BATCH = 500  # records settled in one transaction; it must stay far below its 10 s time-out
_FIRST_WAIT_S = 0.5  # after the log failed
_LONGEST_WAIT_S = 30.0

_log = logs.get(__name__)


class Unwritable(Exception):
    """What must be written cannot be: the stage has to stop."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A transaction under way: of the first ``count`` that are settled those that were owned."""

    count: int
    batch: Sequence[Settled]
    writing: Writing


class Ledger:
    """What is settled and not yet committed. All methods belong to the worker's thread.

    ``batch`` is how many records one transaction settles at most.
    """

    def __init__(
        self,
        log: Log,
        stage: str,
        name: str,
        monotonic_s: Callable[[], float],
        batch: int | None = None,
    ) -> None:
        self._log = log
        self._stage = stage
        self._name = name
        self._now = monotonic_s
        self._batch = batch or _BATCH
        self._producer = log.producer(name)
        self._open: list[Settled] = []
        self._in_doubt: list[Settled] = []
        self._begun: _Begun | None = None
        self._wait_s = 0.0
        self._not_before_s = float("-inf")

    @property
    def settled(self) -> bool:
        """Whether there is something to commit."""
        return bool(self._open or self._in_doubt)

    @property
    def full(self) -> bool:
        """Whether more is settled than one transaction takes: the log is in trouble, and what is
        done now would only wait in memory."""
        return len(self._open) + len(self._in_doubt) >= _BATCH

    def wait_s(self) -> float:
        """Seconds until the next attempt to commit is due."""
        return max(self._not_before_s - self._now(), 0.0)

    def add(self, settled: Settled) -> None:
        """Commit this with the next transaction."""
        self._open.append(settled)

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """These went to another worker: whatever is settled of them is its affair now."""
        self._open = [one for one in self._open if one.tp not in partitions]
        self._in_doubt = [one for one in self._in_doubt if one.tp not in partitions]

    def write(self, consumer: Consumer) -> None:
        """Begin to commit what is settled, if it fills a transaction and none is under way.

        The caller works on meanwhile; `commit` sees it through, before the consumer is polled.
        """
        ahead = self._begun.count if self._begun is not None else 0
        if len(self._open) < ahead + self._batch:
            return
        if self._in_doubt or self.wait_s() > 0 or not self._written():
            return
        batch = self._owned(consumer, self._open[: self._batch])
        try:
            writing = self._producer.write()
        except LogError:
            return  # it is closed, which is for `commit` to hear
        for one in batch:
            for outgoing in one.outgoing:
                writing.send(outgoing)
        writing.end(consumer, _offsets(batch))
        self._begun = _Begun(self._batch, batch, writing)

    def _written(self) -> bool:
        """Whether there is no transaction that has to be waited for."""
        begun = self._begun
        if begun is None:
            return True
        if not begun.writing.over():
            return False
        try:
            begun.writing.wait()
        except LogError:
            return False  # for `commit` to hear
        self._committed(begun.batch)
        del self._open[: begun.count]
        self._begun = None
        return True

    def commit(self, consumer: Consumer) -> Sequence[Settled]:
        """Commit what is settled. Returns what was dropped because its partition was fenced off.

        Keeps what a log in trouble did not take for a later call. Raises `Unwritable` when the
        log will not take it later either, or when it is a dead letter.
        """
        if self._begun is None and self.wait_s() > 0:
            return ()
        fenced: list[Settled] = []
        count = self._batch
        try:
            if self._begun is None:
                self._resolve_doubt(consumer)
            while self._open:
                begun, self._begun = self._begun, None
                if begun is not None:
                    count, batch = begun.count, begun.batch
                else:
                    count, batch = self._batch, self._owned(consumer, self._open[: self._batch])
                refused = self._write(consumer, batch, begun) if begun or batch else []
                del self._open[:count]
                # Nothing behind a refused record of its partition: the offset would pass it by.
                self.forget({one.tp for one in refused})
                fenced += refused
        except LogError as error:
            doubtful = isinstance(error, Doubtful)
            metrics.COMMITS.labels(self._stage, "doubtful" if doubtful else "failed").inc()
            failed, self._open = self._open[:count], self._open[count:]
            if isinstance(error, UnknownTopic) or (not doubtful and any(o.dead for o in failed)):
                raise Unwritable(str(error)) from error
            # Part of the batch may be committed one way or the other; the offsets will tell.
            self._in_doubt += failed
            if not doubtful:
                self._wait_s = min(max(self._wait_s * 2, _FIRST_WAIT_S), _LONGEST_WAIT_S)
                self._not_before_s = self._now() + self._wait_s
            _log.error(
                "a commit is in doubt" if doubtful else "the log takes no commits",
                stage=self._stage,
                error=str(error),
                wait_s=self._wait_s,
            )
        else:
            self._wait_s = 0.0
        return fenced

    def _owned(self, consumer: Consumer, batch: Sequence[Settled]) -> list[Settled]:
        owned = consumer.assignment()
        return [one for one in batch if one.tp in owned]

    def _write(
        self, consumer: Consumer, batch: Sequence[Settled], begun: _Begun | None = None
    ) -> list[Settled]:
        """One transaction; where it is fenced, one a partition, to find out which is at fault."""
        try:
            if begun is not None:
                begun.writing.wait()
            else:
                self._transact(consumer, batch)
        except Fenced as error:
            metrics.COMMITS.labels(self._stage, "fenced").inc()
            _log.warning("a commit was fenced off", stage=self._stage, error=str(error))
            partitions = dict.fromkeys(one.tp for one in batch)
            if len(partitions) == 1:
                return list(batch)
            parts = [[one for one in batch if one.tp == tp] for tp in partitions]
            return [refused for part in parts for refused in self._write(consumer, part)]
        self._committed(batch)
        return []

    def _committed(self, batch: Sequence[Settled]) -> None:
        metrics.COMMITS.labels(self._stage, "committed").inc()
        for ending, count in Counter(one.ending for one in batch if one.ending).items():
            metrics.ENDINGS.labels(self._stage, ending).inc(count)

    def _transact(self, consumer: Consumer, batch: Sequence[Settled]) -> None:
        with self._producer.transaction() as transaction:
            for one in batch:
                for outgoing in one.outgoing:
                    transaction.send(outgoing)
            transaction.commit_offsets(consumer, _offsets(batch))

    def _resolve_doubt(self, consumer: Consumer) -> None:
        """A new producer (it fences the old one's transaction), then see what was committed."""
        if not self._in_doubt:
            return
        self._producer.close()
        self._producer = self._log.producer(self._name)
        again = [
            one
            for one in self._owned(consumer, self._in_doubt)
            if (consumer.committed(one.tp) or 0) < one.offset
        ]
        self._in_doubt, self._open = [], again + self._open

    def close(self) -> None:
        """Let the producer go."""
        self._producer.close()


def _offsets(batch: Sequence[Settled]) -> dict[TopicPartition, int]:
    """The next to read of each partition."""
    offsets: dict[TopicPartition, int] = {}
    for one in batch:
        offsets[one.tp] = max(one.offset, offsets.get(one.tp, 0))
    return offsets
