"""The end of a log, and what comes after it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from tools.stack.errors import StackError
from tools.stack.tail import tail


def test_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"1\n2\n\xff\n4")
    assert list(tail(log, lines=2, follow=False)) == ["�", "4"]


def test_following_sees_whole_lines_and_the_file_that_takes_its_place(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    following = tail(log, lines=10, follow=True)
    assert next(following) == "old"
    with log.open("a") as more:
        more.write("half")
        more.flush()
        more.write(" and half\nlast\n")
    assert list(islice(following, 2)) == ["half and half", "last"]
    log.rename(tmp_path / "log.1")
    log.write_text("new\n")
    assert next(following) == "new"


def test_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="does not exist yet"):
        list(tail(tmp_path / "log", lines=1, follow=False))
