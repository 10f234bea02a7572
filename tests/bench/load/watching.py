"""Processor time and memory of a system's processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self

import psutil

_LOOK_S = 1.0
"""A look at every process of the machine takes some ms of the processors that are measured."""


def family(roots: Sequence[int]) -> list[psutil.Process]:
    """Those of this process's descendants that are roots or that roots started."""
    inside = set(roots)
    found: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):  # parents first
        with suppress(psutil.Error):
            if process.pid in inside or process.ppid() in inside:
                inside.add(process.pid)
                found.append(process)
    return found


class Watch:
    """Looks at a system's processes until the block ends. Processes may come and go."""

    def __init__(self, roots: Callable[[], list[int]]) -> None:
        self._roots = roots
        self._spent: dict[tuple[int, float], float] = {}
        self._before: dict[tuple[int, float], float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.peak_mib = 0.0

    @property
    def cpu_s(self) -> float:
        """Processor seconds since the block began."""
        return sum(spent - self._before.get(key, 0.0) for key, spent in self._spent.items())

    def __enter__(self) -> Self:
        self._read()
        self._before = dict(self._spent)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()
        self._read()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            self._read()

    def _read(self) -> None:
        resident = 0
        for process in family(self._roots()):
            with suppress(psutil.Error):
                times = process.cpu_times()
                self._spent[process.pid, process.create_time()] = times.user + times.system
                resident += process.memory_info().rss
        self.peak_mib = max(self.peak_mib, resident / 2**20)
