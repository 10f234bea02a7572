"""kill -9 of each part in mid-work, on the real servers: a successor takes up what it had."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import pytest

from gateway.client import Client
from schemas.work import STEPS
from tests.e2e.product import Json, until
from tests.faults.real.audit import audit
from tests.faults.real.parts import PARTS, SEED, Parts, accept_all, chosen, ended

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(1800, func_only=True)]

HEAVY = ("separation", "transcription", "alignment")
"""Stages whose work takes long enough to be met using the processor."""

STEP = {stage: step for step, stage in STEPS.items()}


def _reached(client: Client, jobs: Sequence[Json], step: str) -> bool:
    """Whether a job is at that step, or was."""
    shown = [client.job(each["jobId"]) for each in jobs]
    return any(each.get("step") == step or each["state"] == "succeeded" for each in shown)


def test_each_part_is_killed_in_mid_work(parts: Callable[..., Parts]) -> None:
    chance = random.Random(SEED)
    product = parts().start()
    jobs: list[Json] = []
    for number, name in enumerate(chosen(PARTS, "parts")):
        with product.client() as client:
            numbers = [2 * number, 2 * number + 1]
            jobs += accept_all(client, numbers, with_lyrics=name != "transcription")
            if name in HEAVY:
                until(lambda name=name: product.at_work(name), f"{name} at work", pause_s=0.01)  # type: ignore[misc]
            elif name in STEP:
                until(lambda: _reached(client, jobs[-2:], STEP[name]), name, pause_s=0.005)  # noqa: B023
            else:
                time.sleep(chance.uniform(0, 2))
        product.kill9(name)
        if name != "gateway":  # without the part that was killed no work of its ends
            with product.client() as client:
                before = [client.job(each["jobId"])["state"] for each in jobs[-2:]]
            assert name not in HEAVY or set(before) != {"succeeded"}
            met = f"while its jobs were {before}"
        else:
            met = "behind the acceptance of its jobs"
        product.start(name)
        with product.client() as client:
            done = ended(client, jobs[-2:])
        print(f"killed {name} {met}; attempts {[j['attempt'] for j in done]}")
        assert {job["attempt"] for job in done} == {1}
    with product.client() as client:
        print(audit(product, client, jobs))
    assert product.kills == len(chosen(PARTS, "parts"))
    product.stop()
