"""One file, one watcher a process: what other processes do, and who of them has died."""

from __future__ import annotations

import logging
import threading
from collections import deque
from pathlib import Path
from typing import Final

from topics.log.embedded import groups
from topics.log.embedded.file import Listener, LogFile
from topics.log.protocol import LogError

_log = logging.getLogger(__name__)

WATCH_S: Final = 0.05
"""How often other processes' commits are looked for: one PRAGMA a look, whatever the number of
consumers. Half of it is added to the mean latency between processes, none within one."""

_DEATH_LOOKS: Final = 5  # every so many looks, whether other members' processes still live: 0.25 s

_NOBODY: Final = Listener(frozenset(), None)  # of a member whose listener is gone already


class SharedFile:
    """A `LogFile`, its watcher thread, and how many logs of this process use them."""

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self.users = 0
        self.file = LogFile(path, busy_timeout_s)
        self._forgotten: deque[tuple[int | None, Listener]] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name=f"log-watch-{path.name}", daemon=True
        )
        self._thread.start()

    def forget(self, member: int | None, listener: Listener) -> None:
        """A reader, or a consumer with its member id, was collected instead of closed. Runs
        inside the garbage collector, at any point of any thread: it may only take notes."""
        self._forgotten.append((member, listener))

    def _watch(self) -> None:
        looks = 0
        said = ""
        while not self._stop.wait(WATCH_S):
            looks += 1
            try:
                self.file.poll_others()
                self._drop_forgotten()
                if looks % _DEATH_LOOKS == 0 and self._someone_died():
                    self.file.write(lambda db, changes: groups.bury(db, changes, self.file.is_dead))
            except LogError as error:
                # The polls run into the same trouble and report it to someone who can act.
                if str(error) != said:  # not twenty times a second
                    _log.warning("log watcher: %s", error)
                said = str(error)

    def _drop_forgotten(self) -> None:
        gone: list[int] = []
        for _ in range(len(self._forgotten)):
            member, listener = self._forgotten.popleft()
            self.file.unlisten(listener)
            if member is not None:
                gone.append(member)
        if gone:
            try:
                self.file.write(lambda db, changes: groups.leave(db, changes, gone))
            except LogError:
                self._forgotten.extend((member, _NOBODY) for member in gone)
                raise

    def _someone_died(self) -> bool:
        return any(self.file.is_dead(process_id) for process_id in self.file.others())

    def close(self) -> None:
        """Stop watching, leave, close the file."""
        self._stop.set()
        self._thread.join()
        self.file.close()


_shared: dict[tuple[int, Path], SharedFile] = {}
_lock = threading.Lock()


def attach(path: Path, busy_timeout_s: float, pid: int) -> SharedFile:
    """The shared file of a path in this process, opened if need be. ``pid`` is this process's: a
    forked child must not use its parent's connections."""
    with _lock:
        key = (pid, path)
        shared = _shared.get(key)
        if shared is None:
            shared = _shared[key] = SharedFile(path, busy_timeout_s)
        shared.users += 1
        return shared


def detach(path: Path, pid: int) -> None:
    """Undo one `attach`; the last one closes the file."""
    with _lock:
        shared = _shared[pid, path]
        shared.users -= 1
        if not shared.users:
            del _shared[pid, path]
            shared.close()
