"""Telling the gateway what can be extracted here: an object in the artifact store.

The gateway imports no extractor, and neither does the process that hosts the stages: what another
package brings is asked in a process of its own, and only where the packages are not those of the
last time. The newest worker's word holds; workers of one release say the same.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Self

from processors.extraction.registry import GROUP, discover
from schemas.work import EXTRACTORS_KEY
from topics import logs
from topics.artifacts import ArtifactError
from topics.artifacts.protocol import ArtifactMissing, ArtifactStore

_PATIENCE_S = 120.0
"""For importing every extractor; torch on a cold disk takes half a minute."""

_log = logs.get(__name__)


def available() -> list[dict[str, str]]:
    """What can be extracted in this process; imports every extractor."""
    found = discover()
    for name, why in found.broken.items():
        _log.warning("an extractor is left out", extractor=name, reason=why)
    return [
        {
            "name": name,
            "version": str(each.version),
            "device": str(each.device),
            "description": str(each.description),
        }
        for name, each in found.extractors.items()
    ]


def packages() -> str:
    """A digest of which packages bring which extractors; imports none of them."""
    found = sorted(
        (point.name, point.value, point.dist.version if point.dist else "")
        for point in entry_points(group=GROUP)
    )
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


class Announcer:
    """Tells it once, on a thread of its own, while the block runs."""

    def __init__(
        self,
        store: ArtifactStore,
        program: Sequence[str] = (sys.executable, "-m", "processors.extraction.announcing"),
    ) -> None:
        self._store = store
        self._program = list(program)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False
        self._thread = threading.Thread(target=self._tell, name="announcing", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._over = True
            if self._process is not None:
                self._process.kill()
        self._thread.join()

    def _tell(self) -> None:
        made_of = packages()
        try:
            if told(self._store).get("made_of") == made_of:
                return
            said = self._asked()
            if said is None:
                return
            document = {"available": said, "made_of": made_of}
            self._store.put(EXTRACTORS_KEY, json.dumps(document).encode(), "application/json")
        except (ArtifactError, OSError, ValueError) as failure:
            _log.warning("what can be extracted was not told", reason=str(failure))

    def _asked(self) -> Any:
        with self._lock:
            if self._over:
                return None
            self._process = subprocess.Popen(self._program, stdout=subprocess.PIPE)
        try:
            out, _ = self._process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise ValueError(f"the extractors were not imported in {_PATIENCE_S:g} s") from None
        if self._process.returncode < 0:
            return None  # ended on the way out
        if self._process.returncode:
            raise ValueError(f"importing them ended with {self._process.returncode}")
        return json.loads(out.splitlines()[-1])


def told(store: ArtifactStore) -> Mapping[str, Any]:
    """What was told last; {} before anything was, or where it can't be read."""
    try:
        found = json.loads(store.read(store.uri(EXTRACTORS_KEY)))
    except (ArtifactMissing, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    # An extractor's import may print what it likes: the last line is ours.
    sys.stdout.write("\n" + json.dumps(available()))
