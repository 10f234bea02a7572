import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager

from processors.runtime.signs import Signs
from tests.processors.runtime.rig import until
from topics.log import LogError, Outgoing, Writing
from topics.log.protocol import Transaction

SIGN = Outgoing("step-progressed", b"sign")


class Slow:
    """A producer that waits for ``goes_on``, and fails as often as told."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()
        self.sent: list[Outgoing] = []
        self.failures = 0
        self.closed = False

    def send(self, outgoing: Iterable[Outgoing]) -> None:
        self.goes_on.wait()
        if self.failures:
            self.failures -= 1
            raise LogError("the log is away")
        self.sent += outgoing

    def transaction(self) -> AbstractContextManager[Transaction]:
        raise NotImplementedError

    def write(self) -> Writing:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


def test_a_log_that_does_not_answer_holds_nobody_up() -> None:
    producer = Slow()
    signs = Signs(producer, "trial")
    for _ in range(5000):  # returns, whatever the log does
        signs.give([SIGN])
    assert producer.sent == []
    producer.goes_on.set()
    until(lambda: producer.sent, "the first ones are written")
    signs.close()
    assert 0 < len(producer.sent) < 5000  # the rest was dropped
    assert producer.closed


def test_a_sign_that_cannot_be_written_is_dropped_and_the_next_one_is_not() -> None:
    producer = Slow()
    producer.failures = 1
    producer.goes_on.set()
    signs = Signs(producer, "trial")
    signs.give([SIGN])
    signs.give([SIGN, SIGN])
    signs.give([])
    until(lambda: len(producer.sent) == 2, "the second ones")
    signs.close()
