"""Who is alive beside a log: a process is asked about itself, and about others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.topics.log.other_process import NAME, Child
from topics.log import EmbeddedLog
from topics.log.embedded import groups
from topics.log.embedded.file import LogFile, Work
from topics.log.embedded.presence import Presence


def test_a_process_that_asks_about_itself_is_alive_and_stays_so(tmp_path: Path) -> None:
    here = Presence(tmp_path / f"{NAME}-live")
    assert here.hold(7)
    assert here.alive(7)
    script = (
        "from topics.log.embedded.presence import Presence\n"
        f"there = Presence(Path(sys.argv[1]) / '{NAME}-live')\n"
        "say(there.alive(7), there.hold(7), there.alive(8))\n"
    )
    with Child(tmp_path, script) as other:
        assert other.line() == "True False False"
    here.close()


def test_a_byte_is_free_again_behind_its_holder(tmp_path: Path) -> None:
    script = (
        "from topics.log.embedded.presence import Presence\n"
        f"there = Presence(Path(sys.argv[1]) / '{NAME}-live')\n"
        "say(there.hold(7)); sys.stdin.readline()\n"
    )
    here = Presence(tmp_path / f"{NAME}-live")
    with Child(tmp_path, script) as other:
        assert other.line() == "True"
        assert here.alive(7)
        assert not here.hold(7)
        assert here.alive(7)  # what was refused is not noted as held
    assert not here.alive(7)
    assert here.hold(7)
    here.close()


def test_a_look_for_the_dead_at_the_moment_of_entry_takes_nobody_for_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The watcher may run between the commit of a process's row and its thread's next line. Once it
    # took the process for dead there and let go of its byte: no successor ever got its partitions.
    log = EmbeddedLog(tmp_path / NAME)
    log.provision({"songs": 1})
    write = LogFile.write

    def looked_at(file: LogFile, work: Work[object]) -> object:
        value = write(file, work)
        write(file, lambda db, changes: groups.bury(db, changes, file.is_dead))
        return value

    monkeypatch.setattr(LogFile, "write", looked_at)
    log.consumer("group", ["songs"])
    script = "say(log._shared.file.others(), log._shared._someone_died())\n"
    with Child(tmp_path, script) as other:
        assert other.line() == "[1] False"
    log.close()
