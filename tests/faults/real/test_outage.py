"""A server is killed in mid-work and comes back: the work waits for it, and ends."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from tests.e2e.product import Json, until
from tests.faults.real.audit import audit
from tests.faults.real.parts import (
    OUTAGE_S,
    SEED,
    Parts,
    accept_all,
    away,
    chosen,
    ended,
    landed,
)
from tools.stack.stack import Stack

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(1800, func_only=True)]

# The broker is away for as long as its restart takes, the others for OUTAGE_S.
OUTAGES = {"kafka": 0.0, "cassandra": OUTAGE_S, "s3": OUTAGE_S}


def test_each_server_is_killed_in_mid_work(parts: Callable[..., Parts], servers: Stack) -> None:
    chance = random.Random(SEED)
    product = parts().start()
    jobs: list[Json] = []
    for number, service in enumerate(chosen(list(OUTAGES), "servers")):
        with product.client() as client:
            jobs += accept_all(client, [30 + 3 * number, 31 + 3 * number, 32 + 3 * number])
        until(lambda: product.at_work("separation"), "a separation at work", pause_s=0.01)
        time.sleep(chance.uniform(0, 3))
        begun_s, before = time.monotonic(), landed(product)
        with away(servers, service, OUTAGES[service]):
            pass
        gone_s = time.monotonic() - begun_s
        with product.client() as client:
            ended(client, jobs[-3:])
        print(
            f"{service} was away for {gone_s:.1f} s when {before} of {len(jobs)} songs were "
            f"published; all were {time.monotonic() - begun_s - gone_s:.1f} s after it came back"
        )
    with product.client() as client:
        print(audit(product, client, jobs))
    product.stop()
