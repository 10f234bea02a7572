"""A delivery worker alone in a process, for tests that kill it: ``python -m … FOLDER NAME``."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from processors.delivery.service import Deliveries
from tests.processors.delivery.post import MASTER, settings
from topics.artifacts.local import LocalStore
from topics.log.embedded import EmbeddedLog
from topics.webhooks import SigningKeys


def main() -> None:
    folder = Path(sys.argv[1])
    log = EmbeddedLog(folder / "log.db")
    store = LocalStore(folder / "artifacts", secret=MASTER, base_url="http://x")
    chosen = settings(folder, webhook_concurrency=16)
    keys = SigningKeys(MASTER)
    with Deliveries(chosen, log=log, artifacts=store, keys=keys, name=sys.argv[2]):
        print("up", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
