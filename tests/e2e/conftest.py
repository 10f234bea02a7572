"""Products to test: one that the tests of a process share, and a way to have one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from gateway.client import Client
from tests.e2e.product import Product, Running


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A product for tests that leave it running."""
    with Product(tmp_path_factory.mktemp("product")) as made:
        made.start()
        yield made
        made.stop()


@pytest.fixture
def client(product: Product) -> Iterator[Client]:
    """A client of the shared product."""
    with product.client() as made:
        yield made


@pytest.fixture
def http(product: Product) -> Iterator[httpx.Client]:
    """Bare HTTP to the shared product."""
    with product.http() as made:
        yield made


@pytest.fixture
def own_product(tmp_path: Path) -> Iterator[Callable[..., Product]]:
    """Starts products that only this test uses; whatever is left of them at its end is killed."""
    with ExitStack() as parts:

        def start(**settings: str) -> Product:
            made = Product(tmp_path / f"product-{len(list(tmp_path.iterdir()))}")
            return parts.enter_context(made).start(**settings)

        yield start


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts ``melisma`` commands in a folder of their own; what is left of them is killed."""
    with ExitStack() as parts:

        def start(*arguments: str | Path, **settings: str) -> Running:
            folder = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
            running = Running(folder, [str(each) for each in arguments], **settings)
            parts.callback(running.discard)
            return running

        yield start
