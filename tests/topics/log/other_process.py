"""Another process on the same log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
NAME = "log.sqlite"


class Child:
    """Another process that runs a script with ``log`` open on the same file."""

    def __init__(self, folder: Path, script: str) -> None:
        head = (
            "import sys, time\nfrom pathlib import Path\nfrom topics.log import *\n"
            f"log = EmbeddedLog(Path(sys.argv[1]) / {NAME!r})\n"
            "say = lambda *a: print(*a, flush=True)\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", head + script, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
