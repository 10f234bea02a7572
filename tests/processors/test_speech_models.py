"""Which model hears which language."""

from __future__ import annotations

from processors.speech_models import MODELS, model_of


def test_the_most_exact_tag_decides_and_the_settings_go_first() -> None:
    assert model_of("en", {}) == MODELS["en"] == "stt_en_conformer_ctc_large"
    assert model_of("ru-RU", {}) == MODELS["ru"]
    assert model_of("EN_gb", {"en": "mine.nemo"}) == "mine.nemo"
    assert model_of("en-GB", {"en": "a.nemo", "en-gb": "b.nemo"}) == "b.nemo"
    assert model_of("pl", {"pl": "stt_pl_fastconformer_hybrid_large_pc"}).startswith("stt_pl")


def test_a_language_without_a_model_has_none_and_one_can_be_taken_away() -> None:
    assert model_of("ja", {}) == ""
    assert model_of("", {}) == ""
    assert model_of("en", {"en": ""}) == ""
    assert model_of("english", {}) == ""
