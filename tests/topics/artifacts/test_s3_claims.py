"""Claims: however writers interleave, one is alone; the dead hold nothing for ever."""

from __future__ import annotations

import random
import threading
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topics.artifacts import ArtifactError
from topics.artifacts.s3_claims import Claims

EXPIRY_S = 300.0


class Board:
    """A bucket with a clock of its own."""

    def __init__(self) -> None:
        self.posted: dict[str, float] = {}
        self.now_s = 0.0
        self.blind = False

    def post(self, key: str) -> None:
        self.posted[key] = self.now_s

    def ages(self, prefix: str) -> dict[str, float]:
        if self.blind:
            return {}
        return {k: self.now_s - at for k, at in self.posted.items() if k.startswith(prefix)}

    def withdraw(self, key: str) -> None:
        self.posted.pop(key, None)


def claims(board: Board, name: str = "") -> Claims:
    ids = count()

    def sleep(seconds: float) -> None:
        board.now_s += seconds

    return Claims(
        board,
        EXPIRY_S,
        new_id=lambda: f"{name}{next(ids)}",
        sleep=sleep,
        monotonic=lambda: board.now_s,
        rng=random.Random(7),
    )


def test_a_claim_is_gone_afterwards() -> None:
    board = Board()
    with claims(board).alone("key"):
        assert len(board.posted) == 1
    assert board.posted == {}
    with pytest.raises(ZeroDivisionError), claims(board).alone("key"):
        _ = 1 / 0
    assert board.posted == {}


def test_keys_do_not_hold_each_other_up() -> None:
    board = Board()
    with claims(board).alone("a"), claims(board).alone("b"):
        assert len(board.posted) == 2


def test_who_finds_another_claim_gives_up_in_time_and_leaves_nothing() -> None:
    board = Board()
    with claims(board, "first").alone("key"):
        before = dict(board.posted)
        refused = pytest.raises(ArtifactError, match="'key' cannot be written")
        with refused, claims(board, "second").alone("key"):
            pytest.fail("two were alone")
        assert board.posted == before


def test_the_claim_of_a_dead_process_ends() -> None:
    board = Board()
    with claims(board, "dead").alone("key"):
        left = dict(board.posted)
    board.posted.update(left)
    board.now_s += EXPIRY_S + 1
    with claims(board, "next").alone("key"):
        assert not left.keys() & board.posted.keys()


def test_a_server_whose_lists_lag_is_refused() -> None:
    board = Board()
    board.blind = True
    with pytest.raises(ArtifactError, match="lists"), claims(board).alone("key"):
        pytest.fail("nobody can tell who is alone")
    assert board.posted == {}


class Turns:
    """Holds a thread before each of its calls until it is its turn."""

    def __init__(self) -> None:
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self.over = False

    def wait(self) -> None:
        self._stopped.release()
        self._go.acquire()

    def end(self) -> None:
        self.over = True
        self._stopped.release()

    def step(self) -> None:
        """Let it make one call; back when it waits for the next turn."""
        self._stopped.acquire()
        if not self.over:
            self._go.release()
            self._stopped.acquire()
        self._stopped.release()


class SharedBoard(Board):
    """One writer's view of a board that others use too."""

    def __init__(self, board: Board, turns: Turns) -> None:
        super().__init__()
        self.board, self.turns = board, turns

    def post(self, key: str) -> None:
        self.turns.wait()
        self.board.post(key)

    def ages(self, prefix: str) -> dict[str, float]:
        self.turns.wait()
        return self.board.ages(prefix)

    def withdraw(self, key: str) -> None:
        self.turns.wait()
        self.board.withdraw(key)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=40), st.randoms(use_true_random=False))
def test_no_interleaving_lets_two_in(order: list[int], rest: random.Random) -> None:
    board, inside = Board(), set[int]()
    most, entered = [0], [0]

    def write(who: int, turns: Turns) -> None:
        ids = count()
        mine = Claims(
            SharedBoard(board, turns),
            EXPIRY_S,
            new_id=lambda: f"{who}-{next(ids)}",
            sleep=lambda _: turns.wait(),
            monotonic=lambda: 0.0,
            rng=random.Random(who),
        )
        with mine.alone("key"):
            inside.add(who)
            entered[0] += 1
            most[0] = max(most[0], len(inside))
            turns.wait()
            inside.remove(who)
        turns.end()

    all_turns = [Turns() for _ in range(3)]
    writers = [
        threading.Thread(target=write, args=(who, turns), daemon=True)
        for who, turns in enumerate(all_turns)
    ]
    for writer in writers:
        writer.start()
    for who in order:
        all_turns[who].step()
    while left := [turns for turns in all_turns if not turns.over]:
        turns = rest.choice(left)
        for _ in range(rest.randint(1, 20)):  # a whole round alone is among them
            turns.step()
    for writer in writers:
        writer.join()
    assert (most[0], entered[0], board.posted) == (1, 3, {})
