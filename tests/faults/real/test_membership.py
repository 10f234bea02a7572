"""Members of a group that stand still, come back, join and leave, on the real broker."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.e2e.product import Json, until
from tests.faults.real.audit import audit
from tests.faults.real.parts import WHOLE, Parts, accept_all, ended
from tests.stack import SESSION_S

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(1800, func_only=True)]

STORM_S = 120.0 if WHOLE else 30.0
EVERY_S = 5.0


def test_a_worker_that_stood_still_for_longer_than_its_session(
    parts: Callable[..., Parts],
) -> None:
    product = parts().start()
    product.another("separation")
    with product.client() as client:
        jobs: list[Json] = accept_all(client, range(90, 94))
        names = ("separation", "separation-2")
        name = until(lambda: next((each for each in names if product.at_work(each)), None), "work")
        zombie = product.running[name]
        # Its child goes on and finishes into a pipe that nobody reads.
        zombie.send_signal(signal.SIGSTOP)
        before = sum(client.job(each["jobId"])["state"] == "succeeded" for each in jobs)
        assert before < len(jobs)
        time.sleep(2 * SESSION_S)
        done = ended(client, jobs)  # by the other one
        zombie.send_signal(signal.SIGCONT)
        after = accept_all(client, range(94, 97))  # it is a member again, and of use
        ended(client, after)
    with product.client() as client:
        print(
            f"{name} stood still with {before} of 4 done; attempts {[j['attempt'] for j in done]}"
        )
        print(audit(product, client, jobs + after))
    product.stop()


def test_a_storm_of_rebalances(parts: Callable[..., Parts]) -> None:
    product = parts().start()
    jobs: list[Json] = []
    joined = 0
    end = time.monotonic() + STORM_S
    with product.client() as client:
        while time.monotonic() < end:
            turn = time.monotonic() + EVERY_S
            for stage in ("separation", "alignment"):
                name = f"{stage}-2"
                if name not in product.running:
                    product.another(stage)
                    joined += 1
                elif joined % 4 == 0:
                    product.kill9(name)
                    del product.running[name]
                else:  # one that has not begun yet would die of the signal
                    member = product.running[name]
                    until(lambda: "stages started" in member.stderr, f"{name} to start")  # noqa: B023
                    product.end(name)
            if len(jobs) < 12:
                jobs += accept_all(client, [100 + len(jobs), 101 + len(jobs)])
            time.sleep(max(0.0, turn - time.monotonic()))
        during = sum(client.job(each["jobId"])["state"] == "succeeded" for each in jobs)
        over_s = time.monotonic()
        ended(client, jobs)
        print(
            f"{joined} workers joined in {STORM_S:.0f} s, {product.kills} were killed; {during} of "
            f"{len(jobs)} jobs ended meanwhile, all {time.monotonic() - over_s:.1f} s later"
        )
        assert joined > 1
        print(audit(product, client, jobs))
    product.stop()
