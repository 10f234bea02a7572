"""kill -9 of the whole product: what was accepted is finished, and nothing is published twice."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from gateway.client import Client, Refused
from schemas.events import Published
from tests import songs
from tests.e2e.product import (
    Json,
    Product,
    accept,
    events,
    finish,
    gone,
    stage_children,
    step,
    until,
)
from topics.catalog import CATALOG
from topics.log.embedded import EmbeddedLog

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

ROUNDS = int(os.environ.get("MELISMA_FAULT_ROUNDS", "3"))


def published(product: Product) -> Counter[tuple[str, int]]:
    """How many published events the log holds of each track's version."""
    return Counter(
        (each.event.work.track_id, each.event.work.version)
        for each in events(product.data, Published)
        if isinstance(each.event, Published)
    )


def check_published(product: Product, client: Client, tracks: list[str], version: int = 1) -> None:
    """Each track's version is on the log once, and served with its stems."""
    on_log = published(product)
    for track in tracks:
        assert on_log[track, version] == 1, on_log
        ready = client.ready(track)
        assert ready["version"] == version
        for name in ("minusUrl", "vocalsUrl"):
            assert httpx.get(ready[name], trust_env=False).status_code == 200


def test_nothing_accepted_is_lost_to_a_kill_behind_the_answer(
    own_product: Callable[..., Product],
) -> None:
    product = own_product()
    song = songs.make("short", 1)
    with product.client() as client:
        asset = client.upload(song.path)
    product.kill9()  # behind the 200 of complete

    product.restart()
    with product.client() as client:
        job = client.import_track(asset, lyrics=song.lyrics_text, language="en")
    product.kill9()  # behind the 202 of import

    product.restart()
    with product.client() as client:
        finish(client, job["jobId"])
        check_published(product, client, [job["trackId"]])
        first = client.version(job["trackId"], 1)
        draft = client.edit_lyrics(
            job["trackId"], version=1, lyrics=song.lyrics_text + "And once again\n"
        )
    product.kill9()  # behind the 200 of an edit

    product.restart()
    with product.client() as client:
        assert client.versions(job["trackId"])["newest"] == draft["version"] == 2
        again = client.reprocess(job["trackId"], ["align"])
    product.kill9()  # behind the 202 of reprocess

    product.restart()
    with product.client() as client:
        finish(client, again["jobId"])
        check_published(product, client, [job["trackId"]], version=2)
        assert client.version(job["trackId"], 1) == first
    assert set(published(product).values()) == {1}
    product.stop()


