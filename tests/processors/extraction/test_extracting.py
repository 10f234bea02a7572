"""A file in, a manifest out; an extractor that misbehaves hurts itself only."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from processors.audio.undecodable import Undecodable
from processors.extraction.extracting import MANIFEST, Options, extract_file
from processors.extraction.extractor import Context, Cost, Extractor, Features, NotAvailable, Sound
from processors.extraction.registry import Registry, discover
from processors.extraction.running import MOST_JSON_BYTES
from schemas.documents.audio_manifest import AudioManifest
from tests import features
from tests.processors.extraction.listening import save


class Peak:
    """A third party's extractor; ``trouble`` is what it does wrong, and when."""

    name, version, device = "peak", "3", "cpu"
    description = "The highest sample."

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble
        self.highest = 0.0

    def cost(self, seconds: float, rate: int) -> Cost:
        return Cost(seconds / 1000, 0)

    def extract(self, audio: Sound, context: Context) -> Peak:
        if self.trouble == "missing":
            raise NotAvailable("its weights are not here")
        if self.trouble == "begin":
            raise ValueError("at the beginning")
        return Peak(self.trouble)

    def add(self, block: Any) -> None:
        if self.trouble == "add":
            raise KeyError("in the middle")
        if self.trouble == "memory":
            raise MemoryError
        self.highest = max(self.highest, float(np.abs(block.mono).max(initial=0)))

    def finish(self) -> Features:
        bad: dict[str, Features] = {
            "nan": Features(
                {"peak": float("nan"), "good": 1.0, "deep": {"list": [1.0, float("inf")]}}
            ),
            "nan array": Features(
                {"peak": 1.0}, arrays={"bad": np.array([np.nan]), "good": np.ones(3)}
            ),
            "large": Features({"list": [0.123456] * MOST_JSON_BYTES}),
            "not json": Features({"set": {1, 2}}),  # type: ignore[dict-item]
            "objects": Features({}, arrays={"objects": np.array([object()])}),
        }
        if self.trouble == "end":
            raise ZeroDivisionError("at the end")
        return bad.get(self.trouble, Features({"peak": self.highest}))


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wave = features.rhythm(1, groove="rock", bpm=100, seconds=8).wave
    return save(tmp_path_factory.mktemp("song") / "song.wav", np.stack([wave, wave], axis=1))


def registry(*extractors: Extractor) -> Registry:
    return Registry({each.name: each for each in extractors}, {})


def test_every_usual_extractor_answers(song: Path, tmp_path: Path) -> None:
    told: list[float] = []
    manifest = extract_file(song, None, Options(video_id="v1"), tmp_path, told.append)
    assert {part.name for part in manifest.extractors} == set(discover().usual())
    assert all(part.status == "ok" and part.error is None for part in manifest.extractors)
    assert told == sorted(told)
    assert told[-1] == 1.0
    data = song.read_bytes()
    assert manifest.input.sha256 == hashlib.sha256(data).hexdigest()
    assert (manifest.input.bytes, manifest.input.channels) == (len(data), 2)
    assert manifest.input.duration_s == pytest.approx(8.0)
    assert manifest.analysis.decoder.startswith("libsndfile")
    assert manifest.video_id == "v1"
    written = (tmp_path / MANIFEST).read_bytes()
    assert AudioManifest.from_json(written) == manifest
    assert len(written) < 64_000
    schema = AudioManifest.model_json_schema(mode="serialization")
    jsonschema.Draft202012Validator(schema).validate(json.loads(written))
    for part in manifest.extractors:
        for file in part.artifacts:
            stored = (tmp_path / file.uri).read_bytes()
            assert (len(stored), hashlib.sha256(stored).hexdigest()) == (file.bytes, file.sha256)
            with np.load(tmp_path / file.uri) as arrays:
                facts = {name: (arrays[name].shape, str(arrays[name].dtype)) for name in arrays}
            assert facts == {n: (each.shape, each.dtype) for n, each in file.arrays.items()}
    assert {path.name for path in tmp_path.iterdir()} == {MANIFEST} | {
        file.name for part in manifest.extractors for file in part.artifacts
    }


