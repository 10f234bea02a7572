"""Who is at work on a result now, told through the artifact store.

A lease is a small object, ``lease-0000.json``, that its holder rewrites every few seconds. Nobody
deletes another's: a lease that stands still is superseded by the next number, taken with
`put_if_absent`, which exactly one of racing workers gets. Leases only save work. That a result is
written once is the manifest's business.

No clock is compared between machines: a reader times how long the object has not changed. A
holder of the same machine is looked up instead, so that a killed one is replaced at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from topics import logs
from topics.artifacts.protocol import ArtifactError, ArtifactMissing, ArtifactStore

_NAME = "lease-"
_BEATS = 5  # per lease time: some may be late without the holder being given up

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, so that others can tell whether it lives."""

    place: str  # boot and pid namespace: within one, a pid means something
    pid: int
    started: int  # clock ticks since boot: tells a reused pid apart
    token: str  # random, one for each taking

    @classmethod
    def this_process(cls, token: str) -> Self:
        """This process."""
        pid = os.getpid()
        return cls(_place(), pid, _started(pid) or 0, token)

    def is_dead(self, seen_from: Holder) -> bool:
        """True when it is certain, without waiting, that the holder no longer runs."""
        return self.place == seen_from.place and _started(self.pid) != self.started


def _place() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    # proc(5): field 3 is the state, field 22 the start time; the name before may hold anything.
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True, slots=True)
class _Entry:
    holder: Holder
    beat: int = 0
    released: bool = False

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> _Entry | None:
        try:
            said = json.loads(data)
            return cls(Holder(**said.pop("holder")), **said)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # torn or foreign: it shows no life, so it is superseded in time


class Leases:
    """The leases on one result, as one worker sees them. Not for several threads."""

    def __init__(
        self,
        store: ArtifactStore,
        folder: str,
        me: Holder,
        *,
        lease_s: float,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._store = store
        self._folder = folder
        self._me = me
        self._lease_s = lease_s
        self._now = monotonic_s
        self._watched: tuple[str, bytes, float] | None = None  # key, content, unchanged since

    def take(self) -> Held | None:
        """The lease, or None while somebody else is at work."""
        newest = max(self._keys(), default=None)
        if newest is None:
            number = 0
        elif self._is_over(newest):
            number = int(newest.removesuffix(".json").rpartition("-")[2]) + 1
        else:
            return None
        key = f"{self._folder}/{_NAME}{number:04d}.json"
        entry = _Entry(self._me)
        if not self._store.put_if_absent(key, entry.encode(), "application/json"):
            return None
        return Held(self._store, key, entry, beat_s=self._lease_s / _BEATS)

    def _keys(self) -> list[str]:
        prefix = f"{self._folder}/"
        return [
            key for key in self._store.keys(prefix) if key.removeprefix(prefix).startswith(_NAME)
        ]

    def _is_over(self, key: str) -> bool:
        try:
            data = self._store.read(self._store.uri(key))
        except ArtifactMissing:
            return True
        entry = _Entry.decode(data)
        if entry is not None and (entry.released or entry.holder.is_dead(self._me)):
            return True
        if self._watched is None or self._watched[:2] != (key, data):
            self._watched = (key, data, self._now())
        return self._now() - self._watched[2] > self._lease_s


class Held:
    """A lease in hand: beats while the ``with`` block runs, and is given up behind it."""

    def __init__(self, store: ArtifactStore, key: str, entry: _Entry, *, beat_s: float) -> None:
        self._store = store
        self._key = key
        self._entry = entry
        self._beat_s = beat_s
        self._over = threading.Event()
        self._beats = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._beats.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._beats.join()
        # Not deleted: a number is used once, or a slow reader could take a lease twice.
        with contextlib.suppress(ArtifactError):
            self._write(replace(self._entry, released=True))

    def _keep(self) -> None:
        while not self._over.wait(self._beat_s):
            self._entry = replace(self._entry, beat=self._entry.beat + 1)
            try:
                self._write(self._entry)
            except ArtifactError as error:
                # The work goes on; at worst somebody else does it too and one of the two adopts.
                _log.warning("a lease could not be renewed", lease=self._key, error=str(error))

    def _write(self, entry: _Entry) -> None:
        self._store.put(self._key, entry.encode(), "application/json")
