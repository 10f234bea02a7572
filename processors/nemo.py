"""Models of NeMo, from a file or from the hub by name."""

from __future__ import annotations

from typing import Any

from processors.choices import ModelUnavailable


def restored(kind: str, model: str, *, doing: str, remedy: str) -> Any:
    """A model on the CPU. Raises `ModelUnavailable`, which says what for, and the ``remedy``.

    ``kind`` names the class of ``nemo.collections.asr.models`` that restores it; what comes may be
    of another one, which is for the caller to look at. ``model`` is a ``.nemo`` file or a name.
    """
    try:
        from nemo.collections.asr import models
    except ImportError as error:
        raise ModelUnavailable(
            f"{doing}: NeMo is not installed ({error.name}); `pip install 'melisma[models]'`"
        ) from error
    family = getattr(models, kind)
    try:
        if model.endswith(".nemo"):
            return family.restore_from(model, map_location="cpu")
        return family.from_pretrained(model, map_location="cpu")
    except Exception as error:  # archives, pickles and hubs fail in ways of their own
        raise ModelUnavailable(
            f"{doing}: '{model}' cannot be loaded ({type(error).__name__}: {error}); {remedy}"
        ) from error


def repeatable(net: Any) -> None:
    """Have the same sound heard the same twice: nothing is padded or dithered at random."""
    net.preprocessor.featurizer.dither = 0.0
    net.preprocessor.featurizer.pad_to = 0
