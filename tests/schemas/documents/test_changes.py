from __future__ import annotations

from typing import Any

from schemas.documents.changes import Changes
from schemas.documents.karaoke import KaraokeDocument


def version(number: int, start_ms: int = 100, **changes: Any) -> KaraokeDocument:
    word = {"id": "w1", "text": "hello", "startMs": start_ms, "endMs": 900}
    line = {"id": "l1", "text": "hello", "startMs": start_ms, "endMs": 900, "words": [word]}
    return KaraokeDocument.model_validate(
        {
            "trackId": "trk_1",
            "version": number,
            "durationMs": 5000,
            "singers": [{"id": "s1", "name": ""}],
            "lines": [line],
            "qc": {"score": 0.5},
        }
        | changes
    )


def made(backend: str, model: str, hash_: str = "") -> dict[str, Any]:
    return {"alignment": {"backend": backend, "model": model, "hash": hash_}}


def test_a_newer_model_is_told_with_what_it_moved() -> None:
    old = version(1, source=made("light", "pocketsphinx-5"))
    new = version(2, 140, source=made("full", "nemo x", "ab" * 32), qc={"score": 0.8})
    changes = Changes.between(old, new)
    assert (changes.before, changes.after, changes.score_before, changes.score_after) == (
        *(1, 2),
        *(0.5, 0.8),
    )
    assert changes.told == (
        "alignment was done by full nemo x (weights abababababab), before by light pocketsphinx-5",
        "the quality is 80 of 100, before 50",
        "word w1 'hello' starts +40 ms, ends +0 ms",
    )
    assert Changes.from_json(changes.to_json()) == changes


def test_other_weights_of_the_same_model_are_another_backend() -> None:
    old, new = (version(n, source=made("full", "nemo x", str(n) * 64)) for n in (1, 2))
    (backend,) = Changes.between(old, new).backends
    assert backend.step == "alignment"


def test_a_step_that_only_one_of_them_had() -> None:
    lyrics = {"transcription": {"backend": "light", "model": "m"}}
    assert Changes.between(version(1), version(2, source=lyrics)).told == (
        "transcription was done by light m",
    )
    assert Changes.between(version(1, source=lyrics), version(2)).told == (
        "transcription was not needed; light m did it before",
    )


def test_equal_versions_change_nothing() -> None:
    changes = Changes.between(version(1), version(2))
    assert (changes.backends, changes.told) == ((), ())
