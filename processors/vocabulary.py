"""What a CTC speech model can write: its tokens, and how words are spelt in them.

A vocabulary is a few kilobytes and needs no weights: kept beside what the model heard, it lets
edited lyrics be placed without the model.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from processors.alignment.memory import Array

_PIECES, _TOKENIZER = "pieces", "tokenizer"

Encode = Callable[[str], Sequence[int]]


class Vocabulary:
    """Subwords of a tokenizer, or letters."""

    def __init__(self, pieces: Sequence[str], encode: Encode | None, model: bytes = b"") -> None:
        """``encode``: text to tokens, None for models of letters; ``model``: SentencePiece's own
        file of it, where it has one.
        """
        self.pieces = tuple(pieces)
        self._encode = encode
        self._model = model
        self._numbers = {piece: number for number, piece in enumerate(self.pieces)}
        self.space = self._numbers.get(" ")
        """The token that models of letters tell between two words; None where there is none."""
        self._letters = set("".join(self.pieces))
        self._cases: tuple[Callable[[str], str], ...] = (
            (str.lower, str.upper)
            if any(map(str.islower, self._letters))
            else (str.upper, str.lower)
        )

    @classmethod
    def of_net(cls, net: Any) -> Vocabulary:
        """That of a loaded NeMo model."""
        head = getattr(net, "ctc_decoder", net.decoder)
        tokenizer = getattr(net, "tokenizer", None)
        encode = None if tokenizer is None else tokenizer.text_to_ids
        inner: Any = getattr(tokenizer, "tokenizer", None)
        model = b""
        if hasattr(inner, "serialized_model_proto") and not getattr(tokenizer, "legacy", True):
            model = bytes(inner.serialized_model_proto())
        return cls([str(piece) for piece in head.vocabulary], encode, model)

    def arrays(self) -> dict[str, Array]:
        """For `of`; nothing where the tokenizer cannot be kept."""
        if self._encode is not None and not self._model:
            return {}
        return {_PIECES: np.array(self.pieces), _TOKENIZER: np.frombuffer(self._model, np.uint8)}

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Vocabulary | None:
        """What `arrays` gave; None where it gave nothing."""
        if _PIECES not in arrays or _TOKENIZER not in arrays:
            return None
        pieces = [str(piece) for piece in arrays[_PIECES]]
        model = np.asarray(arrays[_TOKENIZER], np.uint8).tobytes()
        if not model:
            return cls(pieces, None)
        try:
            from sentencepiece import SentencePieceProcessor
        except ImportError:  # it comes with NeMo
            return None
        processor = SentencePieceProcessor(model_proto=model)
        return cls(pieces, processor.encode_as_ids, model)

    def spell(self, word: str) -> tuple[int, ...]:
        """The tokens of a word, of its letters that the model knows; none where it knows none."""
        for case in self._cases:
            text = "".join(map(self._nearest, case(word)))
            if not text:
                continue
            if self._encode is None:
                return tuple(self._numbers[letter] for letter in text)
            tokens = tuple(int(number) for number in self._encode(text))
            if all("unk" not in self.pieces[token] for token in tokens):
                return tokens
        return ()

    def _nearest(self, letter: str) -> str:
        """The letter itself, its base ("ё" → "е", "é" → "e"), or nothing, as the model has it."""
        if letter in self._letters:
            return letter
        base = unicodedata.normalize("NFD", letter)[0]
        return base if base in self._letters else ""
