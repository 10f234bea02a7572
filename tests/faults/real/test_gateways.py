"""Two gateways on one Cassandra: of two changes at once one is accepted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from tests.e2e.product import Json
from tests.faults.real.audit import audit
from tests.faults.real.parts import WHOLE, Parts, accept_all, ended, song

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(1800, func_only=True)]

RACES = 8 if WHOLE else 3
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")


def race(*acts: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Everything at once."""
    barrier = threading.Barrier(len(acts))

    def act(number: int) -> httpx.Response:
        barrier.wait(20)
        return acts[number]()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(act, range(len(acts))))


def patch(base_url: str, track: str, version: int, text: str) -> httpx.Response:
    """Edit the newest version."""
    return httpx.patch(
        f"{base_url}/v1/tracks/{track}/lyrics",
        json={"lyrics": text},
        headers={"X-Client-Id": "tests", "If-Match": f'"{version}"'},
        timeout=60,
        trust_env=False,
    )


def reprocess(base_url: str, track: str) -> httpx.Response:
    """Align again."""
    return httpx.post(
        f"{base_url}/v1/tracks/{track}/reprocess",
        json={"steps": ["align"]},
        headers={"X-Client-Id": "tests"},
        timeout=60,
        trust_env=False,
    )


def test_edits_and_reprocesses_raced_by_two_gateways(parts: Callable[..., Parts]) -> None:
    product = parts().start()
    gateways = [product.base_url, product.another_gateway()]
    with product.client() as client:
        jobs: list[Json] = accept_all(client, [120])
        ended(client, jobs)
    track = jobs[0]["trackId"]
    lyrics = song(120).lyrics_text
    drafts: list[int] = []
    newest = 1
    for number in range(RACES):
        text = f"{lyrics}And again {number}\n"
        edits = [partial(patch, at, track, newest, text) for at in gateways]
        answers = race(*edits, *edits)
        assert sorted(each.status_code for each in answers) == [200, 412, 412, 412], answers
        draft = next(each for each in answers if each.status_code == 200).json()
        newest = draft["version"]
        drafts.append(newest)
        asked = [partial(reprocess, at, track) for at in gateways]
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


def test_an_edit_raced_by_a_reprocess_is_published_or_still_the_newest(
    parts: Callable[..., Parts],
) -> None:
    product = parts().start()
    gateways = [product.base_url, product.another_gateway()]
    lyrics = song(122).lyrics_text
    came_of: Counter[str] = Counter()
    with product.client() as client:
        jobs: list[Json] = accept_all(client, [122])
        ended(client, jobs)
        track = jobs[0]["trackId"]
        for number in range(RACES):
            newest = client.versions(track)["newest"]
            mark = f"Round {_WORDS[number]}"
            edit, asked = race(
                partial(patch, gateways[number % 2], track, newest, lyrics + mark),
                partial(reprocess, gateways[1 - number % 2], track),
            )
            assert asked.status_code == 202, asked.text
            jobs.append(asked.json())
            ended(client, jobs[-1:])
            assert edit.status_code in (200, 412), edit.text
            if edit.status_code == 412:
                came_of["refused"] += 1
                continue
            draft, published = edit.json()["version"], asked.json()["version"]
            came_of["published" if draft == published else "waits"] += 1
            if draft != published:
                assert client.versions(track)["newest"] == draft > published
                jobs.append(client.reprocess(track, ["align"]))
                assert jobs[-1]["version"] == draft
                ended(client, jobs[-1:])
            assert client.ready(track)["lyrics"]["lines"][-1]["text"] == mark
        seen = audit(product, client, jobs)
        assert len(seen.events["published"]) == len(jobs)
        assert came_of.total() == RACES
        print(f"{RACES} edits raced by a reprocess: {dict(came_of)}; {seen}")
    product.stop()
