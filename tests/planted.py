"""Secrets planted into the whole test run, and the search for them at its end.

Gateways under test are sent them as credentials, products under test get them as settings. None may
turn up in what a test printed or logged, nor in any log, dead letter, trace or database of events
that the run left behind. (The artifact store is left out: callback addresses live there.)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

_WORD = "9lanted5ecret9lanted5ecret9lanted5ecret9la0"

KEY = f"mls_0123456789ab_{_WORD}"
"""An API key that opens nothing."""

TOKEN = f"eyJhbGciOiJFUzI1NiJ9.{_WORD}.{_WORD}"
"""What looks like a JWT."""

HEADERS = {
    "Authorization": f"Bearer {KEY}",
    "Cookie": f"session={_WORD}",
    "X-Api-Key": KEY,
    "Referer": f"https://sing.example/?token={_WORD}",
}
"""Sent with requests wherever a test says nothing else."""

SETTINGS = {
    "S3_SECRET_KEY": _WORD,
    "KAFKA_SASL_PASSWORD": _WORD,
    "SCHEMA_REGISTRY_PASSWORD": _WORD,
    "MELISMA_API_KEY": KEY,
}
"""Of products that use none of them."""

_LOGS = ("*.log", "*.jsonl", "*.out", "*.err", "stdout*", "stderr*", "log.db*", "projection.db*")
_CHUNK = 1 << 20


def found_in(text: str) -> bool:
    """True when a planted secret is in a text."""
    return _WORD in text


def files_with(folder: Path) -> Iterator[Path]:
    """Logs, event logs (dead letters are in them) and projections below a folder that hold one."""
    return files_holding(folder, [_WORD])


def files_holding(folder: Path, words: Collection[str]) -> Iterator[Path]:
    """Those that hold one of these words."""
    wanted = re.compile(b"|".join(re.escape(word.encode()) for word in words))
    longest = max(len(word.encode()) for word in words)
    for pattern in _LOGS:
        for path in folder.rglob(pattern):
            if path.is_file() and "artifacts" not in path.parts and _holds(path, wanted, longest):
                yield path


def _holds(path: Path, wanted: re.Pattern[bytes], longest: int) -> bool:
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if wanted.search(tail + chunk):
                return True
            tail = (tail + chunk)[-longest:]
    return False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Fail a test that printed or logged one."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.when == "teardown" or report.passed:
        shown = [name for name, content in report.sections if found_in(content)]
        if shown:
            report.outcome = "failed"
            report.longrepr = f"a planted secret was written: {', '.join(shown)}"
    return report  # type: ignore[return-value]


def search(session: pytest.Session) -> None:
    """Search what the run left behind."""
    factory = getattr(session.config, "_tmp_path_factory", None)
    base = getattr(factory, "_basetemp", None)
    if base is None:
        return
    found = sorted(str(path) for path in files_with(base))
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        for path in found:
            line = f"a planted secret was written to {path}"
            if reporter is not None:
                reporter.write_line(line, red=True)
            else:  # of xdist's processes only stderr is seen
                print(line, file=sys.stderr)
