"""The ``melisma`` command as people use and misuse it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer.core
import typer.main

from schemas.documents.karaoke import KaraokeDocument
from tests import songs
from tests.e2e.product import (
    MELISMA,
    Product,
    Running,
    accept,
    environment,
    finish,
    stage_children,
    until,
)
from tools.cli import app

pytestmark = pytest.mark.e2e


def said(running: Running) -> str:
    return running.stdout + running.stderr


def refused(running: Running) -> str:
    """What a command that cannot do its work says: one short message and status 1, no insides."""
    assert running.wait() == 1, said(running)
    running.must_be_gone()
    text = said(running)
    assert "Traceback" not in text
    assert "melisma:" in text
    return text


def test_every_command_explains_itself(tmp_path: Path) -> None:
    def help_of(*command: str) -> str:
        return subprocess.run(
            [str(MELISMA), *command, "--help"],
            env=environment(tmp_path, COLUMNS="120", NO_COLOR="1"),
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    overview = help_of()
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    assert {"up", "sing", "demo", "worker", "gateway", "projector"} <= set(command.commands)
    for name, described in command.commands.items():
        assert f" {name} " in overview
        text = help_of(name)
        assert f"Usage: melisma {name}" in text
        for option in described.params:
            assert option.opts[0] in text or option.param_type_name == "argument"


def test_sing_writes_all_that_a_player_needs(run: Callable[..., Running], tmp_path: Path) -> None:
    song = songs.make("short", 1)
    lyrics = tmp_path / "lyrics.txt"
    lyrics.write_text(song.lyrics_text, "utf-8-sig")  # as Windows editors save it
    named = tmp_path / "Песня №1 (live).flac"
    shutil.copy(song.path, named)
    out = tmp_path / "out"
    sing = run("sing", named, "--lyrics", lyrics, "--language", "en", "--out", out)
    assert sing.wait() == 0, said(sing)
    sing.must_be_gone()
    assert sorted(path.name for path in out.iterdir()) == [
        "karaoke.json",
        "minus.flac",
        "picture.png",
        "player.html",
        "song.lrc",
        "vocals.flac",
    ]
    karaoke = KaraokeDocument.from_json((out / "karaoke.json").read_bytes())
    assert [line.text for line in karaoke.lines] == song.lyrics_text.splitlines()
    for stem in ("minus", "vocals"):
        assert soundfile.info(out / f"{stem}.flac").duration == pytest.approx(
            song.mix.seconds, abs=0.01
        )
    page = (out / "player.html").read_text("utf-8")
    assert all(word.text.strip(",.!") in page for word in song.words)
    assert "http://127.0.0.1" not in page  # nothing of the product that is gone by now
    assert f"of {len(song.words)} words placed" in said(sing)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("missing", "there is no file"),
        ("folder", "is a folder"),
        ("text", "does not begin like any audio file"),
        ("empty", "is empty"),
        ("cut", "cut off"),
    ],
)
def test_sing_says_what_is_wrong_with_a_song(
    what: str, expected: str, run: Callable[..., Running], tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    match what:
        case "folder":
            song.mkdir()
        case "text":
            song.write_text("not a song\n" * 100)
        case "empty":
            song.touch()
        case "cut":
            whole = tmp_path / "whole.wav"
            soundfile.write(whole, np.zeros((44_100 * 4, 2)), 44_100)
            song.write_bytes(whole.read_bytes()[: 44_100 * 8])
    out = tmp_path / "out"
    text = refused(run("sing", song, "--out", out))
    assert expected in text
    assert "song.wav" in text
    assert not out.exists()


def test_sing_says_what_is_wrong_with_lyrics(run: Callable[..., Running], tmp_path: Path) -> None:
    song = songs.make("short", 1).path
    windows = tmp_path / "windows.txt"
    windows.write_bytes("Над рекою".encode("cp1251"))
    assert "UTF-8" in refused(run("sing", song, "--lyrics", windows))
    assert "there is no file" in refused(run("sing", song, "--lyrics", tmp_path / "none.txt"))
    assert "Is a directory" in refused(run("sing", song, "--lyrics", tmp_path))
    wordless = tmp_path / "wordless.txt"
    wordless.write_text("...\n!\n")
    assert "no word that could be sung" in refused(run("sing", song, "--lyrics", wordless))


def test_an_output_that_cannot_be_written_is_named(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    song = songs.make("short", 1)
    taken = tmp_path / "taken"
    taken.write_text("a file")
    lyrics = tmp_path / "lyrics.txt"
    lyrics.write_text(song.lyrics_text)
    text = refused(run("sing", song.path, "--lyrics", lyrics, "--out", taken))
    assert str(taken) in text.replace("\n", "")


def test_ctrl_c_ends_sing_at_once(run: Callable[..., Running], tmp_path: Path) -> None:
    hiss = tmp_path / "hiss.wav"
    noise = np.random.default_rng(0).normal(0, 0.1, (44_100 * 10, 2)).astype(np.float32)
    soundfile.write(hiss, np.tile(noise, (30, 1)), 44_100, subtype="PCM_16")
    out = tmp_path / "out"
    sing = run("sing", hiss, "--out", out)
    until(lambda: stage_children(sing), "a separation in work")
    status = sing.end(signal.SIGINT, timeout_s=30)
    text = said(sing)
    assert "Traceback" not in text
    assert "stopped" in text
    assert status == 128 + signal.SIGINT
    assert not out.exists()
    assert not list((sing.folder / "tmp").glob("melisma-*"))


def test_a_port_in_use_is_named(run: Callable[..., Running]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for command in ("up", "gateway"):
            text = refused(run(command, "--port", str(port), "--data", "data"))
            assert str(port) in text
            assert "--port" in text


def test_a_folder_that_cannot_hold_data_is_named(
    run: Callable[..., Running], tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for command in ("up", "gateway", "worker", "projector"):
        port = ("--port", "0") if command in ("up", "gateway") else ()
        text = refused(run(command, *port, "--data", taken))
        assert "taken" in text


@pytest.mark.parametrize("name", ["log.db", "projection.db", "gateway.db"])
def test_a_damaged_file_is_named(name: str, run: Callable[..., Running], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_bytes(b"This is not a database. " * 1000)
    text = refused(run("up", "--port", "0", "--data", data))
    assert name in text


def test_wrong_settings_and_stages_are_named(run: Callable[..., Running]) -> None:
    text = refused(run("up", "--port", "0", "--data", "data", DOWNLOAD_URL_TTL_SECONDS="soon"))
    assert "DOWNLOAD_URL_TTL_SECONDS" in text
    assert "mixing" in refused(run("worker", "mixing", "--data", "data"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_stops_cleanly_in_the_middle_of_work(
    number: signal.Signals, own_product: Callable[..., Product]
) -> None:
    product = own_product()
    song = songs.make("short", 1)
    with product.client() as client:
        accepted = accept(client, song)
        until(lambda: stage_children(product.up), "a stage at work")
    up = product.up
    assert up.end(number) == 0
    assert "Traceback" not in said(up)
    product.restart()
    with product.client() as client:
        finish(client, accepted["jobId"])
    product.stop()
    assert "Traceback" not in said(product.up)


def test_a_second_signal_stops_at_once(own_product: Callable[..., Product], tmp_path: Path) -> None:
    product = own_product()
    hiss = tmp_path / "hiss.wav"
    noise = np.random.default_rng(0).normal(0, 0.1, (44_100 * 10, 2)).astype(np.float32)
    soundfile.write(hiss, np.tile(noise, (60, 1)), 44_100, subtype="PCM_16")
    with product.client() as client:
        client.import_track(client.upload(hiss), lyrics="la")
        until(lambda: stage_children(product.up), "a stage at work")
    up = product.up
    up.send_signal(signal.SIGINT)
    until(lambda: "stopping" in up.stderr, "the answer to the first signal")
    assert up.end(signal.SIGINT, timeout_s=10) == 128 + signal.SIGINT
    assert "Traceback" not in said(up)


def test_the_parts_run_apart(run: Callable[..., Running], tmp_path: Path) -> None:
    data = tmp_path / "data"
    song = songs.make("short", 1)
    gateway = run("gateway", "--port", "0", "--data", data)
    product = Product(tmp_path, base_url=gateway.url())
    projector = run("projector", "--data", data)
    voices = run("worker", "separation", "transcription", "--data", data)
    words = run("worker", "alignment", "quality", "publishing", "--data", data)
    with product.client() as client:
        accepted = accept(client, song)
        finish(client, accepted["jobId"])
        ready = client.ready(accepted["trackId"])
        assert ready["version"] == 1
    assert voices.children()
    assert words.children()
    for part in (voices, words, projector, gateway):
        assert part.end() == 0
        assert "Traceback" not in said(part)
        entries = [line for line in part.stderr.splitlines() if line.startswith("{")]
        assert all(json.loads(line)["level"] != "error" for line in entries)


def test_two_products_on_one_folder_share_the_work(
    own_product: Callable[..., Product], run: Callable[..., Running]
) -> None:
    product = own_product()
    second = run("up", "--port", "0", "--data", product.data)
    other = Product(product.folder, base_url=second.url())
    song = songs.make("short", 1)
    with product.client() as client, other.client() as neighbour:
        accepted = accept(client, song)
        finish(neighbour, accepted["jobId"])
        assert neighbour.ready(accepted["trackId"])["version"] == 1
    assert second.end() == 0
    product.stop()


def test_nothing_secret_is_logged(own_product: Callable[..., Product]) -> None:
    product = own_product(LOG_LEVEL="DEBUG")
    song = songs.make("short", 1)
    with product.client() as client, product.http() as http:
        accepted = accept(client, song)
        finish(client, accepted["jobId"])
        link = client.ready(accepted["trackId"])["minusUrl"]
        assert http.get(link).status_code == 200
    product.stop()
    signature = link.partition("?")[2]
    assert len(signature) > 40
    text = product.up.stderr
    for piece in signature.split("&"):
        name, _, value = piece.partition("=")
        if len(value) >= 16:
            assert value not in text, name
    key = (product.data / "signing.key").read_bytes().hex()
    assert key not in text
    assert song.lyrics_text.splitlines()[0] not in text
    assert os.stat(product.data / "signing.key").st_mode & 0o077 == 0
