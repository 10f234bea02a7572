"""The end of a growing file."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from tools.stack.errors import StackError

_LOOK_EVERY_S = 0.25


def tail(path: Path, *, lines: int, follow: bool) -> Iterator[str]:
    """The last ``lines`` lines; with ``follow`` every further one, without end, also after the
    file gave way to a new one.

    Raises:
        StackError: there is no such file yet.
    """
    try:
        log = path.open("r", encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise StackError(f"{path} does not exist yet; `melisma stack up` starts it") from None
    with log:
        for line in deque(log, maxlen=lines):
            yield line.rstrip("\n")
        begun = ""
        while follow:
            begun += log.readline()
            if begun.endswith("\n"):
                yield begun.rstrip("\n")
                begun = ""
            elif path.exists() and path.stat().st_ino != os.fstat(log.fileno()).st_ino:
                yield from ([begun] if begun else [])
                yield from tail(path, lines=1 << 30, follow=True)
            else:
                time.sleep(_LOOK_EVERY_S)
