"""Inputs that are not taken, as problems."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.guard.problems import Code, Problem
from topics.inputs import InputFault, InputRefused

_CODES: Mapping[InputFault, Code] = {
    "input_scheme_unknown": Code.INPUT_SCHEME_UNKNOWN,
    "input_forbidden": Code.INPUT_FORBIDDEN,
    "input_missing": Code.INPUT_NOT_FOUND,
    "input_not_a_file": Code.INPUT_NOT_A_FILE,
}


def input_refused(refused: InputRefused) -> Problem:
    """The refusal of an input at the door."""
    return Problem(
        _CODES[refused.code],
        refused.message,
        errors=[{"pointer": "#/input_uri", "message": refused.message}],
    )
