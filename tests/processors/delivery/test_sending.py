"""One attempt, against every way in which a receiver can misbehave."""

from __future__ import annotations

import asyncio
import time

import pytest
from standardwebhooks import Webhook

from processors.delivery.sending import READ_BYTES, Answer, Message, send
from processors.delivery.signing import key_of
from tests.processors.delivery.post import LOOPBACK
from tests.processors.delivery.receiver import Receiver, Reply
from topics.outbound import Guard, GuardedTransport

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
GUARD = Guard(http=True, allowed=LOOPBACK)


def attempt(url: str, *, guard: Guard = GUARD, timeout_s: float = 0.5) -> Answer:
    async def go() -> Answer:
        transport = GuardedTransport(guard)
        message = Message(url, "msg_1", b'{"type":"test"}', [key_of(SECRET)], "")
        try:
            return await send(
                transport,
                message,
                timeout_s=timeout_s,
                wall_ms=lambda: time.time_ns() // 1_000_000,
            )
        finally:
            await transport.aclose()

    return asyncio.run(go())


def test_what_arrives_is_verified_by_the_reference(receiver: Receiver) -> None:
    answer = attempt(receiver.url("/a/path?x=1"))
    assert answer.delivered
    [got] = receiver.got
    assert Webhook(SECRET).verify(got.body.decode(), got.headers) == {"type": "test"}
    assert got.path == "/a/path?x=1"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("reply", "status", "error"),
    [
        (Reply(200), 200, ""),
        (Reply(202, body=b"thanks"), 202, ""),
        (Reply(301, (("Location", "http://127.0.0.1:1/"),)), 301, "status"),
        (Reply(307, (("Location", "http://169.254.169.254/"),)), 307, "status"),
        (Reply(400), 400, "status"),
        (Reply(410), 410, "gone"),
        (Reply(500, body=b"oops"), 500, "status"),
        (Reply(hang=True), 0, "timeout"),
        (Reply(reset=True), 0, "connection"),
        (Reply(200, drip_s=0.05), 200, "timeout"),
        (Reply(103), 0, "timeout"),
    ],
)
def test_every_answer_has_its_word(
    receiver: Receiver, reply: Reply, status: int, error: str
) -> None:
    receiver.reply = lambda _: reply
    begun = time.monotonic()
    answer = attempt(receiver.url())
    assert (answer.status, answer.error) == (status, error), answer
    assert answer.delivered == (not error)
    assert len(receiver.got) == 1  # no redirect is followed
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(("header", "seconds"), [("120", 120.0), ("soon", None)])
def test_a_retry_after_is_told(receiver: Receiver, header: str, seconds: float | None) -> None:
    receiver.reply = lambda _: Reply(429, (("Retry-After", header),))
    assert attempt(receiver.url()).retry_after_s == seconds


def test_a_long_answer_is_not_read(receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(500, body=b"x" * 5_000_000)
    answer = attempt(receiver.url())
    assert answer.status == 500
    assert 0 < len(answer.response) <= READ_BYTES


def test_secrets_in_an_answer_are_not_kept(receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(500, body=f"bad secret {SECRET}".encode())
    assert SECRET not in attempt(receiver.url()).response


def test_nobody_there(receiver: Receiver) -> None:
    assert attempt("http://127.0.0.1:1/").error == "connect"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://10.0.0.1/", "http://user@example.com/", "ftp://x/", "x"]
)
def test_private_addresses_are_refused_and_the_url_is_not_repeated(url: str) -> None:
    answer = attempt(url + "?secret=1", guard=Guard(http=True))
    assert answer.error in ("address_refused", "connection")
    assert "secret=1" not in answer.detail
