"""What can be extracted is told once, by a process of its own."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from processors.extraction.announcing import Announcer, available, packages, told
from schemas.work import EXTRACTORS_KEY
from topics.artifacts.local import LocalStore


def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "artifacts", secret=bytes(32), base_url="")


def until_told(kept: LocalStore) -> None:
    deadline = time.monotonic() + 60
    while not told(kept) and time.monotonic() < deadline:
        time.sleep(0.02)


def program(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_the_process_says_is_kept(tmp_path: Path) -> None:
    kept = store(tmp_path)
    said = [{"name": "peak", "version": "1", "device": "cpu", "description": "The highest."}]
    with Announcer(kept, program(f"print('noise'); print({json.dumps(json.dumps(said))})")):
        until_told(kept)
    assert told(kept) == {"available": said, "made_of": packages()}
    # The same packages are not asked again: this one would say something else.
    with Announcer(kept, program("print('[]')")):
        time.sleep(0.2)
    assert told(kept)["available"] == said


def test_other_packages_are_asked_again(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(
        EXTRACTORS_KEY,
        json.dumps({"available": [], "made_of": "older"}).encode(),
        "application/json",
    )
    with Announcer(kept, program("print('[1]')")):
        while told(kept)["made_of"] == "older":
            time.sleep(0.02)
    assert told(kept)["available"] == [1]


def test_a_process_that_fails_or_hangs_hurts_nobody(tmp_path: Path) -> None:
    kept = store(tmp_path)
    with Announcer(kept, program("raise SystemExit(3)")):
        time.sleep(0.3)
    began = time.monotonic()
    with Announcer(kept, program("import time; time.sleep(60)")):
        time.sleep(0.2)
    assert time.monotonic() - began < 30
    assert told(kept) == {}


def test_the_product_s_own_are_told_with_everything_that_is_shown() -> None:
    found = {each["name"]: each for each in available()}
    assert {"tempo_extractor", "pitch_extractor", "loudness", "spectral", "mfcc"} <= set(found)
    for each in found.values():
        assert set(each) == {"name", "version", "device", "description"}
        assert all(each.values())
