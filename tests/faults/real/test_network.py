"""The network between the parts and the broker: cut, slow, reset; and brokers that restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.product import Json, until
from tests.faults.real.audit import audit
from tests.faults.real.parts import OUTAGE_S, WHOLE, Parts, accept_all, chosen, ended
from tests.faults.real.proxy import Proxy
from tools.stack import state as states
from tools.stack.stack import Stack

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(1800, func_only=True)]

FAULTS = ("cut", "latency", "resets")


@contextmanager
def behind(proxy: Proxy, folder: Path) -> Iterator[str]:
    """A broker whose clients all come through the proxy; the address of its bootstrap."""
    chosen_ports = Stack(folder, ["kafka"])
    chosen_ports.prepare()
    state = states.load(folder / "stack.json")
    assert state is not None
    ports = state.ports["kafka-1"]
    proxy.target = ("127.0.0.1", ports["client"])
    listeners = f"CLIENT://127.0.0.1:{proxy.port},INTERNAL://127.0.0.1:{ports['internal']}"
    with Stack(folder, ["kafka"], settings={"kafka": {"advertised.listeners": listeners}}):
        yield f"127.0.0.1:{proxy.port}"


def disturb(proxy: Proxy, fault: str) -> str:
    """Do it for a while; what was done."""
    if fault == "cut":
        proxy.cut()
        before = proxy.passed_bytes
        time.sleep(OUTAGE_S)
        assert proxy.passed_bytes - before < 1 << 20  # what was under way
        proxy.mend()
        return f"cut for {OUTAGE_S:.0f} s"
    if fault == "latency":
        proxy.delay_s = 0.2
        time.sleep(OUTAGE_S)
        proxy.delay_s = 0.0
        return f"0.4 s of latency for {OUTAGE_S:.0f} s"
    broken = 0
    end = time.monotonic() + OUTAGE_S
    while time.monotonic() < end:
        broken += proxy.reset()
        time.sleep(1.0)
    assert broken > 0
    return f"{broken} connections reset in {OUTAGE_S:.0f} s"


def test_work_ends_whatever_the_network_does(tmp_path: Path) -> None:
    proxy = Proxy()
    try:
        with behind(proxy, tmp_path / "stack") as address:
            servers = {"KAFKA_BOOTSTRAP_SERVERS": address}
            with Parts(tmp_path / "parts", servers) as product:
                product.start()
                jobs: list[Json] = []
                for number, fault in enumerate(chosen(FAULTS, "network")):
                    with product.client() as client:
                        jobs += accept_all(client, [60 + 2 * number, 61 + 2 * number])
                        until(lambda: product.at_work("separation"), "work", pause_s=0.01)
                        done = disturb(proxy, fault)
                        mended_s = time.monotonic()
                        ended(client, jobs[-2:])
                    after_s = time.monotonic() - mended_s
                    print(f"{fault}: {done}; the jobs ended {after_s:.1f} s after it")
                with product.client() as client:
                    print(audit(product, client, jobs))
                print(f"{proxy.connections} connections, {proxy.passed_bytes} bytes")
                product.stop()
    finally:
        proxy.close()


def test_a_rolling_restart_of_three_brokers(tmp_path: Path) -> None:
    with (
        Stack(tmp_path / "stack", ["kafka"], brokers=3) as stack,
        Parts(tmp_path / "parts", stack.addresses) as product,
    ):
        product.start()
        jobs: list[Json] = []
        for broker in (1, 2, 3):
            with product.client() as client:
                jobs += accept_all(client, [70 + 2 * broker, 71 + 2 * broker])
            until(lambda: product.at_work("separation"), "work", pause_s=0.01)
            begun_s = time.monotonic()
            if WHOLE and broker == 2:
                stack.kill9("kafka", broker=broker)
            stack.restart("kafka", broker=broker)
            print(f"broker {broker} was back after {time.monotonic() - begun_s:.1f} s")
        with product.client() as client:
            ended(client, jobs)
            print(audit(product, client, jobs))
        product.stop()
