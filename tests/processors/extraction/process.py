"""Admission and extraction in a process, for tests that kill it: ``python -m … FOLDER ROOT``."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

from processors.admission.service import Admission
from processors.extraction.stage import extraction
from processors.runtime.host import Host
from tests.processors.runtime.rig import settings_in
from topics.inputs import InputSettings


def inputs(root: Path) -> InputSettings:
    """Files under the root may be named."""
    no_file: dict[str, Any] = {"_env_file": None}
    return InputSettings(**no_file, extraction_roots=(str(root),))


def main() -> None:
    settings = settings_in(
        Path(sys.argv[1]), inputs=inputs(Path(sys.argv[2])), use_gpu=False, lease_seconds=2.0
    )
    log = settings.bus.open_log()
    host = Host([extraction], settings, log=log)
    with Admission(settings, log=log):
        host.start()
        threading.Event().wait()


if __name__ == "__main__":
    main()
