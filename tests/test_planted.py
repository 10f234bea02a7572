"""The search finds what it looks for."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests import planted
from topics import logs


def test_planted_secrets_are_found_wherever_they_are(tmp_path: Path) -> None:
    assert list(planted.files_with(tmp_path)) == []
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "stdout.log").write_text(planted.KEY)
    (tmp_path / "a.log").write_text("x" * (1 << 20) + planted.TOKEN)
    db = sqlite3.connect(tmp_path / "log.db")
    db.execute("CREATE TABLE records (value BLOB)")
    db.execute("INSERT INTO records VALUES (?)", (planted.KEY.encode(),))
    db.commit()
    db.close()
    try:
        assert {path.name for path in planted.files_with(tmp_path)} == {"a.log", "log.db"}
    finally:
        for name in ("a.log", "log.db"):  # the search at the end of the run must not
            (tmp_path / name).unlink()


MADE_UP = {
    "an API key": f"mls_{12 * 'a'}_{43 * 'b'}",
    "a webhook's signing secret": f"whsec_{32 * 'c'}",
    "the signature of a URL": f"GET /files/x?expires=1&signature={43 * 'd'}",
    "a job's callback address": f"POST /api/webhooks/suno/music/{40 * 'e'} 200",
}


@pytest.mark.parametrize("kind", planted.SHAPES)
def test_what_looks_like_a_secret_is_found_too(kind: str, tmp_path: Path) -> None:
    log, shown = tmp_path / "stderr.txt", tmp_path / "stdout.txt"
    log.write_text(logs.redacted(MADE_UP[kind]))
    assert list(planted.files_with(tmp_path)) == []
    shown.write_text(MADE_UP[kind])  # somebody asked for it
    assert list(planted.files_with(tmp_path)) == []
    log.write_text("x" * ((1 << 20) - 20) + MADE_UP[kind])
    try:
        assert list(planted.files_with(tmp_path)) == [log]
    finally:
        log.unlink()


def test_a_run_that_leaves_one_behind_fails(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "conftest.py").write_text(
        "from tests import planted\n"
        "from tests.planted import pytest_runtest_makereport\n\n"
        "def pytest_sessionfinish(session):\n"
        "    planted.search(session)\n"
    )
    (folder / "test_it.py").write_text(
        "from tests import planted\n\n"
        "def test_leaves(tmp_path):\n"
        "    (tmp_path / 'stderr.txt').write_text('key ' + planted.KEY)\n\n"
        "def test_prints():\n"
        "    print(planted.TOKEN)\n"
    )

    def ran(test: str) -> tuple[int, str]:
        base = folder / "tmp"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", f"test_it.py::{test}", f"--basetemp={base}", "-q",
             "-p", "no:cacheprovider", "-p", "no:schemathesis"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
        )  # fmt: skip
        shutil.rmtree(
            base, ignore_errors=True
        )  # the search at the end of this run must not find it
        return done.returncode, done.stdout + done.stderr

    status, said = ran("test_leaves")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "1 passed" in said
    assert "a planted secret was written to " in said
    status, said = ran("test_prints")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "a planted secret was written: Captured stdout call" in said


@pytest.mark.parametrize(
    "text",
    [planted.KEY, planted.TOKEN, planted.HEADERS["Authorization"], planted.HEADERS["Referer"]],
)
def test_redaction_takes_them_out_of_any_text(text: str) -> None:
    assert not planted.found_in(logs.redacted(text))


@pytest.mark.parametrize("name", [*planted.HEADERS, *planted.SETTINGS])
def test_and_out_of_fields_with_telling_names(name: str) -> None:
    value = (planted.HEADERS | planted.SETTINGS)[name]
    assert not planted.found_in(str(logs.redact(None, "info", {name: value})))
