"""What follows from the languages that were heard; the model itself is tested with its extra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.audio.activity import HOP_MS, Activity
from processors.choices import Computing, ModelUnavailable
from processors.transcription import spoken_language as ear
from processors.transcription.spoken_language import (
    LIKELY,
    SURE,
    Spoken,
    languages,
    other_than,
    strongest,
    tag_of,
    to_listen_with,
)
from processors.transcription.stage import remarks

CPU = Computing(use_gpu=False, threads=1, gpu_limit_mib=None)


def heard(**shares: float) -> tuple[Spoken, ...]:
    return tuple(Spoken(language, share) for language, share in shares.items())


@pytest.mark.parametrize(
    ("label", "tag"),
    [
        ("en", "en"),
        ("en: English", "en"),
        ("eng", "en"),
        ("rus: Russian", "ru"),
        ("iw: Hebrew", "he"),
        ("ceb", "ceb"),
        ("pt_BR", "pt-br"),
        ("speaker-17", ""),
        ("id10001", ""),
        ("4", ""),
        ("", ""),
    ],
)
def test_a_label_means_a_language(label: str, tag: str) -> None:
    assert tag_of(label) == tag


@given(
    st.lists(
        st.lists(st.floats(-30, 0), min_size=4, max_size=4),
        min_size=1,
        max_size=6,
    )
)
def test_languages_are_ranked_and_share_one_probability(rows: list[list[float]]) -> None:
    found = languages(["en: English", "de", "eng", "noise 1"], np.array(rows))
    assert {each.language for each in found} == {"en", "de"}
    shares = [each.probability for each in found]
    assert shares == sorted(shares, reverse=True)
    assert all(0.0 <= share <= 1.0 + 1e-9 for share in shares)
    assert sum(shares) <= 1.0 + 1e-9  # what is no language keeps its own


def test_one_sure_phrase_does_not_outvote_the_others() -> None:
    scores = np.log([[0.99, 0.01], [0.2, 0.8], [0.1, 0.9], [0.1, 0.9]])
    (first, _) = languages(["en", "de"], scores)
    assert first.language == "de"
    assert languages(["en", "de"], np.zeros((0,))) == ()


def test_a_language_is_listened_with_where_it_is_likely_and_has_a_model() -> None:
    assert to_listen_with(heard(ru=0.9, en=0.1), {}) == Spoken("ru", 0.9)
    assert to_listen_with(heard(ru=LIKELY, en=0.5), {}) == Spoken("ru", LIKELY)
    assert to_listen_with(heard(ru=0.49, en=0.3), {}) is None
    # What has no model keeps its probability: a Japanese song is no English one.
    assert to_listen_with(heard(ja=0.9, en=0.1), {}) is None
    assert to_listen_with(heard(ja=0.9, en=0.1), {"ja": "ja.nemo"}) == Spoken("ja", 0.9)
    assert to_listen_with(heard(ru=0.9), {"ru": ""}) is None
    assert to_listen_with(heard(rw=0.9), {}) is None  # a model writes it down, no voice reads it
    assert to_listen_with((), {}) is None


@pytest.mark.parametrize(
    ("said", "heard_as", "share", "other"),
    [
        ("en", "de", SURE, True),
        ("en", "de", 0.79, False),
        ("en-GB", "en", 0.99, False),
        ("pt-BR", "pt", 0.99, False),
        ("nb", "nn", 0.99, False),
        ("eng", "en", 0.99, False),
        ("en", "ja", 0.95, True),  # it can be told without a model for it
        ("ceb", "ceb", 0.99, False),
    ],
)
def test_another_language_than_the_said_one(
    said: str, heard_as: str, share: float, other: bool
) -> None:
    assert (other_than(said, (Spoken(heard_as, share),), SURE) is not None) == other
    assert other_than(said, (), SURE) is None


@pytest.mark.parametrize(
    ("text", "said", "ear_for", "detected", "code", "parts"),
    [
        ("über den", "", heard(de=0.97), Spoken("de", 0.97), "language_detected", ("'de' (97 %",)),
        ("over it", "", heard(ja=0.9), None, "language_guessed", ("'en'", "'ja' (90 %")),
        ("over it", "", heard(en=0.4, de=0.3), None, "language_guessed", ("'en'",)),
        ("over it", "en", heard(de=0.9), None, "language_mismatch", ("'en'", "'de' (90 %")),
        ("over it", "en", heard(de=0.7), None, None, ()),
        ("over it", "en", heard(en=0.9), None, None, ()),
        # Letters are the surer witness, and one remark says it.
        ("над рекой", "en", heard(de=0.9), None, "language_mismatch", ("cyrillic",)),
    ],
)
def test_a_remark_says_what_was_heard(
    text: str,
    said: str,
    ear_for: tuple[Spoken, ...],
    detected: Spoken | None,
    code: str | None,
    parts: tuple[str, ...],
) -> None:
    found = remarks(text, said, ear_for, detected)
    assert [each.code for each in found] == ([code] if code else [])
    for each in found:
        assert all(part in each.message for part in parts), each.message
        assert ("sounds like" in each.message) == any("%" in part for part in parts)


def test_half_a_minute_of_the_loudest_phrases_is_heard() -> None:
    loud = [0.1, 0.5, 0.3, 0.9, 0.2, 0.4]
    rms = np.zeros(6 * 1000, np.float32)
    for number, level in enumerate(loud):
        rms[number * 1000 : number * 1000 + 900] = level  # 9 s of every 10
    rms[-60:-10] = 5.0  # half a second is too short to tell anything
    spans = strongest(Activity(rms, rms > 0), len(rms) * HOP_MS)
    assert [round(span.start_ms / 10_000) for span in spans] == [3, 1, 5]
    assert sum(span.end_ms - span.start_ms for span in spans) <= 30_000
    assert strongest(Activity(rms[:0], rms[:0] > 0), 0) == []


def test_without_a_model_nothing_hears_and_the_log_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(name: str) -> None:
        raise ModelUnavailable(f"'{name}' is gone")

    monkeypatch.setattr(ear, "SpokenLanguage", gone)
    ear.spoken_language.cache_clear()
    assert ear.spoken_language(ear.OFF, CPU) is None
    assert ear.spoken_language("", CPU) is None
    assert "gone" not in "".join(capsys.readouterr())
    assert ear.spoken_language("away", CPU) is None
    assert "'away' is gone" in "".join(capsys.readouterr())
    ear.spoken_language.cache_clear()
