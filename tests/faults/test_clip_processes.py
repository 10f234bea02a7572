"""Songs from a provider that fails, by processes that are killed: every job ends, none is paid
twice, the provider is never asked too often, and no log knows a secret.

A few songs with half a minute each in CI; `make test-clips` takes 500 with the real ten minutes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.providers import SUNOAPI
from tests import planted
from tests.e2e.product import Product, Running, all_live, nap, stage_children
from tests.processors.generation.parts import MP3, SECRET

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600, func_only=True)]

CLIPS = "/api/music-clips"
JOBS = int(os.environ.get("MELISMA_CLIP_PROCESS_JOBS", "14"))
WHOLE = JOBS >= 500
SEED = int(os.environ.get("MELISMA_FAULT_SEED", "5"))

TIMES = (
    {"seconds": 20.0, "job": 600.0, "late": 660.0, "answer": 15.0, "kill": 10.0}
    if WHOLE
    else {"seconds": 2.0, "job": 30.0, "late": 33.0, "answer": 2.0, "kill": 5.0}
)
"""Seconds that a song takes, that its job has, that a late song takes, that an answer has, between
two kills."""

ENDS = {"STAGE_50_SUNO_SUCCESS", "STAGE_90_FAILED", "STAGE_99_TIMEOUT"}
SETTINGS = {
    "SUNO_API_KEY": SECRET,
    "SUNO_TIMEOUT_SECONDS": str(TIMES["answer"]),
    "SUNO_JOB_SECONDS": str(TIMES["job"]),
    "LEASE_SECONDS": "3",  # of a dead worker: not waited for as long as in production
    "HEARTBEAT_SECONDS": "1",
    "LOG_LEVEL": "DEBUG",  # what a curious operator would see
}


def test_workers_are_killed_and_the_provider_fails(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    chance, sound = random.Random(SEED), tmp_path / "song.mp3"
    sound.write_bytes(MP3)
    provider = run(
        *("fake-provider", "--port", "0", "--audio", sound, "--faults", "0.2"),
        *("--seed", SEED, "--seconds", TIMES["seconds"], "--late", TIMES["late"]),
        *("--credits", 1_000_000),
        SUNO_API_KEY=SECRET,
    ).to_live()
    data, told = tmp_path / "data", {**SETTINGS, "SUNO_BASE_URL": provider.url()}
    gateway = run("gateway", "--port", "0", "--data", data, **told).to_live()
    projector = run("projector", "--data", data, **told).to_live()

    def worker() -> Running:
        # Not the clips: 500 films are another matter.
        return run("worker", "submission", "generation", "--data", data, **told).to_live()

    workers, kills = [worker(), worker()], 0
    product = Product(tmp_path, base_url=gateway.url())
    with product.http() as http:
        wish = {"prompt": "harbour lights", "style": "folk", "title": "Harbour Lights"}
        assert http.put(f"{CLIPS}/channels/night", json=wish).status_code == 200
        asked: list[str] = []
        stages: dict[str, str] = {}
        next_kill = time.monotonic() + TIMES["kill"]
        deadline = time.monotonic() + JOBS + 3 * TIMES["job"] + 300
        while len(asked) < JOBS or not set(stages.values()) <= ENDS:
            for _ in range(min(20, JOBS - len(asked))):
                accepted = http.post(f"{CLIPS}/channels/night/runOnce", json={})
                assert accepted.status_code == 202, accepted.text
                asked.append(accepted.json()["jobId"])
            # Of two at work, so that a slow machine does more than start workers.
            if time.monotonic() >= next_kill and all(map(stage_children, workers)):
                victim = chance.randrange(len(workers))
                workers[victim].kill9()
                workers[victim] = worker()
                kills += 1
                next_kill = time.monotonic() + TIMES["kill"]
            stages = looked_at(http, {each: stages.get(each, "") for each in asked})
            assert time.monotonic() < deadline, Counter(stages.values())
            nap(1.0)
        counts = http.get(f"{provider.url()}/counts").json()
        detail = [http.get(f"{CLIPS}/jobs/{each}/details").json() for each in asked]
    all_live()
    for part in (*workers, projector, gateway):
        # A worker of a moment ago has not learned yet to leave what is in hand to others.
        assert part.end() in (0, -signal.SIGTERM if part in workers else 0), part.last_words
    codes = Counter(each["provider"]["code"] or each["stage"] for each in detail)
    print(
        f"\n{JOBS} jobs, seed {SEED}, {kills} kills: {dict(codes)}; {counts['paid']} paid, at most "
        f"{counts['mostPaidForOneAddress']} a job; {counts['generateCalls']} calls, at most "
        f"{counts['mostCallsInAWindow']} in {SUNOAPI.window_s:g} s"
    )
    assert kills > 0
    assert len(set(asked)) == JOBS
    assert counts["mostPaidForOneAddress"] == 1
    assert counts["paid"] == counts["tasks"] <= JOBS
    assert counts["mostCallsInAWindow"] <= SUNOAPI.calls
    made = Counter(stages.values())["STAGE_50_SUNO_SUCCESS"]
    assert made > (JOBS / 2 if WHOLE else 0)  # of a few anything may come
    tokens = [json.loads(each.read_bytes())["token"] for each in data.rglob("callback.json")]
    assert len(tokens) == JOBS
    assert list(planted.files_holding(tmp_path, [SECRET, *tokens])) == []


def looked_at(http: httpx.Client, stages: dict[str, str]) -> dict[str, str]:
    """The stages, of jobs that had not ended asked again."""
    found = dict(stages)
    for job_id, stage in stages.items():
        if stage not in ENDS:
            said: dict[str, Any] = http.get(f"{CLIPS}/jobs/{job_id}").json()
            found[job_id] = said["stage"]
    return found
