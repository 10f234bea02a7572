"""The disk of a server is full in mid-work, and has room again: the work waits for it, and ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.events import StepFailed
from tests.e2e.product import Json, until
from tests.faults.real import disk
from tests.faults.real.audit import audit, open_log, read
from tests.faults.real.disk import Disks
from tests.faults.real.parts import Parts, accept_all, chosen, ended
from tools.stack.stack import Stack

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(1800, func_only=True)]

MIB = 1 << 20

# Room for the songs of the test; Cassandra makes its commit log ahead.
SIZES = {"s3": 64 * MIB, "kafka": 256 * MIB, "cassandra": 512 * MIB}
FOLDERS = {"s3": "s3/data", "kafka": "kafka-1/data", "cassandra": "cassandra/data"}
OTHERS = "of-somebody-else"


@pytest.fixture(autouse=True)
def disks_can_be_made() -> None:
    if why := disk.lacking():
        assert not os.environ.get("MELISMA_REQUIRE_STACK"), why
        pytest.skip(f"small disks are left out: {why}")


@dataclass
class Servers:
    """The servers, each on a small disk."""

    stack: Stack
    disks: Disks
    filled: int = field(default=0, init=False)

    def folder(self, service: str) -> Path:
        return self.stack.data_dir / FOLDERS[service]

    def up(self) -> None:
        """Start what does not run, on the disks."""
        disk.up(self.disks, self.stack.data_dir, self.stack.services)

    def runs(self, service: str) -> bool:
        return any(each.pid for each in self.stack.status() if each.service == service)

    def serves(self, service: str) -> bool:
        return any(
            each.condition == "ready" for each in self.stack.status() if each.service == service
        )


def test_a_full_disk_under_each_server(tmp_path: Path) -> None:
    data = tmp_path / "stack"
    filled = chosen(list(SIZES), "disks")
    stack = Stack(data, [name for name in SIZES if name in (*filled, "kafka")])
    with Disks({data / FOLDERS[name]: SIZES[name] for name in stack.services}) as disks:
        try:
            servers = Servers(stack, disks)
            servers.up()
            with Parts(tmp_path / "parts", stack.addresses) as product:
                fill_each(product.start(), servers, filled)
                product.stop()
        finally:
            stack.down(purge=True)


def fill_each(product: Parts, servers: Servers, services: Sequence[str]) -> None:
    seen_full: dict[str, Callable[[Parts, Servers], str]] = {
        "s3": store_is_full,
        "kafka": broker_is_full,
        "cassandra": node_is_full,
    }
    log = open_log(product.environment)
    log.provision({OTHERS: 1})
    log.close()
    jobs: list[Json] = []
    for number, service in enumerate(services):
        with product.client() as client:
            jobs += accept_all(client, [140 + 2 * number, 141 + 2 * number])
        until(lambda: product.at_work("separation"), "a separation at work", pause_s=0.01)
        filled = servers.disks.fill(servers.folder(service))
        said = seen_full[service](product, servers)
        servers.disks.free(servers.folder(service))
        begun_s = time.monotonic()
        if service != "s3":  # an operator starts again what gave up
            servers.stack.stop(service, grace_s=0)
            servers.up()
        with product.client() as client:
            ended(client, jobs[-2:])
        print(
            f"{service}: {filled >> 20} MiB filled; {said}; its jobs ended "
            f"{time.monotonic() - begun_s:.1f} s after there was room"
        )
    with product.client() as client:
        print(audit(product, client, jobs))


def store_is_full(product: Parts, servers: Servers) -> str:
    """A try that has to store something fails by name; the job waits for the next one."""

    def failed() -> list[str]:
        found = read(product.environment).events["step-failed"]
        return [each.event.code for each in found if isinstance(each.event, StepFailed)]

    codes = until(failed, "a try that the store refuses", pause_s=0.5)
    assert set(codes) <= {"store_full", "store_unavailable"}, codes
    assert servers.serves("s3")
    return f"tries failed: {codes}"


def broker_is_full(product: Parts, servers: Servers) -> str:
    """A broker that cannot write to its only disk halts."""
    producer = Producer({"bootstrap.servers": product.servers["KAFKA_BOOTSTRAP_SERVERS"]})
    producer.produce(OTHERS, bytes(MIB // 2), partition=0)  # not even another page
    until(lambda: producer.flush(0.1) == 0 or not servers.runs("kafka"), "the write", pause_s=0.1)
    until(lambda: not servers.runs("kafka"), "the broker to halt")
    producer.purge()
    return "the broker halted"


def node_is_full(product: Parts, servers: Servers) -> str:
    """A node that cannot write its commit log refuses writes; the projector keeps what it has."""

    def refused() -> bool:
        return "cannot be written" in product.running["projector"].stderr

    until(refused, "a write that the node refuses", pause_s=0.2)
    alive = servers.serves("cassandra")
    return f"the projection was not written, the node {'answered' if alive else 'served nobody'}"
