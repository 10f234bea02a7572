"""A gateway with a door, and keys to it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.access import keys
from gateway.projection.reservations import Client
from tests.gateway.calls import Calls
from tests.gateway.house import CLIENT, House, settings


@dataclass
class Guarded:
    """A house with ACCESS=on and clients of its tenants."""

    house: House
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def key(self, tenant: str = "default", **more: Any) -> tuple[str, Client]:
        number = next(self.numbers)
        return keys.create(
            self.house.reservations,
            tenant=tenant,
            now_ms=self.house.clock.ms,
            random_hex=lambda n: f"{number:0{2 * n}x}",
            random_text=lambda n: f"{number:043d}",
            **more,
        )

    def client(self, tenant: str = "default", *, address: str = "127.0.0.1", **more: Any) -> Calls:
        key, _ = self.key(tenant, **more)
        return self.with_key(key, address)

    def with_key(self, key: str, address: str = "127.0.0.1") -> Calls:
        return self.house.client(address, CLIENT | {"Authorization": f"Bearer {key}"})


def guarded_house(folder: Path, **changes: Any) -> Guarded:
    house = House(folder, settings=settings(access="on", **changes))
    made = Guarded(house)
    house.http = made.client(role="admin")  # what the house itself does for tests
    return made


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    made = guarded_house(tmp_path)
    yield made
    made.house.close()
