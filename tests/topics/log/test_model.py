"""The embedded log against a model of it: lists in a dict."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from topics.log import Consumer, EmbeddedLog, Outgoing, TopicPartition

TPS = [TopicPartition("a", n) for n in range(3)] + [TopicPartition("b", 0)]
tps = st.sampled_from(TPS)
MEMBERS = st.integers(0, 1)


class LogModel(RuleBasedStateMachine):
    """Two seats for members of one group, which join, leave, read, seek, pause and commit."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now_s = 1000.0
        self.kept: dict[TopicPartition, list[tuple[int, bytes]]] = {tp: [] for tp in TPS}
        self.ends = dict.fromkeys(TPS, 0)
        self.committed: dict[TopicPartition, int] = {}
        self.members: dict[int, Consumer] = {}
        self.positions: dict[int, dict[TopicPartition, int]] = {}
        self.paused: dict[int, set[TopicPartition]] = {}
        self.count = 0
        self.open()
        self.log.provision({"a": 3, "b": 1})
        self.producer = self.log.producer("p")

    def open(self) -> None:
        self.log = EmbeddedLog(Path(self.folder.name) / "log", clock=lambda: self.now_s)

    def teardown(self) -> None:
        self.log.close()
        self.folder.cleanup()

    def valid(self, tp: TopicPartition, wanted: int | None) -> int:
        earliest = self.ends[tp] - len(self.kept[tp])
        return wanted if wanted is not None and earliest <= wanted <= self.ends[tp] else earliest

    def assigned(self, seat: int, partitions: frozenset[TopicPartition]) -> None:
        for others in self.positions.values():
            assert others.keys().isdisjoint(partitions), "two owners"
        for tp in partitions:
            self.positions[seat][tp] = self.valid(tp, self.committed.get(tp))

    def revoked(self, seat: int, partitions: frozenset[TopicPartition]) -> None:
        for tp in partitions:
            del self.positions[seat][tp]
            self.paused[seat].discard(tp)

    def wrote(self, tp: TopicPartition, value: bytes) -> None:
        self.kept[tp].append((self.ends[tp], value))
        self.ends[tp] += 1

    @rule(where=st.lists(tps, min_size=1, max_size=5), commit=st.booleans())
    def write(self, where: list[TopicPartition], commit: bool) -> None:
        out = []
        for tp in where:
            self.count += 1
            out.append((tp, str(self.count).encode()))
        try:
            with self.producer.transaction() as tx:
                for tp, value in out:
                    tx.send(Outgoing(tp.topic, value, partition=tp.partition))
                if not commit:
                    raise RuntimeError
        except RuntimeError:
            return
        for tp, value in out:
            self.wrote(tp, value)

    @rule(seat=MEMBERS)
    def join_or_leave(self, seat: int) -> None:
        if seat in self.members:
            self.members.pop(seat).close()
            assert self.positions.pop(seat) == {}
            return
        self.positions[seat], self.paused[seat] = {}, set()
        self.members[seat] = self.log.consumer(
            "g",
            ["a", "b"],
            on_assign=lambda partitions: self.assigned(seat, partitions),
            on_revoke=lambda partitions: self.revoked(seat, partitions),
        )

    @rule(seat=MEMBERS, most=st.integers(1, 6))
    def poll(self, seat: int, most: int) -> None:
        if seat not in self.members:
            return
        records = self.members[seat].poll(0, max_records=most)
        assert self.members[seat].assignment() == self.positions[seat].keys()
        assert len(records) <= most
        for record in records:
            tp = record.tp
            assert tp not in self.paused[seat]
            position = self.valid(tp, self.positions[seat][tp])
            assert (record.offset, record.value) == self.kept[tp][position - self.ends[tp]]
            self.positions[seat][tp] = position + 1
        left = [
            tp
            for tp, position in self.positions[seat].items()
            if self.valid(tp, position) < self.ends[tp] and tp not in self.paused[seat]
        ]
        assert records or not left, "there was something to read"

    @rule(seat=MEMBERS, tp=tps, offset=st.integers(0, 12))
    def seek(self, seat: int, tp: TopicPartition, offset: int) -> None:
        if tp in self.positions.get(seat, {}):
            self.members[seat].seek(tp, offset)
            self.positions[seat][tp] = self.valid(tp, offset)

    @rule(seat=MEMBERS, tp=tps, pause=st.booleans())
    def pause_or_resume(self, seat: int, tp: TopicPartition, pause: bool) -> None:
        if seat not in self.members:
            return
        if pause:
            self.members[seat].pause([tp])
            if tp in self.positions[seat]:
                self.paused[seat].add(tp)
        else:
            self.members[seat].resume([tp])
            self.paused[seat].discard(tp)

    @rule(seat=MEMBERS, out=tps)
    def commit(self, seat: int, out: TopicPartition) -> None:
        if seat not in self.members:
            return
        positions = dict(self.positions[seat])
        self.count += 1
        value = str(self.count).encode()
        with self.producer.transaction() as tx:
            tx.commit_offsets(self.members[seat], positions)
            tx.send(Outgoing(out.topic, value, partition=out.partition))
        self.committed |= positions
        self.wrote(out, value)

    @rule()
    def trim(self) -> None:
        self.now_s += 1
        self.log.trim({"a": 0})
        for tp in TPS:
            if tp.topic == "a":
                self.kept[tp] = []

    @precondition(lambda self: not self.members)
    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.open()
        self.producer = self.log.producer("p")

    @invariant()
    def the_log_is_the_model(self) -> None:
        assert self.log.end_offsets(["a", "b"]) == self.ends
        assert self.log.group_offsets("g") == self.committed


LogModel.TestCase.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, derandomize=True
)
TestModel = LogModel.TestCase
