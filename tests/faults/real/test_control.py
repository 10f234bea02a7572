"""What people and limits do to jobs, through REST on the real servers: cancel, retry, hard limits;
and what a bad deploy does to them, or a hundred bad songs.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.client import Client, Refused
from schemas.events import JobFailed, Separated, StepFailed
from tests.e2e.product import Json, gone, stage_children, step, until
from tests.faults.real.audit import audit, read
from tests.faults.real.parts import SEED, Parts, accept_all, ended, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(1800, func_only=True)]

SOUND = ("gateway", "projector", "alignment", "quality", "publishing")


def separating(client: Client, jobs: list[Json]) -> Callable[[], Json | None]:
    """The job whose song is being separated now."""

    def look() -> Json | None:
        shown = [client.job(each["jobId"]) for each in jobs]
        at_it = (j for j in shown if j["state"] == "running")
        return next((j for j in at_it if step(j, "separate")["state"] == "running"), None)

    return look


def test_cancel_hard_limit_and_retry(parts: Callable[..., Parts]) -> None:
    product = parts().start(*SOUND)
    worker = product.misbehave("hang")
    with product.client() as client:
        jobs = accept_all(client, [200, 201])
        canceled = until(separating(client, jobs), "a separation that hangs")
        children = set(stage_children(worker))
        assert children
        client.cancel(canceled["jobId"])
        until(lambda: all(map(gone, children)), "the end of the work")
        assert wait_for(client, canceled["jobId"])["state"] == "canceled"
        other = next(each for each in jobs if each["jobId"] != canceled["jobId"])
        until(separating(client, [other]), "the next song")  # the slot is free again
        with pytest.raises(Refused) as refused:
            client.retry(canceled["jobId"])
        assert refused.value.status == 409

        product.kill9("separation")
        product.misbehave("slow")
        failed = wait_for(client, other["jobId"])
        assert failed["state"] == "failed", failed
        assert (failed["error"]["step"], failed["error"]["code"]) == ("separate", "too_slow")
        with pytest.raises(Refused) as refused:
            client.ready(other["trackId"])
        assert refused.value.status == 409

        product.end("separation")
        product.start("separation")
        client.retry(other["jobId"])
        (done,) = ended(client, [other])
        assert done["attempt"] == 2
        seen = audit(product, client, [other], dead={"separation": 1})
    assert len(seen.events["job-canceled"]) == len(seen.events["job-retried"]) == 1
    tries = [each.event for each in seen.events["step-failed"]]
    assert [t.try_number for t in tries if isinstance(t, StepFailed)] == [1, 2]
    made = [
        each.event.work for each in seen.events["separated"] if isinstance(each.event, Separated)
    ]
    assert [work.job_id for work in made] == [other["jobId"]]
    print(f"canceled 1, killed {len(tries)} tries at their limit, retried 1; {seen}")
    product.stop()


def test_a_stage_that_crashes_on_everything_trips_its_breaker(
    parts: Callable[..., Parts],
) -> None:
    product = parts().start(*SOUND)
    with product.client() as client:
        jobs = accept_all(client, range(210, 217))
        worker = product.misbehave("crash")
        assert worker.wait() != 0
        worker.must_be_gone()
        assert "breaker tripped" in worker.last_words
        seen = read(product.environment)
        assert not seen.events["job-failed"]
        assert not any(seen.dead.values())
        crashes = len(seen.events["step-failed"])
        assert crashes >= 4  # the input that trips it keeps its tries
        product.start("separation")  # the deploy is rolled back
        ended(client, jobs)
        print(f"stopped after {crashes} crashes; {audit(product, client, jobs)}")
    product.stop()


def test_a_hundred_bad_songs_do_not(parts: Callable[..., Parts], tmp_path: Path) -> None:
    chance = random.Random(SEED)
    product = parts().start(*SOUND, "separation")
    with product.client() as client:
        bad: list[Json] = []
        for number in range(100):
            path = tmp_path / f"bad-{number}.flac"
            path.write_bytes(b"fLaC" + chance.randbytes(2000))
            bad.append(client.import_track(client.upload(path, content_type="audio/flac")))
        good = accept_all(client, [220])
        shown = [wait_for(client, each["jobId"]) for each in bad]
        assert {each["state"] for each in shown} == {"failed"}
        assert {each["error"]["step"] for each in shown} == {"separate"}
        ended(client, good)  # by the same worker, which `until` would have missed
        seen = audit(product, client, good, dead={"separation": 100})
    failed = [each.event for each in seen.events["job-failed"]]
    codes = {each.code for each in failed if isinstance(each, JobFailed)}
    assert len(failed) == 100
    assert not codes & {"crashed", "out_of_memory"}
    print(f"100 songs refused with {codes}; {seen}")
    product.stop()
