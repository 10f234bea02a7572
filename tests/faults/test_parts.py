"""kill -9 of single parts that run apart: the others go on, a successor takes up the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.events import Published
from tests import songs
from tests.e2e.product import (
    Product,
    Running,
    accept,
    events,
    finish,
    stage_children,
    step,
    until,
)

pytestmark = pytest.mark.faults


def test_another_worker_takes_over_from_one_that_was_killed(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    # A lease of the dead worker's is waited for: not as long as in production.
    patience = {"LEASE_SECONDS": "2"}
    gateway = run("gateway", "--port", "0", "--data", data)
    product = Product(tmp_path, base_url=gateway.url())
    projector = run("projector", "--data", data)
    workers = [run("worker", "--data", data, **patience) for _ in range(2)]
    song = songs.make("english", 1)
    with product.client() as client:
        accepted = accept(client, song)

        def busy() -> Running | None:
            return next((worker for worker in workers if stage_children(worker)), None)

        victim = until(busy, "a worker at work", pause_s=0.005)
        victim.kill9()
        # The projection stands still without its projector, and catches up with the next one.
        projector.kill9()
        projector = run("projector", "--data", data)
        job = finish(client, accepted["jobId"])
        assert job["attempt"] == 1
        assert all(each["state"] == "succeeded" for each in job["steps"])
        assert step(job, "publish")["tryNumber"] == 1
        assert client.ready(accepted["trackId"])["version"] == 1
    made = [each.event for each in events(data, Published)]
    assert len(made) == 1
    left = next(worker for worker in workers if worker is not victim)
    for part in (left, projector, gateway):
        assert part.end() == 0


def test_a_gateway_that_was_killed_comes_back_to_the_same_jobs(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    gateway = run("gateway", "--port", "0", "--data", data)
    product = Product(tmp_path, base_url=gateway.url())
    projector = run("projector", "--data", data)
    worker = run("worker", "--data", data)
    song = songs.make("short", 1)
    with product.client() as client:
        accepted = accept(client, song)
    gateway.kill9()  # the stages do not need it
    until(lambda: events(data, Published), "the track to be published without a gateway")
    gateway = run("gateway", "--port", "0", "--data", data)
    product.base_url = gateway.url()
    with product.client() as client:
        finish(client, accepted["jobId"])
        assert client.ready(accepted["trackId"])["version"] == 1
    for part in (worker, projector, gateway):
        assert part.end() == 0
