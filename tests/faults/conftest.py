"""The fixtures of the whole product."""

from __future__ import annotations

from tests.e2e.conftest import own_product, run

__all__ = ["own_product", "run"]
