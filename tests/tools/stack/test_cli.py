"""``melisma stack`` as people and programs use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tools.cli import app
from tools.stack import java

DATA = "stack"


@pytest.fixture
def melisma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def run(melisma: CliRunner, *words: str) -> Result:
    return melisma.invoke(app, ["stack", *words, "--data", DATA])


@pytest.mark.usefixtures("small_servers")
def test_up_prints_settings_for_programs_and_status_says_ready(melisma: CliRunner) -> None:
    try:
        up = run(melisma, "up", "--only", "s3,registry")
        assert up.exit_code == 0
        printed = dict(line.split("=") for line in up.stdout.splitlines())
        assert set(printed) == {"S3", "REGISTRY"}
        assert (Path(DATA) / "stack.env").read_text() == up.stdout

        status = run(melisma, "status", "-o", "json")
        assert status.exit_code == 0
        servers = json.loads(status.stdout)["servers"]
        assert {server["name"]: server["condition"] for server in servers} == {
            "registry": "ready",
            "s3": "ready",
        }
        assert all(server["rss_mb"] > 1 for server in servers)
        assert "127.0.0.1:" + printed["S3"] in run(melisma, "status").stdout

        assert run(melisma, "down", "--only", "s3").exit_code == 0
        assert run(melisma, "status").exit_code == 1
        logged = run(melisma, "logs", "s3")
        assert any("GET / HTTP/1.1" in line for line in logged.stdout.splitlines())
    finally:
        run(melisma, "down", "--purge")
    assert not Path(DATA).exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "--only", "kfka"], "there is no service 'kfka'; there are cassandra, kafka"),
        (["up", "--brokers", "0"], "0 brokers are not 1 to 9"),
        (["logs", "s3"], "has no server 's3'; there: none"),
    ],
)
def test_what_is_wrong_is_one_line(melisma: CliRunner, words: list[str], said: str) -> None:
    result = run(melisma, *words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_java_one_line_says_what_to_install(
    melisma: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(java, "installed", list)
    result = run(melisma, "up")
    assert result.exit_code == 1
    assert "Cassandra 5 runs on Java 17 (no Java was found)" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_named(melisma: CliRunner) -> None:
    Path(DATA).write_text("a file")
    result = run(melisma, "up", "--only", "s3")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert DATA in result.stderr


def test_help_imports_none_of_it() -> None:
    code = "import sys, tools.cli; print([m for m in sys.modules if m.startswith('tools.stack.')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "['tools.stack.cli']"
