"""``melisma extract`` as it is typed: folders, pictures, a table, exit codes."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from schemas.documents.audio_manifest import AudioManifest
from tests import features
from tests.processors.extraction.listening import save
from tools.cli import app
from tools.extract import folders

pytestmark = pytest.mark.slow

# a process that a shell starts in the background has Ctrl-C turned off, and so have its children
_INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from tools.cli import main
main()
"""


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wave = features.rhythm(1, groove="rock", bpm=100, seconds=10).wave
    return save(tmp_path_factory.mktemp("song") / "[a] song.wav", wave)


def run(*arguments: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["extract", *map(str, arguments)], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_a_file_gets_a_folder_with_manifest_arrays_and_picture(song: Path, tmp_path: Path) -> None:
    status, said = run(song, "--out", tmp_path, "--csv")
    assert status == 0, said
    assert "100." in said
    folder = tmp_path / "[a] song"
    manifest = AudioManifest.from_json((folder / "audio_manifest_v1.json").read_bytes())
    assert all(part.status == "ok" for part in manifest.extractors)
    with Image.open(folder / "picture.png") as picture:
        assert picture.size == (1440, 1080)
        assert len(np.unique(np.asarray(picture.convert("L")))) > 50  # something is drawn
    with (tmp_path / "features.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert float(row["tempo_extractor.tempo_bpm"]) == pytest.approx(100, abs=0.1)
    assert row["error"] == ""


def test_a_broken_file_fails_alone(song: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF\x00\x00\x00\x00WAVE")
    status, said = run(
        song, broken, tmp_path, tmp_path / "gone.wav", "--out", tmp_path / "out", "-e", "loudness",
        "--no-plots", "--csv",
    )  # fmt: skip
    assert status == 3
    for words in ("broken.wav", "it is a folder", "there is no such file", "LUFS"):
        assert words in said
    assert (tmp_path / "out" / "[a] song" / "loudness.npz").exists()
    assert not (tmp_path / "out" / "broken").exists()
    with (tmp_path / "out" / "features.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["error"]) for row in rows] == [False, True, True, True]


def test_nothing_usable_is_status_1(tmp_path: Path) -> None:
    status, said = run(tmp_path / "gone.wav", "--out", tmp_path / "out")
    assert status == 1
    assert "no file could be used" in said


def test_an_unknown_extractor_is_said_before_any_work(song: Path, tmp_path: Path) -> None:
    status, said = run(song, "--out", tmp_path / "out", "-e", "tempo")
    assert status == 1
    assert "no extractor 'tempo'" in said
    assert "tempo_extractor" in said
    assert not (tmp_path / "out").exists()


def test_files_of_one_name_get_folders_of_their_own() -> None:
    names = [Path("a/x.wav"), Path("b/X.mp3"), Path("c/x.flac"), Path("y.wav")]
    assert [folder.name for folder in folders(names, Path("out"))] == ["x", "X-2", "x-3", "y"]


def test_ctrl_c_leaves_nothing_half_done(tmp_path: Path) -> None:
    wave = features.noise(1, "pink", seconds=60)
    files = [save(tmp_path / f"{number}.wav", wave) for number in range(20)]
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTIBLE, "extract",
         *map(str, files), "--out",
         str(tmp_path / "out"), "--no-plots"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*/audio_manifest_v1.json")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 130
    assert "stopped" in said
    assert "Traceback" not in said
    assert not list((tmp_path / "out").rglob(".new-*"))
