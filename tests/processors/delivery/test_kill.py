"""kill -9 of the delivery worker at any moment: nothing is lost, repeats are few and counted."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter

import pytest

from tests.processors.delivery.post import Post
from tests.processors.delivery.receiver import OK, Receiver, Reply

KILLS = 5
EVENTS = 400
AT_ONCE = 16  # of the worker in `process`

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]


def test_a_killed_worker_loses_nothing(post: Post, receiver: Receiver) -> None:
    chance = random.Random(11)
    receiver.reply = lambda _: Reply(500) if chance.random() < 0.2 else OK
    post.endpoint(1, receiver.url("/1"))
    post.endpoint(2, receiver.url("/2"))
    notices = post.notices(EVENTS)
    wanted = {(each.notification_id, path) for each in notices for path in ("/1", "/2")}
    moments = sorted(chance.sample(range(40, 2 * EVENTS - 40), KILLS))
    post.write(*notices)
    for number in range(KILLS + 1):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.processors.delivery.process", str(post.folder), "w"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if number < KILLS:
                goal = moments[number]
                receiver.wait(lambda: len(receiver.got) >= goal, timeout_s=30)  # noqa: B023
            else:
                receiver.wait(
                    lambda: {(each.id, each.path) for each in receiver.taken} >= wanted,
                    timeout_s=60,
                )
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    taken = Counter((each.id, each.path) for each in receiver.taken)
    repeats = sum(taken.values()) - len(taken)
    print(f"{KILLS} kills, {2 * EVENTS} deliveries, 0 lost, {repeats} repeats")
    assert set(taken) == wanted
    assert repeats <= KILLS * (AT_ONCE + EVENTS // 10)
