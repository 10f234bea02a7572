"""Songs from a provider that fails, by workers that die: each job ends, none is paid twice.

In made-up time, so that much can happen; `test_clip_processes` does the same with processes.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from gateway.projection.cells import join
from gateway.projection.fold import fold
from gateway.projection.job import job_of
from tests.processors.generation.parts import SECRET
from tests.processors.generation.world import START_MS, World, most_in_a_window
from topics.codec import Envelope

JOBS = int(os.environ.get("MELISMA_CLIP_JOBS", "80"))
SEEDS = [int(seed) for seed in os.environ.get("MELISMA_CLIP_SEEDS", "1,2").split(",")]


def projected(world: World, seed: int) -> dict[str, int]:
    """The stage of each job as the projection has it, from the events in any order, some twice."""
    rng = random.Random(seed)
    requests = [
        Envelope.caused(owner, by=f"r{n}", source="gateway", time_ms=START_MS, traceparent="")
        for n, owner in enumerate(world.owners.values())
    ]
    events = [*requests, *world.envelopes]
    events += rng.sample(events, len(events) // 3)
    rng.shuffle(events)
    documents = join(change for each in events for change in fold(each))
    jobs = [job_of(document) for key, document in documents.items() if key.kind == "job"]
    return {job.job_id: job.clip.stage for job in jobs if job.clip is not None}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_job_ends_and_none_is_paid_twice(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, seed, share=0.2)
    world.ask(JOBS, over_s=JOBS * 0.6)
    world.run()
    ends = Counter(world.stages().values())
    calls = world.provider.generate_calls_s
    most = most_in_a_window(calls, world.provider.profile.window_s)
    print(
        f"\n{JOBS} jobs, seed {seed}: ended {dict(sorted(ends.items()))}; {world.kills} kills; "
        f"{sum(world.provider.paid.values())} paid, {len(calls)} calls, at most {most} in 10 s"
    )
    assert set(ends) <= {50, 90, 99}
    assert sum(ends.values()) == JOBS
    assert max(world.provider.paid.values()) == 1
    assert most <= world.provider.profile.calls
    assert ends[50] > JOBS / 2  # most songs are made in spite of it all
    assert projected(world, seed) == world.stages()
    said = json.dumps([each.event.to_wire() for each in world.envelopes]) + caplog.text
    assert SECRET not in said
    assert not any(token in said for token in world.owners)


def test_without_faults_every_song_is_made(tmp_path: Path) -> None:
    world = World(tmp_path, 3, share=0.0, kill_every_s=1e9)
    world.ask(30, over_s=30)
    world.run()
    assert set(world.stages().values()) == {50}
    assert set(world.provider.paid.values()) == {1}
