"""The whole way from a notification to receivers that behave, and to those that do not."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from standardwebhooks import Webhook

from schemas.webhooks import order, owed
from tests.processors.delivery.post import Post
from tests.processors.delivery.receiver import OK, Receiver, Reply
from topics.log.protocol import Outgoing, Record, TopicPartition

pytestmark = pytest.mark.slow


def until(done: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def outcomes(post: Post) -> Counter[str]:
    """How the deliveries stand: the newest word on each."""
    newest: dict[tuple[str, str], tuple[tuple[int, int, int], str]] = {}
    for each in post.attempts():
        name = (each.endpoint_id, each.notification_id)
        newest[name] = max(newest.get(name, ((-1, 0, 0), "")), (order(each), each.outcome))
    return Counter(outcome for _, outcome in newest.values())


def test_those_who_subscribed_are_told_and_can_verify(post: Post, receiver: Receiver) -> None:
    post.endpoint(1, receiver.url("/all"))
    post.endpoint(2, receiver.url("/failures"), types=("job.failed",))
    post.endpoint(3, receiver.url("/other"), tenant="other")
    [ready] = post.notices(1)
    [failed] = post.notices(1, first=7, type="job.failed", code="no_vocals", message="no singing")
    callback = post.keys.destination_id("default", receiver.url("/callback"))
    post.endpoint(9, receiver.url("/callback"), state="deleted")  # keeps the URL only
    post.work()
    post.write(ready, replace(failed, callback_id=callback))
    receiver.wait(lambda: len(receiver.got) == 4)
    came = sorted((each.path, each.id) for each in receiver.got)
    assert came == [
        ("/all", ready.notification_id),
        ("/all", failed.notification_id),
        ("/callback", failed.notification_id),
        ("/failures", failed.notification_id),
    ]
    secrets = {"/all": "whk_1", "/failures": "whk_2", "/callback": "callbacks"}
    for each in receiver.got:
        told = Webhook(post.secret(secrets[each.path])).verify(each.body.decode(), each.headers)
        assert told["data"]["schema"] == "webhook/1"
    until(lambda: outcomes(post) == {"delivered": 4}, "four deliveries to be written down")


def test_both_secrets_sign_while_they_overlap(post: Post, receiver: Receiver) -> None:
    later_ms = time.time_ns() // 1_000_000 + 60_000
    post.endpoint(1, receiver.url(), generation=2, previous_until_ms=(later_ms,))
    post.work()
    post.write(*post.notices(1))
    receiver.wait(lambda: len(receiver.got) == 1)
    [got] = receiver.got
    assert len(got.headers["webhook-signature"].split(" ")) == 2
    for generation in (1, 2):
        Webhook(post.secret("whk_1", generation)).verify(got.body.decode(), got.headers)


def test_a_receiver_that_fails_in_every_way_gets_everything_or_it_is_listed(
    post: Post, receiver: Receiver
) -> None:
    """30 % of the requests fail: errors, hangs, resets, redirects, 429 with Retry-After."""
    chance = random.Random(3)
    ways = [
        Reply(500),
        Reply(503),
        Reply(hang=True),
        Reply(reset=True),
        Reply(302, (("Location", "http://127.0.0.1:1/"),)),
        Reply(429, (("Retry-After", "0"),)),
        Reply(200, drip_s=0.2),
    ]
    receiver.reply = lambda _: chance.choice(ways) if chance.random() < 0.3 else OK
    post.endpoint(1, receiver.url())
    notices = post.notices(150)
    post.work(webhook_timeout_seconds=0.4, webhook_breaker_failures=1000)
    post.write(*notices)
    until(lambda: sum(outcomes(post)[each] for each in ("delivered", "exhausted")) == 150, "ends")
    ids = {each.notification_id for each in notices}
    listed = {each.notification_id for each in post.attempts() if each.outcome == "exhausted"}
    assert receiver.ids() | listed == ids
    assert {each.id for each in receiver.got} == ids  # every try under the one id
    repeats = len(receiver.taken) - len(receiver.ids())
    print(f"150 events: {len(receiver.got)} requests, {len(listed)} exhausted, {repeats} repeats")


def test_what_never_succeeds_is_listed_as_exhausted(post: Post, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(500)
    post.endpoint(1, receiver.url())
    post.work(webhook_retry_seconds=(0.01, 0.02), webhook_breaker_failures=1000)
    post.write(*post.notices(3))
    until(lambda: outcomes(post) == {"exhausted": 3}, "the tries to be spent")
    assert Counter(each.id for each in receiver.got) == dict.fromkeys(
        (f"msg_{n:06d}" for n in range(3)), 3
    )


def test_a_410_disables_at_once_and_the_others_are_told(post: Post, receiver: Receiver) -> None:
    receiver.reply = lambda request: Reply(410) if request.path == "/gone" else OK
    gone = post.endpoint(1, receiver.url("/gone"))
    post.endpoint(2, receiver.url("/well"))
    post.work(webhook_probe_seconds=0.01)
    post.write(*post.notices(1))
    until(lambda: len(post.verdicts()) == 1, "the verdict")
    [verdict] = post.verdicts()
    assert (verdict.endpoint_id, verdict.reason) == ("whk_1", "gone")
    receiver.wait(lambda: any(b"endpoint.disabled" in each.body for each in receiver.got))
    time.sleep(0.5)
    post.write(*post.notices(3, first=10))
    receiver.wait(lambda: len([e for e in receiver.got if e.path == "/well"]) == 5)
    assert len([each for each in receiver.got if each.path == "/gone"]) == 1

    receiver.reply = lambda _: OK
    post.changed(gone, enabled=1)  # resumed by its owner
    until(lambda: not list(post.verdicts()[1:]), "no other verdict")
    post.write(*post.notices(1, first=20))
    receiver.wait(lambda: len([e for e in receiver.got if e.path == "/gone"]) == 2)


def test_days_of_failures_disable_and_an_answered_probe_enables(
    post: Post, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(500)
    post.endpoint(1, receiver.url())
    post.work(
        webhook_disable_seconds=0.3,
        webhook_probe_seconds=0.5,
        webhook_breaker_failures=1000,
    )
    post.write(*post.notices(2))
    until(lambda: [each.verdict for each in post.verdicts()] == ["disabled"], "the verdict")
    until(lambda: outcomes(post) == {"exhausted": 2}, "what was owed to be closed")
    assert {e.error for e in post.attempts() if e.outcome == "exhausted"} <= {
        "endpoint_disabled",
        "status",
    }
    receiver.reply = lambda _: OK
    until(lambda: post.verdicts()[-1].verdict == "enabled", "the probe to be answered")
    assert b"webhook.probe" in receiver.taken[-1].body
    post.write(*post.notices(1, first=10))
    receiver.wait(lambda: "msg_000010" in receiver.ids())


def test_what_comes_while_paused_is_kept_and_what_is_deleted_is_dropped(
    post: Post, receiver: Receiver
) -> None:
    paused = post.endpoint(1, receiver.url("/paused"), state="paused")
    post.work()
    post.write(*post.notices(5))
    until(lambda: outcomes(post)["owed"] == 5, "five to be owed")
    time.sleep(0.6)
    assert receiver.got == []
    resumed = post.changed(paused, state="active")
    receiver.wait(lambda: len(receiver.got) == 5)
    again = post.changed(resumed, state="paused")
    time.sleep(0.6)
    post.write(*post.notices(2, first=10))
    until(lambda: outcomes(post)["owed"] == 2, "two more to be owed")
    post.changed(again, state="deleted")
    until(lambda: outcomes(post) == {"delivered": 5, "dropped": 2}, "them to be dropped")
    assert len(receiver.got) == 5


def test_a_receiver_that_hangs_keeps_no_other_waiting(post: Post, receiver: Receiver) -> None:
    receiver.reply = lambda request: Reply(hang=True) if request.path == "/bad" else OK
    post.endpoint(1, receiver.url("/bad"))
    post.endpoint(2, receiver.url("/good"))
    post.work(webhook_concurrency=8, webhook_timeout_seconds=30)
    post.write(*post.notices(200))
    receiver.wait(lambda: len(receiver.taken) == 200, timeout_s=15)
    assert {each.path for each in receiver.taken} == {"/good"}
    assert 1 <= len([each for each in receiver.got if each.path == "/bad"]) <= 4


def test_a_redelivery_is_another_round_under_the_same_id(post: Post, receiver: Receiver) -> None:
    post.endpoint(1, receiver.url())
    post.work()
    [told] = post.notices(1)
    post.write(told)
    receiver.wait(lambda: len(receiver.got) == 1)
    until(lambda: outcomes(post) == {"delivered": 1}, "the delivery")
    post.write(owed(told, "whk_1", time.time_ns() // 1_000_000, again=1))
    receiver.wait(lambda: len(receiver.got) == 2)
    post.write(told)  # the notification once more: nobody asked
    time.sleep(0.5)
    assert [each.id for each in receiver.got] == [told.notification_id] * 2
    assert receiver.got[0].body == receiver.got[1].body


def test_old_news_is_not_sent_by_itself(post: Post, receiver: Receiver) -> None:
    post.endpoint(1, receiver.url())
    post.work()
    post.write(*post.notices(1, occurred_ms=1_767_225_600_000), *post.notices(1, first=1))
    receiver.wait(lambda: len(receiver.got) == 1)
    time.sleep(0.3)
    assert receiver.ids() == {"msg_000001"}


def test_two_workers_share_the_endpoints_and_a_third_takes_over(
    post: Post, receiver: Receiver
) -> None:
    for number in range(12):
        post.endpoint(number, receiver.url(f"/{number}"))
    patient = {"webhook_timeout_seconds": 20.0}  # two workers and the receiver in one process
    first, _ = post.work(**patient), post.work(**patient)
    time.sleep(0.5)
    post.write(*post.notices(20))
    receiver.wait(lambda: len(receiver.ids()) == 20 and len(receiver.taken) >= 240)
    first.stop()
    post.write(*post.notices(20, first=20))
    receiver.wait(lambda: len(receiver.ids()) == 40 and len(receiver.taken) >= 480)
    until(lambda: outcomes(post) == {"delivered": 480}, "all to be written down")


def test_a_successor_begins_behind_what_is_done(post: Post, receiver: Receiver) -> None:
    post.endpoint(1, receiver.url())
    worker = post.work()
    post.write(*post.notices(50))
    receiver.wait(lambda: len(receiver.taken) == 50)
    until(lambda: outcomes(post) == {"delivered": 50}, "all to be written down")
    worker.stop()
    committed = post.log.group_offsets("delivery")
    ends = post.log.end_offsets(["webhook-attempted"])
    assert {tp: at for tp, at in committed.items() if at} == {
        tp: end for tp, end in ends.items() if end
    }
    assert all(isinstance(tp, TopicPartition) for tp in committed)
    post.work()
    post.write(*post.notices(1, first=100))
    receiver.wait(lambda: len(receiver.got) == 51)
    time.sleep(0.3)
    assert len(receiver.got) == 51  # nothing twice


def test_what_is_no_event_is_set_aside_and_passed(post: Post, receiver: Receiver) -> None:
    post.endpoint(1, receiver.url("/"))
    first, second = post.notices(2)
    post.write(first)
    post.work()
    receiver.wait(lambda: len(receiver.got) == 1)
    bad = {"notified": b"\0no event", "webhook-attempted": b""}
    producer = post.log.producer("poison")
    headers = (("ce_id", b"x"), ("melisma.error.stage", b"forged"))
    for topic, value in bad.items():
        everywhere = range(post.log.topics()[topic])
        producer.send(
            [Outgoing(topic, value, b"key", headers, partition=number) for number in everywhere]
        )
    producer.close()
    post.write(second)
    receiver.wait(lambda: len(receiver.got) == 2)
    wanted = Counter({(topic, bad[topic]): post.log.topics()[topic] for topic in bad})

    def buried() -> list[Record]:
        reader = post.log.reader(["delivery.dlq"])
        found: list[Record] = []
        while not reader.caught_up():
            found += reader.poll(0.05, 1000)
        reader.close()
        return found

    until(lambda: len(buried()) >= wanted.total(), "the dead letters")
    letters = buried()
    said = [{name: value.decode() for name, value in each.headers} for each in letters]
    assert (
        Counter((s["melisma.error.topic"], e.value) for s, e in zip(said, letters, strict=True))
        == wanted
    )
    places = {(s["melisma.error.topic"], s["melisma.error.partition"]) for s in said}
    assert len(places) == wanted.total()
    for each in said:
        assert each["ce_id"] == "x"
        assert each["melisma.error.stage"] == "delivery"
        assert each["melisma.error.code"] == "poison"
        assert each["melisma.error.attempts"] == "0"