def test_the_same_file_gives_the_same_arrays(song: Path, tmp_path: Path) -> None:
    one = extract_file(song, None, Options(), tmp_path / "one")
    other = extract_file(song, None, Options(), tmp_path / "other")
    for a, b in zip(one.extractors, other.extractors, strict=True):
        assert a.features == b.features
        assert a.artifacts == b.artifacts


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        ("begin", "raised", "ValueError: at the beginning"),
        ("add", "raised", "KeyError"),
        ("end", "raised", "ZeroDivisionError: at the end"),
        ("memory", "out_of_memory", "more memory"),
        ("missing", "not_available", "its weights are not here"),
        ("nan", "not_finite", "peak, deep.list.1"),
        ("nan array", "not_finite", "array bad"),
        ("large", "too_large", "belong into arrays"),
        ("not json", "not_json", "can't be written as JSON"),
        ("objects", "not_json", "'objects'"),
    ],
)
def test_an_extractor_that_fails_fails_alone(
    song: Path, tmp_path: Path, trouble: str, code: str, said: str
) -> None:
    loudness = discover().extractors["loudness"]
    options = Options(registry=registry(Peak(trouble), loudness))
    manifest = extract_file(song, None, options, tmp_path)
    part = manifest.result("peak")
    assert part.status == "failed"
    assert part.error is not None
    assert part.error.code == code
    assert said in part.error.message
    assert manifest.result("loudness").status == "ok"
    assert b"NaN" not in (tmp_path / MANIFEST).read_bytes()


def test_nan_becomes_null_with_a_reason_and_the_rest_is_kept(song: Path, tmp_path: Path) -> None:
    manifest = extract_file(song, None, Options(registry=registry(Peak("nan"))), tmp_path)
    part = manifest.result("peak")
    assert part.features == {"peak": None, "good": 1.0, "deep": {"list": [1.0, None]}}
    assert set(part.reasons) == {"peak", "deep.list.1"}


def test_an_unknown_extractor_is_an_error_of_its_own(song: Path, tmp_path: Path) -> None:
    manifest = extract_file(song, ["tempo", "loudness", "loudness"], Options(), tmp_path)
    first, second = manifest.extractors
    assert first.error is not None
    assert first.error.code == "unknown_extractor"
    assert "tempo_extractor" in first.error.message
    assert second.status == "ok"


def test_what_is_no_sound_is_refused_whole(tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("not a song")
    with pytest.raises(Undecodable) as refused:
        extract_file(text, None, Options(), tmp_path / "out")
    assert refused.value.code == "not_audio"
    assert not (tmp_path / "out" / MANIFEST).exists()


def test_a_file_that_is_too_long_is_refused(song: Path, tmp_path: Path) -> None:
    with pytest.raises(Undecodable) as refused:
        extract_file(song, ["loudness"], Options(max_seconds=3.0), tmp_path)
    assert refused.value.code == "too_long"


def test_stopping_leaves_no_manifest(song: Path, tmp_path: Path) -> None:
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_file(song, None, Options(), tmp_path, stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_any_channels_are_taken(tmp_path: Path, channels: int) -> None:
    wave = np.repeat(0.3 * features.tone(57, 3.0)[:, None], channels, axis=1) / 4
    path = save(tmp_path / "song.wav", wave, 48_000)
    manifest = extract_file(path, None, Options(), tmp_path / "out")
    assert [part.error for part in manifest.extractors] == [None] * len(manifest.extractors)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path that looks like an installed package with extractors."""
    info = tmp_path / "site" / "somebody-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebody\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[melisma.extractors]\n"
        "highest = somebody_extractors:Highest\n"
        "broken = somebody_missing:Nothing\n"
        "hollow = somebody_extractors:Hollow\n"
        "other_name = somebody_extractors:Highest\n"
        "loudness = somebody_extractors:Highest\n"
    )
    (tmp_path / "site" / "somebody_extractors.py").write_text(
        "from processors.extraction.extractor import Cost, Features\n"
        "class Highest:\n"
        "    name, version, device, description = 'highest', '1', 'cpu', 'The highest sample.'\n"
        "    def cost(self, seconds, rate): return Cost(seconds / 1000, 0)\n"
        "    def extract(self, audio, context):\n"
        "        self.top = 0.0\n"
        "        return self\n"
        "    def add(self, block):\n"
        "        self.top = max(self.top, float(abs(block.mono).max(initial=0)))\n"
        "    def finish(self): return Features({'peak': self.top})\n"
        "class Hollow:\n"
        "    name = 'hollow'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield tmp_path
    sys.modules.pop("somebody_extractors", None)


def test_another_packages_extractor_is_found_and_run(installed: Path, song: Path) -> None:
    found = discover()
    assert "highest" in found.usual()
    assert set(found.broken) == {"broken", "hollow", "other_name"}
    assert found.extractors["loudness"].description != "The highest sample."
    manifest = extract_file(song, ["highest", "broken"], Options(), installed / "out")
    assert manifest.result("highest").features["peak"] == pytest.approx(0.55, abs=0.15)
    error = manifest.result("broken").error
    assert error is not None
    assert error.code == "not_available"


def test_each_of_ours_says_what_it_costs() -> None:
    for name, extractor in discover().extractors.items():
        hour = extractor.cost(3600.0, 44_100)
        assert extractor.name == name
        assert extractor.version
        assert extractor.description
        assert hour.seconds > extractor.cost(60.0, 44_100).seconds > 0
        assert hour.bytes >= 0
