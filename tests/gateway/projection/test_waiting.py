"""Waiting for a store to change."""

from __future__ import annotations

import threading
import time

import pytest

from gateway.projection.store import StoreError
from gateway.projection.waiting import Waiting

NEVER_S = 60.0


def test_a_change_that_is_there_is_not_waited_for() -> None:
    assert Waiting(NEVER_S).until(lambda: 3, 2, NEVER_S) == 3


def test_the_time_is_over() -> None:
    began = time.monotonic()
    assert Waiting(NEVER_S).until(lambda: 3, 3, 0.05) == 3
    assert time.monotonic() - began >= 0.05


def test_what_others_write_is_looked_for() -> None:
    numbers = iter([0, 0, 0, 1])
    assert Waiting(0.001).until(lambda: next(numbers), 0, NEVER_S) == 1


def test_a_write_between_the_look_and_the_sleep_is_not_missed() -> None:
    waiting = Waiting(NEVER_S)
    numbers = iter([0, 1])

    def look() -> int:
        number = next(numbers)
        waiting.wake()  # somebody writes right behind the look
        return number

    assert waiting.until(look, 0, NEVER_S) == 1


def test_all_who_wait_are_woken() -> None:
    waiting, number, looks = Waiting(NEVER_S), [0], threading.Semaphore(0)
    found: list[int] = []

    def look() -> int:
        looks.release()
        return number[0]

    threads = [
        threading.Thread(target=lambda: found.append(waiting.until(look, 0, NEVER_S)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        looks.acquire()
    number[0] = 1
    waiting.wake()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1]


def test_closing_ends_it_and_what_a_closed_store_says_is_no_error() -> None:
    waiting = Waiting(NEVER_S)

    def closed() -> int:
        waiting.close()
        raise StoreError("closed")

    assert waiting.until(closed, 0, NEVER_S) == -1
    assert waiting.until(lambda: 0, 0, NEVER_S) == 0


def test_what_an_open_store_says_is_one() -> None:
    def broken() -> int:
        raise StoreError("the disk is gone")

    with pytest.raises(StoreError, match="the disk is gone"):
        Waiting(NEVER_S).until(broken, 0, NEVER_S)
