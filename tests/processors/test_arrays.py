"""Arrays come back as they were kept, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from processors import arrays


def test_arrays_come_back_with_their_origin(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    arrays.keep(path, {"made": "from"}, {"a": np.arange(3), "b": np.array(2.5)})
    found = arrays.recall(path)
    assert found is not None
    origin, kept = found
    assert origin == {"made": "from"}
    assert kept["a"].tolist() == [0, 1, 2]
    assert float(kept["b"]) == 2.5


def test_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        arrays.keep(tmp_path / name, {"b": "2", "a": "1"}, {"x": np.ones(5)})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_file_that_is_not_whole_is_none(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    noise = np.random.default_rng(1).standard_normal(500)
    arrays.keep(path, {"made": "from"}, {"a": noise})
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at])
        assert arrays.recall(path) is None
        broken = bytearray(whole)
        broken[at] ^= 0xFF
        path.write_bytes(bytes(broken))
        found = arrays.recall(path)  # some bytes of an archive's index say nothing
        assert found is None or found[1]["a"].tolist() == noise.tolist()
    np.savez(path, a=noise)
    assert arrays.recall(path) is None
    assert arrays.recall(tmp_path / "none.npz") is None
