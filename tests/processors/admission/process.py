"""Admission alone in a process, for tests that kill it: ``python -m … FOLDER``."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from processors.admission.service import Admission
from tests.processors.runtime.rig import settings_in


def main() -> None:
    settings = settings_in(Path(sys.argv[1]))
    with Admission(settings, log=settings.bus.open_log()):
        threading.Event().wait()


if __name__ == "__main__":
    main()
