"""Reading topics whole, up to what was committed when the reading began."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from topics.log import Log, Record, TopicPartition

Progress = Callable[[int], None]
"""Called with the number of records just read."""

_POLL_S = 0.2  # longest poll; a broker answers sooner when it has anything
_BATCH = 1000


def records(
    log: Log,
    topics: Collection[str],
    *,
    start: Mapping[TopicPartition, int] | None = None,
    progress: Progress = lambda read: None,
) -> Iterator[Record]:
    """Every committed record of these topics (names on the log), in offset order per partition.

    Topics that the log does not have are left out. Raises `topics.log.LogError`.
    """
    present = sorted(set(topics) & set(log.topics()))
    if not present:
        return
    reader = log.reader(present, start=start)
    try:
        while not reader.caught_up():
            batch = reader.poll(_POLL_S, _BATCH)
            yield from batch
            progress(len(batch))
    finally:
        reader.close()


def count(log: Log, topics: Collection[str]) -> int:
    """Offsets given out in these topics: an upper bound of their records, for progress bars."""
    present = sorted(set(topics) & set(log.topics()))
    return sum(log.end_offsets(present).values()) if present else 0
