"""Songs from a provider that fails, by workers that die: each job ends, none is paid twice."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.processors.generation.parts import SECRET
from tests.processors.generation.world import World, most_in_a_window

JOBS = int(os.environ.get("MELISMA_CLIP_JOBS", "80"))
SEEDS = [int(seed) for seed in os.environ.get("MELISMA_CLIP_SEEDS", "1,2").split(",")]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_job_ends_and_none_is_paid_twice(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
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
    said = json.dumps([each.event.to_wire() for each in world.envelopes]) + caplog.text
    assert SECRET not in said
    assert not any(token in said for token in world.owners)


def test_without_faults_every_song_is_made(tmp_path: Path) -> None:
    world = World(tmp_path, 3, share=0.0, kill_every_s=1e9)
    world.ask(30, over_s=30)
    world.run()
    assert set(world.stages().values()) == {50}
    assert set(world.provider.paid.values()) == {1}
