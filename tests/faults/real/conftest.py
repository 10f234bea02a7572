"""One set of real servers for the faults of a run, disturbed by one test at a time."""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest

from tests import stack as stacks
from tests.faults.real.parts import WHOLE, Parts, chosen
from tools.stack.stack import Stack

HERE = Path(__file__).parent

ALWAYS = ("test_kill.py", "test_outage.py")
"""Choose a third of their faults themselves, over servers and parts that they start once."""

RUNTIME = "test_outcomes.py"


def _ids(items: list[pytest.Item]) -> list[str]:
    return sorted({item.nodeid for item in items})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave a third of the tests in a short run, the seed's; all of them where one was named."""
    mine = [item for item in items if item.path.parent == HERE and item.path.name not in ALWAYS]
    if WHOLE or any("::" in argument or ".py" in argument for argument in config.args):
        return
    of_runtime = [item for item in mine if item.path.name == RUNTIME]  # many, and small
    of_product = [item for item in mine if item.path.name != RUNTIME]
    kept = {*chosen(_ids(of_runtime), RUNTIME), *chosen(_ids(of_product), "tests")}
    left_out = [item for item in mine if item.nodeid not in kept]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def servers(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """Kafka, Cassandra, a registry and S3, all up; no other test uses them meanwhile."""
    stack = stacks.disturbed(pytestconfig)
    stack.data_dir.mkdir(parents=True, exist_ok=True)
    with stack.data_dir.with_suffix(".turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        stack.up()
        yield stack
        stack.up()  # whatever a failed test left dead


@pytest.fixture
def parts(servers: Stack, tmp_path: Path) -> Iterator[Callable[..., Parts]]:
    """Makes a product in parts with topics, a keyspace and a bucket of its own."""
    with ExitStack() as made:

        def make(**settings: str) -> Parts:
            name = f"t{uuid.uuid4().hex[:8]}"
            told = {
                **servers.addresses,
                "TOPIC_PREFIX": f"{name}.",
                "CASSANDRA_KEYSPACE": name,
                "S3_BUCKET": name,
            }
            boto3.client(
                "s3",
                endpoint_url=told["S3_ENDPOINT"],
                region_name=told["S3_REGION"],
                aws_access_key_id=told["S3_ACCESS_KEY"],
                aws_secret_access_key=told["S3_SECRET_KEY"],
            ).create_bucket(Bucket=name)
            product = Parts(tmp_path / name, told, settings)
            return made.enter_context(product).provision()

        yield make
