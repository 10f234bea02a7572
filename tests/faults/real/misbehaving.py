"""A worker of the stage ``separation`` that does what the environment's ``MISBEHAVE`` says.

A bad deploy, as the product would meet it: the same name, topics and process, another handler.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from processors.runtime import RetryPolicy, Sla, Stage, Task, stage
from processors.separation.stage import separation
from schemas.events import ImportRequested, ReprocessRequested, Separated
from tools import product, serve

_FIRST = {
    "name": separation.name,
    "revision": separation.revision,
    "consumes": separation.consumes,
    "produces": separation.produces,
    "accepts": separation.accepts,
}
Asked = ImportRequested | ReprocessRequested


@stage(**_FIRST, sla=separation.sla)  # type: ignore[arg-type]
def hanging(event: Asked, task: Task) -> Separated:
    """Never comes to an end, as a decoder in an endless loop."""
    while True:
        time.sleep(600)


@stage(**_FIRST, sla=Sla(base_s=0.5), retry=RetryPolicy(attempts=2))  # type: ignore[arg-type]
def slow(event: Asked, task: Task) -> Separated:
    """Is killed after 1.5 s, twice."""
    while True:
        time.sleep(600)


@stage(**_FIRST, sla=separation.sla)  # type: ignore[arg-type]
def crashing(event: Asked, task: Task) -> Separated:
    """Crashes on everything."""
    os.abort()


MISBEHAVIOURS: Mapping[str, Stage] = {"hang": hanging, "slow": slow, "crash": crashing}


def main() -> None:
    """`melisma worker separation` with that handler."""
    chosen = MISBEHAVIOURS[os.environ["MISBEHAVE"]]
    product.find = lambda name: chosen  # type: ignore[attr-defined]
    serve.run_worker([separation.name], data=None)
