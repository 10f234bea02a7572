"""Secrets planted into the whole test run, and the search for them at its end.

Gateways under test are sent them as credentials, products under test get them as settings. None may
turn up in what a test printed or logged, nor in any log, dead letter, trace or database that the
run left behind. (The artifact store is left out: callback addresses live there.) Nor may anything
that has the shape of a secret of ours: what a product makes up itself cannot be planted.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Iterator
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

SHAPES = {
    "an API key": rb"mls_[0-9a-f]{12}_[A-Za-z0-9_-]{16,}",
    "a webhook's signing secret": rb"whsec_[A-Za-z0-9+/]{24,}",
    "the signature of a URL": rb"[?&](?:[Xx]-[Aa]mz-)?[Ss]ignature=[A-Za-z0-9%_-]{16,}",
    "a job's callback address": rb"/webhooks/suno/music/[0-9a-f]{32,}",
}
"""What the product makes up, by what it is."""

_SHOWN = "stdout*"
"""What a command printed: a key that was asked for stands there, a planted one must not."""

_LOGS = (
    *("*.log", "*.jsonl", "*.out", "*.err", "stderr*"),
    *("log.db*", "projection.db*", "gateway.db*"),
)
_CHUNK = 1 << 20
_LONGEST = 500  # bytes of a secret that lies across two chunks


def found_in(text: str) -> bool:
    """True when a planted secret is in a text."""
    return _WORD in text


def files_with(folder: Path) -> Iterator[Path]:
    """Logs, event logs (dead letters are in them), projections and the gateway's own rows below a
    folder that hold a planted secret, or what looks like one.
    """
    word = re.escape(_WORD.encode())
    yield from _matching(folder, _LOGS, b"|".join((word, *SHAPES.values())))
    yield from _matching(folder, (_SHOWN,), word)


def files_holding(folder: Path, words: Collection[str]) -> Iterator[Path]:
    """Those that hold one of these words."""
    wanted = b"|".join(re.escape(word.encode()) for word in words)
    return _matching(folder, (*_LOGS, _SHOWN), wanted)


def _matching(folder: Path, patterns: Iterable[str], wanted: bytes) -> Iterator[Path]:
    expression = re.compile(wanted)
    for pattern in patterns:
        for path in folder.rglob(pattern):
            if path.is_file() and "artifacts" not in path.parts and _holds(path, expression):
                yield path


def _holds(path: Path, wanted: re.Pattern[bytes]) -> bool:
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if wanted.search(tail + chunk):
                return True
            tail = (tail + chunk)[-_LONGEST:]
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
