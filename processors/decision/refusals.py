"""What the decision engine refuses, by name and in words."""

from __future__ import annotations

from typing import Literal

from schemas.documents.decision import Words

RefusalCode = Literal["silent", "dc-only", "too-short", "not-measured", "unknown-preset"]
OverrideCode = Literal["unknown-move", "unknown-parameter", "out-of-bounds", "needed"]


class Refused(ValueError):
    """No decision can be made about this song. ``words`` is for the musician."""

    def __init__(self, code: RefusalCode, words: Words) -> None:
        super().__init__(words.en)
        self.code: RefusalCode = code
        self.words = words


class OverrideRefused(ValueError):
    """A change asks for what cannot be. ``move`` names the move, ``parameter`` what of it."""

    def __init__(
        self, code: OverrideCode, move: str, message: str, parameter: str | None = None
    ) -> None:
        super().__init__(message)
        self.code: OverrideCode = code
        self.move = move
        self.parameter = parameter


class RuleError(ValueError):
    """A rule file says what cannot be; the message names file, rule and field."""