def test_killed_at_any_moment_every_job_ends_published_once(
    own_product: Callable[..., Product],
) -> None:
    chance = random.Random(20_240)
    product = own_product()
    with product.client() as client:
        undisturbed = accept(client, songs.make("short", 0))
        finish(client, undisturbed["jobId"])
    steps = records(product)
    # A moment is a number of records that the log has taken since the import, and a little later:
    # one in each stretch of the pipeline, in any order, however fast the machine is.
    moments = [round(steps * (number + chance.random()) / ROUNDS) for number in range(ROUNDS)]
    chance.shuffle(moments)
    jobs = [undisturbed]
    for number, moment in enumerate(moments):
        song = songs.make("short", 1 + number)
        with product.client() as client:
            # An older track is made anew beside the new one.
            jobs.append(client.reprocess(jobs[-1]["trackId"], ["align"]))
            jobs.append(accept(client, song))
            where = _behind(moment, chance.random(), product, client, jobs[-1]["jobId"])
        product.kill9()
        # Every second time the recovery is killed as well, at a moment of its own.
        again = ""
        if number % 2:
            product.restart()
            with product.client() as client:
                more = chance.randrange(steps // 2)
                again = _behind(more, chance.random(), product, client, jobs[-1]["jobId"])
            product.kill9()
        print(f"round {number + 1}: killed {where}{' and ' if again else ''}{again}")
        product.restart()
        with product.client() as client:
            for job in jobs[-2:]:
                finish(client, job["jobId"])

    with product.client() as client:
        newest = {each["trackId"]: each["version"] for each in jobs}
        for track, version in newest.items():
            check_published(product, client, [track], version)
        listed = client.jobs(limit=200)["jobs"]
    assert {each["state"] for each in listed} == {"succeeded"}
    assert len(listed) == len(jobs)
    wanted = {(each["trackId"], each["version"]): 1 for each in jobs}
    assert published(product) == wanted
    product.stop()


def records(product: Product) -> int:
    """How many records the topics of the catalog hold."""
    log = EmbeddedLog(product.data / "log.db")
    try:
        return sum(log.end_offsets(list(CATALOG)).values())
    finally:
        log.close()


def _behind(more: int, delay: float, product: Product, client: Client, job_id: str) -> str:
    """Wait until the log has taken so many records more, or the job has ended, and up to 100 ms;
    where the job then is.
    """
    log = EmbeddedLog(product.data / "log.db")
    try:
        before = sum(log.end_offsets(list(CATALOG)).values())
        until(
            lambda: (
                sum(log.end_offsets(list(CATALOG)).values()) >= before + more
                or client.job(job_id)["state"] == "succeeded"
            ),
            f"{more} records",
            pause_s=0.005,
        )
    finally:
        log.close()
    time.sleep(0.1 * delay)
    job = client.job(job_id)
    assert job["state"] not in ("failed", "canceled"), job
    return f"behind {more} records ({job['state']}, {job.get('step')}, {job['progress']:.0%})"


def test_a_request_repeated_after_a_kill_gets_the_same_ids(
    own_product: Callable[..., Product],
) -> None:
    product = own_product()
    song = songs.make("short", 1)
    key = {"Idempotency-Key": "the-same-request"}
    with product.client() as client:
        asset = client.upload(song.path)
    body = {"assetId": asset, "lyrics": song.lyrics_text, "language": "en"}
    with product.http() as http:
        first = http.post("/v1/tracks/import", json=body, headers=key)
    assert first.status_code == 202
    product.kill9()

    product.restart()
    with product.http() as http:
        second = http.post("/v1/tracks/import", json=body, headers=key)
        assert (second.status_code, second.json()) == (202, first.json())
        assert second.headers["idempotency-replayed"] == "true"
        other = http.post("/v1/tracks/import", json=body | {"title": "Other"}, headers=key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    with product.client() as client:
        finish(client, first.json()["jobId"])
        assert len(client.jobs()["jobs"]) == 1
        check_published(product, client, [first.json()["trackId"]])
    product.stop()


def _stopped_at_work(product: Product, client: Client, job_id: str) -> int:
    """The process that separates the song of a job, stopped in the middle of it."""

    def running() -> bool:
        steps = client.job(job_id)["steps"]
        return bool(steps) and steps[0]["state"] == "running"

    until(running, "a separation in work", pause_s=0.005)
    [child] = stage_children(product.up)
    os.kill(child, signal.SIGSTOP)
    time.sleep(0.5)  # what it said before it was stopped is heard by then
    assert running(), "the separation was done before it could be stopped"
    return child


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSEGV])
def test_a_stage_child_that_dies_at_work_is_replaced(
    own_product: Callable[..., Product], what: signal.Signals
) -> None:
    product = own_product()
    song = songs.make("english", 1)
    with product.client() as client:
        accepted = accept(client, song)

        child = _stopped_at_work(product, client, accepted["jobId"])
        os.kill(child, what)
        if what is not signal.SIGKILL:
            os.kill(child, signal.SIGCONT)  # a stopped process dies of SIGKILL alone
        until(lambda: gone(child), "the end of the child")
        job = finish(client, accepted["jobId"])
        separate = step(job, "separate")
        assert separate["tryNumber"] == 2
        assert job["attempt"] == 1
        check_published(product, client, [accepted["trackId"]])
    product.stop()


def test_the_job_of_a_child_that_stands_still_can_be_canceled(
    own_product: Callable[..., Product],
) -> None:
    product = own_product()
    song = songs.make("english", 1)
    with product.client() as client:
        accepted = accept(client, song)

        child = _stopped_at_work(product, client, accepted["jobId"])
        before = client.job(accepted["jobId"])
        until(
            lambda: client.job(accepted["jobId"])["elapsedSeconds"] > before["elapsedSeconds"],
            "the clock of the step to go on",
        )
        client.cancel(accepted["jobId"])
        until(lambda: gone(child), "the end of the stopped child", timeout_s=30)
        with pytest.raises(Refused):
            client.ready(accepted["trackId"])
        finish(client, accept(client, song)["jobId"])
    product.stop()


def test_a_write_that_fails_midway_is_done_again(own_product: Callable[..., Product]) -> None:
    product = own_product()
    song = songs.make("english", 1)
    with product.client() as client:
        accepted = accept(client, song)
        child = _stopped_at_work(product, client, accepted["jobId"])
        # As on a full disk, the child's files end after 100 kB: a third of a stem.
        before = resource.prlimit(child, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        os.kill(child, signal.SIGCONT)

        def refused() -> Json | None:
            separate = step(client.job(accepted["jobId"]), "separate")
            return separate if separate["state"] == "retrying" else None

        failure = until(refused, "the refused write")["error"]
        print(failure)
        assert str(product.folder) not in str(failure)
        if not gone(child):
            resource.prlimit(child, resource.RLIMIT_FSIZE, before)
        job = finish(client, accepted["jobId"])
        assert step(job, "separate")["tryNumber"] == 2
        assert not step(job, "separate").get("reused", False)
        check_published(product, client, [accepted["trackId"]])
    product.stop()


def test_sigterm_hands_over_what_is_not_done_in_time(own_product: Callable[..., Product]) -> None:
    product = own_product(DRAIN_SECONDS="0.2")
    song = songs.make("english", 1)
    with product.client() as client:
        accepted = accept(client, song)
        until(lambda: client.job(accepted["jobId"])["progress"] > 0, "work", pause_s=0.005)
    product.stop()
    product.restart()
    with product.client() as client:
        job = finish(client, accepted["jobId"])
        assert job["attempt"] == 1
        check_published(product, client, [accepted["trackId"]])
    product.stop()
