"""Which speech model hears a language, and who holds it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from processors.choices import Computing
from processors.weights import file_digest

if TYPE_CHECKING:
    from processors.speech import SpeechModel

MODELS: Mapping[str, str] = {
    language: f"stt_{language}_conformer_ctc_{size}"
    for size, languages in (("large", "be ca de en eo es fr hr it ru rw"), ("medium", "hi mr"))
    for language in languages.split()
}
"""NeMo's Conformer-CTC models by language. Their frame is 40 ms; FastConformer's, of 80 ms, places
words half as finely (facts.md), so that languages which have only that are left to the settings."""


def model_of(language: str, chosen: Mapping[str, str]) -> str:
    """The model of a BCP-47 tag, most exact tag first; empty where there is none.

    ``chosen`` goes before `MODELS`; an empty name there takes a language's model away.
    """
    models = {tag.lower(): name for tag, name in {**MODELS, **chosen}.items()}
    tag = language.strip().lower().replace("_", "-")
    while tag:
        if tag in models:
            return models[tag]
        tag = tag.rpartition("-")[0]
    return ""


def title(name: str) -> str:
    """What a model, a name or a ``.nemo`` file, is called in karaoke-json's ``source``."""
    return f"nemo {Path(name).stem if name.endswith('.nemo') else name}"


def fingerprint(name: str) -> str:
    """What tells a model from another of its name without loading it.

    SHA-256 of a ``.nemo`` file; empty for a model of the hub, which a name stands for, and where
    there is no such file.
    """
    if not name.endswith(".nemo"):
        return ""
    try:
        return file_digest(Path(name))
    except OSError:
        return ""


@lru_cache(maxsize=1)  # one at a time: a large one takes half a gigabyte
def speech_model(name: str, computing: Computing) -> SpeechModel:
    """The model, loaded once in this process. Raises `ModelUnavailable`."""
    from processors.speech import SpeechModel

    return SpeechModel(name, device=computing.device)
