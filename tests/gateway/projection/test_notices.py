"""Notifications leave behind the projection, once, in order, under ids that never change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from gateway.projection.notices import Notices
from gateway.projection.projector import Projector
from gateway.projection.sqlite import SqliteStore
from processors.delivery.service import Deliveries
from schemas.events import JobCanceled, JobFailed, LyricsEdited, Notified, Published
from tests.gateway.house import House
from tests.processors.delivery.post import settings
from tests.processors.delivery.receiver import OK, Received, Receiver, Reply
from topics.codec import Envelope
from topics.webhooks.destinations import keep

URL = "https://example.com/hook"


@contextmanager
def projecting(house: House) -> Iterator[Projector]:
    """The projector over the house's store."""
    notices = Notices(house.codec, house.store, house.reservations)
    projector = Projector(house.log, house.codec, house.store, notices=notices)
    stop = threading.Event()
    thread = threading.Thread(target=projector.run, args=(stop,))
    thread.start()
    try:
        yield projector
    finally:
        stop.set()
        thread.join()


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def told(house: House, count: int) -> list[Notified]:
    until(lambda: len(house.events("notified")) >= count)
    time.sleep(0.3)
    events = [each.event for each in house.events("notified")]
    return [each for each in events if isinstance(each, Notified)]


def test_what_happens_to_a_track_is_told_in_order(house: House) -> None:
    track = house.imported(callbackUrl=URL)
    with projecting(house):
        house.fail(track["jobId"])
        [failed] = told(house, 1)
        work = replace(house.work(track["jobId"]), attempt=2)
        house.happens(Published(work=work, score=0.9), source="publishing")
        told(house, 2)
        house.happens(LyricsEdited(track_id=track["trackId"], version=2, parent=1))
        first, second, third = told(house, 3)
    assert first == failed
    assert (first.type, first.code, first.stage) == ("job.failed", "no_vocals", "alignment")
    assert (second.type, second.version) == ("track.ready", 1)
    assert (third.type, third.version) == ("lyrics.updated", 2)
    assert [each.sequence for each in (first, second, third)] == [1, 2, 3]
    assert {each.callback_id for each in (first, second, third)} == {work.callback_id}
    assert len({each.notification_id for each in (first, second, third)}) == 3


def test_folded_again_the_same_is_told_under_the_same_ids(house: House) -> None:
    track = house.published()["trackId"]
    notices = Notices(house.codec, house.store, house.reservations)
    envelopes = house.events("published")
    once, again = notices.of(envelopes), notices.of(envelopes)
    assert [each.value for each in once] == [each.value for each in again]
    assert once[0].key == track.encode()


def test_a_cancel_that_came_too_late_is_not_told(house: House) -> None:
    accepted = house.published()
    late = JobCanceled(job_id=accepted["jobId"], track_id=accepted["trackId"])
    failed = JobFailed(job_id=accepted["jobId"], track_id=accepted["trackId"])
    house.happens(late, failed)
    notices = Notices(house.codec, house.store, house.reservations)
    assert notices.of(house.events("job-canceled") + house.events("job-failed")) == []


def test_a_replay_tells_nobody_unless_asked(house: House) -> None:
    work = house.work(house.imported()["jobId"])
    house.happens(
        Published(work=replace(work, replay_id="rep_1", version=2)),
        Published(work=replace(work, replay_id="rep_2", version=3, callback_id="standing")),
    )
    notices = Notices(house.codec, house.store, house.reservations)
    made = notices.of(house.events("published"))
    assert len(made) == 1


def test_who_is_told_sees_the_new_state_at_once(house: House) -> None:
    """The receiver reads the projection in the moment in which the webhook comes."""
    seen: list[str] = []
    store = SqliteStore(house.folder / "projection.db")

    def reply(request: Received) -> Reply:
        track = store.track("default", track_id)
        version = track.version(1) if track is not None else None
        seen.append(version.state if version is not None else "nothing")
        return OK

    with Receiver(reply) as receiver:
        accepted = house.imported(callbackUrl=URL)
        track_id = accepted["trackId"]
        callback = house.work(accepted["jobId"]).callback_id
        keys = house.services.webhooks.keys
        # The house takes public addresses only; the delivery is sent to the receiver's.
        house.artifacts.delete(house.artifacts.uri(f"callbacks/default/{callback}.json"))
        keep(house.artifacts, "default", callback, receiver.url())
        chosen = settings(house.folder, webhook_max_age_seconds=1e9)
        with (
            projecting(house),
            Deliveries(chosen, log=house.log, artifacts=house.artifacts, keys=keys, name="w"),
        ):
            # On the log alone: it is the projector that folds it.
            work = house.work(accepted["jobId"])
            envelope = Envelope.caused(
                Published(work=work, score=0.9),
                by="test",
                source="publishing",
                time_ms=house.clock.ms,
                traceparent="",
            )
            producer = house.log.producer("test")
            producer.send([house.codec.encode(envelope)])
            producer.close()
            receiver.wait(lambda: len(receiver.got) == 1)
    store.close()
    assert seen == ["published"]
    assert b'"type":"track.ready"' in receiver.got[0].body


def test_a_failure_that_is_read_before_its_request_reaches_who_asked(house: House) -> None:
    failed = JobFailed(
        job_id="job_1", track_id="trk_1", code="no_vocals", version=1, callback_id="cbk_1"
    )
    house.happens(failed)  # another topic: nothing says that the request is read first
    notices = Notices(house.codec, house.store, house.reservations)
    producer = house.log.producer("projector")
    producer.send(notices.of(house.events("job-failed")))
    producer.close()
    (told,) = (each.event for each in house.events("notified"))
    assert isinstance(told, Notified)
    assert (told.callback_id, told.version, told.code) == ("cbk_1", 1, "no_vocals")
    replayed = replace(failed, job_id="job_2", replay_id="rep_1", callback_id="")
    house.happens(replayed)
    assert notices.of(house.events("job-failed")[1:]) == []
