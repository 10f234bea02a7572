"""Groups as KIP-848 has them: a target for everyone, reached step by step.

Every change of membership computes, in its own transaction, which member *should* own each
partition. A member gives up what is no longer meant for it, and takes what is meant for it once
that is free; a partition has one owner or none, never two.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from topics.log.embedded.file import Changes
from topics.log.protocol import Fenced, TopicPartition


def share(
    subscriptions: Mapping[int, Collection[str]],
    partitions: Mapping[str, Sequence[int]],
    holders: Mapping[int, int],
) -> dict[int, int]:
    """Which member should own each partition: partition id -> member id.

    Each topic is spread over the members that subscribe to it, to within one partition; who gets
    one more is whoever has the least so far, so that many small topics spread as well. Members
    keep what they hold as far as that allows.
    """
    load: Counter[int] = Counter()
    shares: dict[int, int] = {}
    for topic in sorted(partitions):
        members = sorted(m for m, topics in subscriptions.items() if topic in topics)
        if not members:
            continue
        ids = partitions[topic]
        held = {m: [p for p in ids if holders.get(p) == m] for m in members}
        least, extra = divmod(len(ids), len(members))
        ranked = sorted(members, key=lambda m: (load[m], -len(held[m]), m))
        quota = {m: least + (rank < extra) for rank, m in enumerate(ranked)}
        kept = {p: m for m in members for p in held[m][: quota[m]]}
        free = iter([p for p in ids if p not in kept])
        shares |= kept
        for m in members:
            for _ in range(quota[m] - min(len(held[m]), quota[m])):
                shares[next(free)] = m
            load[m] += quota[m]
    return shares


@dataclass(frozen=True, slots=True)
class Standing:
    """What a member has and should have, as partition ids."""

    surplus: frozenset[int]  # owned, but meant for another
    due: frozenset[int]  # meant for it, and its own or nobody's


@dataclass(frozen=True, slots=True)
class Gained:
    """A partition that a member took over, and where its group reads on."""

    partition_id: int
    tp: TopicPartition
    position: int


def join(
    db: sqlite3.Connection,
    changes: Changes,
    group: str,
    topics: Collection[str],
    process_id: int,
    is_dead: Callable[[int], bool],
) -> int:
    """Add a member, drop the dead ones, and return the member's id."""
    db.execute("INSERT OR IGNORE INTO consumer_group (name, generation) VALUES (?, 0)", (group,))
    (member,) = db.execute(
        "INSERT INTO member (group_name, process_id, topics) VALUES (?, ?, ?) RETURNING id",
        (group, process_id, json.dumps(sorted(topics))),
    ).fetchone()
    bury(db, changes, is_dead)
    _rebalance(db, changes, group)
    return int(member)


def leave(db: sqlite3.Connection, changes: Changes, members: Iterable[int]) -> None:
    """Remove members and free what they own. Members already gone are no error."""
    groups: set[str] = set()
    for member in members:
        for (group,) in db.execute("SELECT group_name FROM member WHERE id = ?", (member,)):
            groups.add(group)
        db.execute("DELETE FROM member WHERE id = ?", (member,))
    for group in sorted(groups):
        _rebalance(db, changes, group)


def bury(db: sqlite3.Connection, changes: Changes, is_dead: Callable[[int], bool]) -> None:
    """Remove the processes that have ended, and their members."""
    dead = [p for (p,) in db.execute("SELECT id FROM process").fetchall() if is_dead(p)]
    for process_id in dead:
        rows = db.execute("SELECT id FROM member WHERE process_id = ?", (process_id,)).fetchall()
        leave(db, changes, [member for (member,) in rows])
        db.execute("DELETE FROM process WHERE id = ?", (process_id,))


def standing(db: sqlite3.Connection, group: str, member: int) -> Standing:
    """What a member owns and should own now. Raises `Fenced` for a member that was removed."""
    if db.execute("SELECT 1 FROM member WHERE id = ?", (member,)).fetchone() is None:
        raise Fenced(f"log: this consumer was removed from group '{group}'; make another one")
    rows = db.execute(
        "SELECT partition_id, owner, target FROM assignment"
        " WHERE group_name = ? AND (owner = ? OR target = ?)",
        (group, member, member),
    ).fetchall()
    return Standing(
        surplus=frozenset(p for p, owner, target in rows if owner == member != target),
        due=frozenset(
            p for p, owner, target in rows if target == member and owner in (member, None)
        ),
    )


