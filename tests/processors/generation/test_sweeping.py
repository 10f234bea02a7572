"""What jobs have left is cleared away once nothing leads to it any more, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.generation.sweeping import KEPT_MS, TICKETS_KEPT_MS, sweep
from schemas.providers import SUNOAPI
from tests.processors.generation.parts import provider_settings
from tests.processors.generation.world import START_MS, World

ACCOUNT = provider_settings().account


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Songs that were made, by workers of which some died."""
    made = World(tmp_path, 4, share=0.2)
    made.ask(20, over_s=12)
    made.run()
    return made


def test_nothing_is_left_of_old_jobs(world: World) -> None:
    store = world.store.as_store()
    songs = [key for key in world.store.objects if key.startswith("clips/")]
    marks = [key for key in world.store.objects if key.startswith("generation/")]
    assert songs
    assert {key.split("/")[1] for key in marks} >= {"tokens", "tasks", "default", "tickets"}
    assert sweep(store, ACCOUNT, SUNOAPI, round(world.time.now_ms) + KEPT_MS) > 0
    assert sorted(world.store.objects) == sorted(songs)


def test_a_job_keeps_its_marks_as_long_as_a_record_may_lead_to_them(world: World) -> None:
    store = world.store.as_store()
    before = dict(world.store.objects)
    sweep(store, ACCOUNT, SUNOAPI, START_MS + KEPT_MS)
    kept = {key for key in before if "/tickets/" not in key}
    assert set(world.store.objects) == kept


def test_tickets_go_after_a_day(world: World) -> None:
    left = [key for key in world.store.objects if "/tickets/" in key]
    assert left  # of the workers that died, and the last ones
    sweep(world.store.as_store(), ACCOUNT, SUNOAPI, START_MS + TICKETS_KEPT_MS)
    assert [key for key in world.store.objects if "/tickets/" in key] == left
    removed = sweep(
        world.store.as_store(), ACCOUNT, SUNOAPI, round(world.time.now_ms) + 2 * TICKETS_KEPT_MS
    )
    assert removed == len(left)
    assert not [key for key in world.store.objects if "/tickets/" in key]
