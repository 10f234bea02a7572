"""The evaluation itself: a short run, its verdicts, and the folders of real songs that it reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.documents.formats import WRITTEN, About
from tests import songs
from tests.eval import dataset, report
from tests.eval.__main__ import Refused, main
from tests.eval.figures import (
    Row,
    invented,
    misses,
    onset_errors,
    perceptual,
    summary,
)
from tests.eval.pieces import Piece, TrueWord, made
from tests.processors.video.films import of_song

PNG = b"\x89PNG\r\n\x1a\n"


def row(*errors_s: float, words: int | None = None, song: str = "one") -> Row:
    return Row(
        song=song,
        backend="light",
        models={},
        song_s=30.0,
        words=len(errors_s) if words is None else words,
        errors_s=list(errors_s),
        worst="'la' at 1.00 s",
        perceptual=0.9,
        sdr_db=5.0,
        sdr_mix_db=-3.0,
        heard=4,
        invented=1,
        score=0.9,
        seconds={"separate": 2.0, "align": 1.0, "transcribe": 9.0},
        peak_mb=100.0,
    )


@pytest.mark.e2e
def test_two_songs_meet_the_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert (
        main(["--kinds", "short", "--seeds", "0", "3", "--backends", "light", "--out", str(out)])
        == 0
    )
    found = json.loads((out / "eval.json").read_text("utf-8"))
    assert [each["song"] for each in found["rows"]] == ["short-0", "short-3"]
    for each, seed in zip(found["rows"], (0, 3), strict=True):
        assert each["words"] == len(songs.make("short", seed).words) == len(each["errors_s"])
        assert each["sdr_db"] > each["sdr_mix_db"] + 3
        assert 0 < each["perceptual"] <= 1
        assert each["speed"] > 0
        assert each["peak_mb"] > 50
        assert set(each["seconds"]) == {"separate", "align", "qc", "transcribe"}
    assert found["missed"] == {"light": []}
    total = found["totals"]["light"]
    assert total["words"] == sum(each["words"] for each in found["rows"])
    assert total["mean_s"] <= 0.1
    assert (out / "eval.png").read_bytes()[:8] == PNG
    assert "every target is met" in capsys.readouterr().out


@pytest.mark.e2e
def test_a_folder_whose_truth_is_late_misses_the_targets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    song = songs.make("short", 3)
    shutil.copy(song.path, tmp_path / "late.flac")
    words = [
        {"text": w.text, "startMs": w.start_ms + 1500, "endMs": w.end_ms + 1500} for w in song.words
    ]
    (tmp_path / "late.json").write_text(json.dumps(words), "utf-8")
    out = tmp_path / "out"
    assert main(["--dataset", str(tmp_path), "--backends", "light", "--out", str(out)]) == 1
    [told] = json.loads((out / "eval.json").read_text("utf-8"))["rows"]
    assert told["sdr_db"] is None
    assert "missed" in capsys.readouterr().out


def test_a_folder_without_songs_says_what_it_wants(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--dataset", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "dataset.py" in capsys.readouterr().err


def test_backends_without_weights_are_left_out_with_the_way_to_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def alone(piece: Piece, backend: str) -> Row | Refused:
        asked.append(backend)
        return row(0.05) if backend == "light" else Refused("model_unavailable", "no weights here")

    def there(name: str) -> bool:
        return name == "nemo"

    monkeypatch.setattr("tests.eval.__main__._alone", alone)
    monkeypatch.setattr("tests.eval.__main__.find_spec", there)
    made_of = ["--kinds", "short", "--seeds", "0", "1", "--out", str(tmp_path)]
    assert main(made_of) == 0
    assert asked == ["light", "full", "light"]
    told = capsys.readouterr().err
    assert "full is left out: no weights here" in told
    assert "SPEECH_MODELS" in told
    monkeypatch.setattr("tests.eval.__main__.find_spec", lambda _: None)
    assert main(made_of) == 0
    assert "make setup-models" in capsys.readouterr().err
    assert main([*made_of, "--backends", "full"]) == 1
    assert "missed  short-0 by full: no weights here" in capsys.readouterr().out


class TestFigures:
    def test_unplaced_words_are_outside_every_limit(self) -> None:
        found = summary([row(0.05, -0.2, words=4)])
        assert (found.words, found.placed) == (4, 2)
        assert (found.within_100_ms, found.within_300_ms) == (0.25, 0.5)
        assert found.mean_s == pytest.approx(0.125)

    def test_targets(self) -> None:
        good = row(*[0.05] * 99, 0.9)
        assert misses([good]) == []
        assert "mean onset error is 0.200" in misses([row(*[0.2] * 10)])[0]
        assert "80.0% of the words" in misses([row(*[0.01] * 8, 0.31, -0.31)])[0]
        [derailed] = misses([good, row(*[0.01] * 99, -1.01, song="two")])
        assert derailed.startswith("two: 1 word(s) off by more than 1 s: 'la'")

    def test_recognition_does_not_slow_the_karaoke(self) -> None:
        assert row(0.1).speed == pytest.approx(10.0)

    def test_words_are_matched_in_order(self) -> None:
        true = [TrueWord("a", 100), TrueWord("b", 200), TrueWord("c", 300)]
        same = onset_errors(true, [("A", 150), ("b", None), ("c", 300)])
        assert [(w.text, e) for w, e in same] == [("a", 0.05), ("c", 0.0)]
        other = onset_errors(true, [("a", 100), ("x", 0), ("b", 260), ("c", 300)])
        assert [(w.text, e) for w, e in other] == [("a", 0.0), ("b", 0.06), ("c", 0.0)]

    def test_late_feels_worse_than_early(self) -> None:
        words = [TrueWord("a", 1000 * n) for n in range(1, 9)]
        early, late = (perceptual([(w, by) for w in words]) for by in (-0.15, 0.15))
        assert early is not None
        assert late is not None
        assert early > late
        assert perceptual([(words[0], 0.0)]) is None

    def test_what_is_heard_over_silence_is_invented(self) -> None:
        true = [TrueWord("a", 1000, 2000), TrueWord("b", 5000)]
        heard = [(900, 1500), (2100, 2300), (3000, 3500), (5200, 5400), (7000, 7500)]
        assert invented(true, heard) == 2

    def test_the_picture_and_the_table_take_any_rows(self, tmp_path: Path) -> None:
        rows = [row(0.1, -3.0), row(words=3, song="none placed")]
        report.draw(tmp_path / "eval.png", rows)
        assert (tmp_path / "eval.png").read_bytes()[:8] == PNG
        assert report.table(rows).row_count == 3


class TestPieces:
    def test_survive_their_way_to_another_process(self, tmp_path: Path) -> None:
        [piece] = made(["short"], [0], tmp_path)
        assert Piece.from_json(piece.to_json()) == piece
        assert piece.text == songs.make("short").lyrics_text

    def test_an_adlib_is_sung_into_the_break_and_not_in_the_lyrics(self, tmp_path: Path) -> None:
        [piece] = made(["adlib"], [0], tmp_path)
        song = songs.make("english_break", 0)
        assert [w.text for w in piece.words] == [w.text for w in song.words]
        ends = [line[-1].end_ms or 0 for line in piece.lines]
        gaps = list(zip(ends, (line[0].start_ms for line in piece.lines[1:]), strict=False))
        assert any(
            a < piece.extra[0].start_ms and (piece.extra[-1].end_ms or 0) < b for a, b in gaps
        )


def jamendo(song: songs.Song) -> str:
    rows = ["word_start,word_end,line_end"]
    for line in song.lines:
        for word in line:
            end = f"{word.end_ms / 1000}" if word is line[-1] else ""
            rows.append(f"{word.start_ms / 1000},{word.end_ms / 1000},{end}")
    return "\n".join(rows) + "\n"


def textgrid(song: songs.Song) -> str:
    end = song.mix.seconds

    def tier(name: str, spans: list[tuple[float, float, str]]) -> str:
        filled, at = [], 0.0
        for a, b, text in spans:
            filled += [(at, a, "")] if a > at else []
            filled.append((a, b, text))
            at = b
        filled.append((at, end, ""))
        rows = "".join(
            f"        intervals [{n}]:\n            xmin = {a} \n            xmax = {b} \n"
            f'            text = "{text}" \n'
            for n, (a, b, text) in enumerate(filled, start=1)
        )
        return (
            f'    item [1]:\n        class = "IntervalTier" \n        name = "{name}" \n'
            f"        xmin = 0 \n        xmax = {end} \n"
            f"        intervals: size = {len(filled)} \n{rows}"
        )

    words = [(w.start_ms / 1000, w.end_ms / 1000, w.text) for w in song.words]
    lines = [(ln[0].start_ms / 1000, ln[-1].end_ms / 1000, "line") for ln in song.lines]
    return (
        f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = {end} \n'
        f"tiers? <exists> \nsize = 2 \nitem []: \n{tier('lines', lines)}{tier('words', words)}"
    )


def pauses(song: songs.Song) -> str:
    return json.dumps([{"word": w.text, "start": w.start_ms / 1000} for w in song.words])


def written(name: str) -> Callable[[songs.Song], str]:
    return lambda song: WRITTEN[name].write(of_song(song), About(), {})


FOLDERS: dict[str, tuple[str, Callable[[songs.Song], str], int]] = {
    # suffix, text, how far a time may be rounded in it (ms)
    "enhanced LRC": (".lrc", written("elrc"), 10),
    "TTML": (".ttml", written("ttml"), 1),
    "UltraStar": (".txt", written("ultrastar"), 20),
    "karaoke-json": (".json", written("karaoke"), 0),
    "TextGrid": (".TextGrid", textgrid, 0),
    "JamendoLyrics": (".csv", jamendo, 0),
    "onsets": (".json", pauses, 0),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_word_times_are_read_in_the_formats_that_data_sets_have(name: str, tmp_path: Path) -> None:
    song = songs.make("short", 3)
    suffix, text, rounding = FOLDERS[name]
    home = tmp_path / "en"
    home.mkdir()
    shutil.copy(song.path, home / "My Song.flac")
    shutil.copy(song.path.with_name("vocals.flac"), home / "My Song.vocals.flac")
    (home / f"My Song{suffix}").write_text(text(song), "utf-8")
    if suffix == ".csv":
        (home / "My Song.words.txt").write_text("\n".join(w.text for w in song.words), "utf-8")
    [piece] = dataset.pieces(tmp_path)
    assert (piece.name, piece.language) == ("en/My Song", "en")
    assert piece.vocals == home / "My Song.vocals.flac"
    assert [word.text for word in piece.words] == [word.text for word in song.words]
    for word, true in zip(piece.words, song.words, strict=True):
        assert abs(word.start_ms - true.start_ms) <= rounding
    if name != "onsets":  # its lines are cut at pauses
        assert [len(line) for line in piece.lines] == [len(line) for line in song.lines]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.json", "[{}]"),
        ("a.json", "nonsense"),
        ("a.csv", "word_start\nnever\n"),
        ("a.TextGrid", "empty"),
        ("a.lrc", "[00:01.00]"),
    ],
)
def test_files_of_another_form_are_named(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(dataset.NoDataset, match=file):
        dataset.read(tmp_path / file)