def release(
    db: sqlite3.Connection, changes: Changes, group: str, member: int, partitions: Collection[int]
) -> None:
    """Give partitions up, for the member they are meant for."""
    db.executemany(
        "UPDATE assignment SET owner = NULL"
        " WHERE group_name = ? AND partition_id = ? AND owner = ?",
        [(group, p, member) for p in partitions],
    )
    _advance(db, changes, group)


def claim(db: sqlite3.Connection, group: str, member: int, known: Collection[int]) -> list[Gained]:
    """Take what is meant for the member and free; return what it owns beyond ``known``."""
    db.execute(
        "UPDATE assignment SET owner = target"
        " WHERE group_name = ? AND target = ? AND owner IS NULL",
        (group, member),
    )
    rows = db.execute(
        "SELECT p.id, topic, number, earliest, p.next, c.next FROM assignment AS a"
        " JOIN topic_partition AS p ON p.id = a.partition_id"
        " LEFT JOIN committed AS c"
        " ON c.partition_id = a.partition_id AND c.group_name = a.group_name"
        " WHERE a.group_name = ? AND owner = ? ORDER BY p.id",
        (group, member),
    )
    return [
        Gained(p, TopicPartition(topic, number), valid_position(committed, earliest, end))
        for p, topic, number, earliest, end, committed in rows
        if p not in known
    ]


def valid_position(wanted: int | None, earliest: int, end: int) -> int:
    """Where reading starts: ``wanted`` if the log has it, else the earliest record, as Kafka's
    ``auto.offset.reset=earliest``."""
    return wanted if wanted is not None and earliest <= wanted <= end else earliest


def commit(
    db: sqlite3.Connection,
    group: str,
    member: int,
    offsets: Mapping[TopicPartition, int],
    id_of: Callable[[TopicPartition], int],
) -> None:
    """Set the group's next offsets. Raises `Fenced` for partitions the member does not own."""
    for tp, offset in offsets.items():
        p = id_of(tp)
        owner = db.execute(
            "SELECT owner FROM assignment WHERE group_name = ? AND partition_id = ?", (group, p)
        ).fetchone()
        if owner is None or owner[0] != member:
            raise Fenced(
                f"log: {tp.topic}/{tp.partition} belongs to another member of group '{group}' "
                "now; drop the work, its new owner repeats it"
            )
        db.execute(
            "INSERT INTO committed (group_name, partition_id, next) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET next = excluded.next",
            (group, p, offset),
        )


def _rebalance(db: sqlite3.Connection, changes: Changes, group: str) -> None:
    """Compute the target anew after members came or went."""
    subscriptions: dict[int, frozenset[str]] = {
        member: frozenset(json.loads(topics))
        for member, topics in db.execute(
            "SELECT id, topics FROM member WHERE group_name = ?", (group,)
        )
    }
    wanted = frozenset[str]().union(*subscriptions.values())
    partitions: dict[str, list[int]] = {}
    for p, topic in db.execute("SELECT id, topic FROM topic_partition ORDER BY topic, number"):
        if topic in wanted:
            partitions.setdefault(topic, []).append(p)
    owners: dict[int, int | None] = {}
    holders: dict[int, int] = {}
    for p, owner, target in db.execute(
        "SELECT partition_id, owner, target FROM assignment WHERE group_name = ?", (group,)
    ):
        owners[p] = owner if owner in subscriptions else None
        holder = owners[p] if owners[p] is not None else target
        if holder in subscriptions:
            holders[p] = holder
    targets = share(subscriptions, partitions, holders)
    db.execute("DELETE FROM assignment WHERE group_name = ?", (group,))
    db.executemany(
        "INSERT INTO assignment (group_name, partition_id, owner, target) VALUES (?, ?, ?, ?)",
        [
            (group, p, owners.get(p), targets.get(p))
            for p in sorted(targets.keys() | {p for p, o in owners.items() if o is not None})
        ],
    )
    _advance(db, changes, group)


def _advance(db: sqlite3.Connection, changes: Changes, group: str) -> None:
    (generation,) = db.execute(
        "UPDATE consumer_group SET generation = generation + 1 WHERE name = ? RETURNING generation",
        (group,),
    ).fetchone()
    changes.groups[group] = generation
