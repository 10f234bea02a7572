"""The page that says who is at work: whole or not at all, whatever is written onto it."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from processors.extraction.notice import Memory, Notice, Turn


def test_what_one_process_writes_another_reads() -> None:
    notice, page = Notice.made()
    program = (
        "import sys; from processors.extraction.notice import Notice;"
        "notice = Notice(int(sys.argv[1]));"
        "notice.write('spectral', 0.0, 2.0); notice.write('', 0.0, 0.0);"
        "notice.write('голос', 0.25, 1.5)"
    )
    assert notice.read().name == ""
    subprocess.run([sys.executable, "-c", program, str(page)], pass_fds=(page,), check=True)
    assert notice.read() == Turn(3, "голос", 0.25, 1.5)
    os.close(page)
    notice.close()


def test_each_turn_has_a_number_of_its_own() -> None:
    notice, page = Notice.made()
    numbers = []
    for _ in range(3):
        notice.write("tempo_extractor", 1.0, 2.0)
        numbers.append(notice.read().number)
    assert len(set(numbers)) == 3
    os.close(page)
    notice.close()


@given(st.binary(min_size=1, max_size=600), st.integers(0, 500))
def test_garbage_changes_nothing_of_what_was_seen(garbage: bytes, at: int) -> None:
    notice, page = Notice.made()
    notice.write("pitch_extractor", 0.5, 3.0)
    seen = notice.read()
    with mmap.mmap(page, mmap.PAGESIZE) as raw:
        raw[at : at + len(garbage)] = garbage
    assert notice.read() == seen
    notice.write("mfcc", 0.0, 1.0)
    assert notice.read().name == "mfcc"
    os.close(page)
    notice.close()


def test_a_name_longer_than_the_page_takes_is_cut() -> None:
    notice, page = Notice.made()
    notice.write("я" * 5000, 0.0, 0.0)
    assert set(notice.read().name) <= {"я"}
    assert len(notice.read().name) > 200
    os.close(page)
    notice.close()


def test_the_memory_of_a_process_is_seen_until_it_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    memory = Memory(process.pid)
    assert memory.resident() > 0
    process.communicate(b"\n")
    assert memory.resident() == 0
    memory.close()
    assert Memory(process.pid).resident() == 0
