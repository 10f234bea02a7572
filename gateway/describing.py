"""Writes the API's descriptions to where they are committed: ``python -m gateway.describing``.

``schemas/openapi.json`` and ``schemas/asyncapi.yaml`` are what a client's generator, or a reader
without a running gateway, takes; tests say when they are out of step with the code.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gateway.app import create_app
from gateway.projection.sqlite import SqliteStore
from gateway.projection.sqlite_reservations import SqliteReservations
from gateway.services import Services
from gateway.settings import GatewaySettings
from topics import asyncapi
from topics.artifacts.local import LocalStore
from topics.log.embedded import EmbeddedLog

OPENAPI = Path(__file__).parents[1] / "schemas" / "openapi.json"
ASYNCAPI = OPENAPI.with_name("asyncapi.yaml")


def openapi() -> dict[str, Any]:
    """The description of a gateway with every default, over parts that nothing is put into."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as parts:
        folder = Path(name)
        settings = GatewaySettings(data_dir=folder)
        log = EmbeddedLog(folder / "log.db")
        parts.callback(log.close)
        store = SqliteStore(folder / "projection.db")
        parts.callback(store.close)
        rows = SqliteReservations(folder / "gateway.db")
        parts.callback(rows.close)
        services = Services.assemble(
            settings,
            log=log,
            artifacts=LocalStore(folder / "artifacts", secret=bytes(32), base_url=""),
            store=store,
            reservations=rows,
        )
        parts.callback(services.close)
        app = create_app(services)
        for probe in app.state.probes.values():
            parts.callback(probe.close)
        return app.openapi()


def openapi_text(described: dict[str, Any]) -> str:
    """As it is committed: a line a member, so that changes can be read."""
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write both files."""
    OPENAPI.write_text(openapi_text(openapi()), "utf-8")
    ASYNCAPI.write_text(asyncapi.text(), "utf-8")


if __name__ == "__main__":
    main()
