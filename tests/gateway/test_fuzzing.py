"""Thousands of generated requests: never a 5xx, never an answer that the description lacks."""

from __future__ import annotations

import pytest

from tests.gateway.fuzzing import fuzzing

pytestmark = [pytest.mark.fuzz, pytest.mark.slow]

CASES = 2_000


def test_nothing_that_can_be_asked_breaks_its_promise() -> None:
    with fuzzing() as asked:
        asked.single(CASES // 2)
        asked.chains(CASES - asked.report.cases)
        report = asked.report
        operations = {operation.label for operation in asked.operations()}
    assert report.failures == {}, "\n\n".join(report.failures.values())
    assert report.cases >= CASES
    assert report.operations() == operations
    statuses = {status for _, status in report.statuses}
    assert {200, 201, 202, 404, 409, 422} <= statuses  # it got far enough to matter
