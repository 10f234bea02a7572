"""One set of real servers for all tests of a run, whichever process they run in.

The first test that wants a server starts it; the process that reports the run stops them all. With
pytest-xdist the workers share them: a `Stack` works on one folder from several processes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.stack.stack import Stack

SESSION_S = 6.0
"""A group member that was not heard of for so long is taken for dead."""

_KAFKA = {
    # Members hear of a rebalance with their next heartbeat: 5 s by default, and a test has several.
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "200",
    # So that the death of a member is told within a test.
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": f"{1000 * SESSION_S:.0f}",
    # A transaction that timed out is aborted by the next of these looks, every 10 s by default.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}


def shared(config: pytest.Config, *services: str) -> Stack:
    """The run's stack, for these services; not started yet."""
    return Stack(_folder(config), services or ("kafka",), settings={"kafka": _KAFKA})


def disturbed(config: pytest.Config) -> Stack:
    """The stack whose servers tests kill and cut; not started yet.

    Where ``MELISMA_FAULT_STACK`` names a folder it lies there and goes on running afterwards.
    """
    kept = os.environ.get("MELISMA_FAULT_STACK")
    return Stack(Path(kept) if kept else _disturbed(config), settings={"kafka": _KAFKA})


def stop(config: pytest.Config) -> None:
    """Stop what this run started; called in the process that reports the run."""
    for folder in (_folder(config), _disturbed(config)):
        if folder.is_dir():
            Stack(folder).down(purge=True)


def is_worker() -> bool:
    """Whether this is one of xdist's processes, which others outlive."""
    return "PYTEST_XDIST_WORKER" in os.environ


def _disturbed(config: pytest.Config) -> Path:
    return _folder(config).with_name("stack-disturbed")


def _folder(config: pytest.Config) -> Path:
    # A worker's own folder lies in that of the process that reports.
    base: Path = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    return (base.parent if is_worker() else base) / "stack"
