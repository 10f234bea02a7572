"""A schema registry that is away for a while delays work; nothing is lost or refused for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import avsc
from tests.processors.runtime import stages
from tests.processors.runtime.rig import Rig, until
from topics.codec import Codec, LocalIds
from topics.registry import RegistryError
from topics.settings import BusSettings

pytestmark = pytest.mark.slow


class Registry(LocalIds):
    """Knows every schema, and does not answer while it is ``away``."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked = 0
        self.closed = False

    def id_of(self, topic: str) -> int:
        self._answer()
        return super().id_of(topic)

    def schema_of(self, schema_id: int) -> avsc.Schema:
        self._answer()
        return super().schema_of(schema_id)

    def close(self) -> None:
        self.closed = True

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise RegistryError("registry: it does not answer; check SCHEMA_REGISTRY_URL")


class OfHost(Registry):
    """Remembers what it once said of a topic, as `topics.registry.RegistryIds` does."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, int] = {}

    def id_of(self, topic: str) -> int:
        if topic not in self._said:
            self._said[topic] = super().id_of(topic)
        return self._said[topic]


@pytest.fixture(params=["trial", "swift"])
def rig(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = Rig(tmp_path, getattr(stages, request.param))
    yield rig
    rig.log.close()


@pytest.fixture
def registry(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry of the hosts that start from now on; the rig itself needs none."""
    registry = OfHost()

    def codec(settings: BusSettings, **chosen: Any) -> Codec:
        return Codec(registry)

    monkeypatch.setattr(BusSettings, "codec", codec)
    return registry


def name_of(rig: Rig) -> str:
    return rig.stages[0].name


def test_a_stage_waits_for_it_to_begin(rig: Rig, registry: Registry) -> None:
    rig.request("a")
    registry.away = True
    with rig.host() as host:
        until(lambda: registry.asked >= 2, "it is asked again")
        health = host.health(lag=False)[name_of(rig)]
        assert (health.alive, health.ready, health.state) == (True, False, "starting")
        assert rig.committed(name_of(rig)) == 0
        registry.away = False
        rig.wait_for("separated")
    assert rig.written() == {"import-requested": 1, "separated": 1}
    assert registry.closed


def test_a_stage_that_waits_for_it_can_be_stopped(rig: Rig, registry: Registry) -> None:
    registry.away = True
    with rig.host() as host:
        until(lambda: registry.asked >= 1, "it is asked")
        host.stop()
        assert host.health(lag=False)[name_of(rig)].state == "stopped"


def test_records_of_unknown_schemas_wait_for_it(rig: Rig, registry: Registry) -> None:
    with rig.host() as host:
        until(lambda: host.health(lag=False)[name_of(rig)].state == "running", "the start")
        registry.away = True  # before any record was read
        asked = registry.asked
        rig.request("a")
        rig.request("b", "reject")
        until(lambda: registry.asked >= asked + 2, "it is asked about the records, again")
        health = host.health(lag=False)[name_of(rig)]
        assert (health.alive, health.reason) == (True, "")
        assert rig.committed(name_of(rig)) == 0
        registry.away = False
        rig.wait_for("separated")
        rig.wait_for("job-failed")
    assert rig.written() == {
        "import-requested": 2,
        "separated": 1,
        "step-failed": 1,
        "job-failed": 1,
        f"{name_of(rig)}.dlq": 1,
    }


def test_cancels_wait_for_it_and_are_heard(rig: Rig, registry: Registry) -> None:
    rig.cancel("a")
    rig.request("a")
    rig.request("b")
    registry.away = True
    with rig.host() as host:
        until(lambda: registry.asked >= 2, "it is asked about the cancel")
        registry.away = False
        rig.wait_for("separated")
        until(lambda: rig.committed(name_of(rig)) == 2, "both offsets")
        assert host.alive
    assert rig.written() == {"import-requested": 2, "job-canceled": 1, "separated": 1}
