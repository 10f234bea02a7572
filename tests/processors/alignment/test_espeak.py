from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from processors.alignment.espeak import Espeak, EspeakFailed
from processors.alignment.languages import VOICES

ROOT = Path(__file__).parents[3]


@pytest.fixture
def espeak() -> Iterator[Espeak]:
    with Espeak() as running:
        yield running


def test_starts_only_when_asked_and_speaks_ipa(espeak: Espeak) -> None:
    assert espeak.pid is None
    assert espeak.ipa("gmw/en-US", ["hello"]) == ["h_ə_l_ˈoʊ"]
    assert espeak.pid is not None


def test_a_batch_longer_than_one_request_keeps_its_order(espeak: Espeak) -> None:
    words = ["one", "two", "three"] * 500
    assert espeak.ipa("gmw/en-US", words) == espeak.ipa("gmw/en-US", words[:3]) * 500


def test_is_started_again_after_it_was_killed(espeak: Espeak) -> None:
    espeak.ipa("gmw/en-US", ["hello"])
    assert espeak.pid is not None
    os.kill(espeak.pid, signal.SIGKILL)
    assert espeak.ipa("zle/ru", ["мир"])[0]


def test_closing_ends_the_process_and_the_next_word_starts_another(espeak: Espeak) -> None:
    espeak.ipa("gmw/en-US", ["hello"])
    pid = espeak.pid
    assert pid is not None
    espeak.close()
    assert not psutil.pid_exists(pid)
    assert espeak.ipa("gmw/en-US", ["hello"])


def test_a_process_that_cannot_live_is_an_error_by_name() -> None:
    with Espeak([sys.executable, "-c", "pass"]) as dead, pytest.raises(EspeakFailed):
        dead.ipa("gmw/en-US", ["hello"])


def test_an_unknown_voice_is_refused_and_the_process_goes_on(espeak: Espeak) -> None:
    with pytest.raises(ValueError, match="no voice 'nowhere'"):
        espeak.ipa("nowhere", ["hello"])
    assert espeak.ipa("gmw/en-US", ["hello"])


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"{",
        b"[]",
        b'{"voice": 1, "words": []}',
        b'{"voice": "gmw/en-US", "words": [3]}',
        b'{"voice": "gmw/en-US", "words": ["a\\u0000b"]}',
    ],
)
def test_bad_input_is_answered_with_an_error(line: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "processors.alignment.espeak_process"],
        input=line + b"\n" + b'{"voice": "gmw/en-US", "words": ["hello"]}\n',
        capture_output=True,
        check=True,
        timeout=60,
    )
    refused, answered = done.stdout.splitlines()
    assert b"error" in refused
    assert b"ipa" in answered


def test_it_leaves_when_its_parent_is_gone() -> None:
    code = (
        "import os, sys; from processors.alignment.espeak import Espeak; e = Espeak();"
        "e.ipa('gmw/en-US', ['hello']); print(e.pid, flush=True); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.02)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_every_listed_voice_is_in_the_library(espeak: Espeak) -> None:
    library: dict[str, str] = {}
    for voice, *tags in espeak.voices():
        library.setdefault(tags[0].lower(), voice)
    assert library == VOICES


def test_no_product_module_loads_the_gpl_library() -> None:
    """Only the helper program may import the loader, and nothing may import the helper."""
    guilty = []
    for package in ("gateway", "processors", "schemas", "topics", "tools"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name == "espeak_process.py":
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or "", *(alias.name for alias in node.names)]
                if any("espeakng_loader" in n or n.endswith("espeak_process") for n in names):
                    guilty.append(path)
    assert guilty == []
