"""Two gateways on one Cassandra: of two changes at once one is accepted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.product import Json
from tests.faults.real.audit import audit
from tests.faults.real.parts import WHOLE, Parts, accept_all, ended, song

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(1800, func_only=True)]

RACES = 8 if WHOLE else 3


def race(*acts: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Everything at once."""
    barrier = threading.Barrier(len(acts))

    def act(number: int) -> httpx.Response:
        barrier.wait(20)
        return acts[number]()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act, range(len(acts))))


def test_edits_and_reprocesses_raced_by_two_gateways(parts: Callable[..., Parts]) -> None:
    product = parts().start()
    gateways = [product.base_url, product.another_gateway()]
    with product.client() as client:
        jobs: list[Json] = accept_all(client, [120])
        ended(client, jobs)
    track = jobs[0]["trackId"]
    path = f"/v1/tracks/{track}"
    lyrics = song(120).lyrics_text

    def patch(base_url: str, version: int, text: str) -> httpx.Response:
        return httpx.patch(
            f"{base_url}{path}/lyrics",
            json={"lyrics": text},
            headers={"X-Client-Id": "tests", "If-Match": f'"{version}"'},
            timeout=60,
            trust_env=False,
        )

    def reprocess(base_url: str) -> httpx.Response:
        return httpx.post(
            f"{base_url}{path}/reprocess",
            json={"steps": ["align"]},
            headers={"X-Client-Id": "tests"},
            timeout=60,
            trust_env=False,
        )

    drafts: list[int] = []
    newest = 1
    for number in range(RACES):
        edits = [
            lambda at=at, v=newest, n=number: patch(at, v, f"{lyrics}And again {n}\n")
            for at in gateways
        ]
        answers = race(*edits, *edits)
        assert sorted(each.status_code for each in answers) == [200, 412, 412, 412], answers
        draft = next(each for each in answers if each.status_code == 200).json()
        newest = draft["version"]
        drafts.append(newest)
        asked = [lambda at=at: reprocess(at) for at in gateways]
        # An edit of the draft is raced as well: it makes a draft of its own, or comes too late.
        answers = race(*asked, *asked)
        assert sorted(each.status_code for each in answers) == [202, 409, 409, 409], [
            each.text for each in answers
        ]
        accepted = next(each for each in answers if each.status_code == 202).json()
        assert accepted["version"] == newest
        jobs.append(accepted)
        with product.client() as client:
            ended(client, [accepted])
    with product.client() as client:
        seen = audit(product, client, jobs)
        assert len(seen.events["lyrics-edited"]) == len(drafts) == RACES
        assert len(seen.events["reprocess-requested"]) == RACES
        assert len(seen.events["published"]) == RACES + 1
        print(f"{RACES} races of 4 edits and of 4 reprocesses, {len(drafts)} drafts; {seen}")
    product.stop()
