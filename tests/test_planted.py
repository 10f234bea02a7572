"""The search finds what it looks for."""

from __future__ import annotations

import sqlite3
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
