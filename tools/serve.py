"""Commands that run until they are told to stop: the whole product, or one part of it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.panel import Panel

from gateway.projection.store import StoreError
from gateway.settings import GatewaySettings
from processors.delivery.settings import DeliverySettings
from processors.settings import StageSettings
from schemas.work import ADMISSION, EVERY_STAGE
from tools import product
from tools.metrics import serve_metrics
from topics import logs
from topics.artifacts import ArtifactError
from topics.log import LogError
from topics.settings import BusSettings

_console = Console(stderr=True)

_LOOK_S = 0.5  # how often a part is asked whether it still works


def run_everything(*, host: str, port: int, data: Path | None, stack: bool = False) -> None:
    """`melisma up`: everything in one process until Ctrl-C or SIGTERM."""
    with _stoppable() as stop, _servers(data) if stack else nullcontext():
        gateway_settings, stage_settings = settings_for(data)
        _configure(gateway_settings)
        over = threading.Event()
        with product.everything(
            gateway_settings, stage_settings, host=host, port=port, over=over
        ) as server:
            _say_up(server.url, gateway_settings)
            _tell_programs(server.url)
            _wait(stop, over)
            _console.print("[dim]stopping; what is in hand is finished or handed over …[/]")


@contextmanager
def _servers(data: Path | None) -> Iterator[None]:
    """The real servers under the data folder, named in the environment, topics and schemas in
    place. Those that ran before are left running.
    """
    from tools.ops import provisioning
    from tools.ops.buckets import bucket_findings
    from tools.stack.errors import StackError
    from tools.stack.stack import Stack
    from topics.artifacts.s3_settings import S3Settings
    from topics.log.kafka.settings import KafkaSettings
    from topics.registry import RegistrySettings

    settings, _ = settings_for(data)
    servers = Stack(settings.data_dir / "stack", say=lambda line: _console.print(f"[dim]{line}[/]"))
    try:
        ran_before = any(server.condition == "ready" for server in servers.status())
        os.environ.update(servers.up())
    except StackError as error:
        fail(str(error))
    try:
        log = settings.open_log()
        try:
            kafka, registry = KafkaSettings(), RegistrySettings()
            findings = provisioning.apply(log, registry, settings.codec(), kafka)
            origins = settings.cors_origins
            findings += bucket_findings(S3Settings.read(), origins, repair=True)
        finally:
            log.close()
        for finding in findings:
            if finding.bad:
                fail(f"{finding.what} {finding.topic} is {finding.verdict}: {finding.detail}")
        yield
    finally:
        if not ran_before:
            servers.down()


def run_worker(names: Sequence[str], *, data: Path | None) -> None:
    """`melisma worker`: some stages until Ctrl-C or SIGTERM."""
    every = (*EVERY_STAGE, ADMISSION)
    unknown = [name for name in names if name not in every]
    if unknown:
        fail(f"there is no stage '{unknown[0]}'; the stages are {', '.join(every)}")
    wanted = names or every
    with _stoppable() as stop:
        _, settings = settings_for(data)
        _configure(settings.bus)
        with ExitStack() as parts:
            log = parts.enter_context(product.bus(settings.bus))
            admits = (
                parts.enter_context(product.admission(settings, log))
                if ADMISSION in wanted
                else None
            )
            hosted = [name for name in wanted if name != ADMISSION]
            host = parts.enter_context(product.stages(hosted, settings, log)) if hosted else None
            while not stop.wait(_LOOK_S):
                if admits is not None and not admits.alive:
                    fail("admission stands still; the log says why")
                if host is None:
                    continue
                health = host.health(lag=False)
                if all(one.state == "stopped" for one in health.values()):
                    # Nothing here works any more: who watches the process should hear of it.
                    fail("; ".join(f"{name}: {one.reason}" for name, one in health.items()))


def run_gateway(*, host: str, port: int, data: Path | None) -> None:
    """`melisma gateway`: the REST API until Ctrl-C or SIGTERM."""
    with _stoppable() as stop:
        settings, _ = settings_for(data)
        _configure(settings)
        with (
            product.bus(settings) as log,
            product.gateway(settings, log, host=host, port=port) as server,
        ):
            _console.print(f"the gateway listens on [bold]{server.url}[/]")
            _tell_programs(server.url)
            stop.wait()


def run_projector(*, data: Path | None) -> None:
    """`melisma projector`: the projector until Ctrl-C or SIGTERM."""
    with _stoppable() as stop:
        settings, _ = settings_for(data)
        _configure(settings)
        over = threading.Event()
        with product.bus(settings) as log, product.projector(settings, log, over):
            _wait(stop, over)


def run_delivery(*, data: Path | None) -> None:
    """`melisma delivery`: what sends webhooks until Ctrl-C or SIGTERM."""
    with _stoppable() as stop:
        _, settings = settings_for(data)
        _configure(settings.bus)
        with (
            product.bus(settings.bus) as log,
            product.deliveries(DeliverySettings(bus=settings.bus), log) as sender,
        ):
            while not stop.wait(_LOOK_S):
                if not sender.alive:
                    fail("the deliveries stand still; the log says why")


def _wait(stop: threading.Event, over: threading.Event) -> None:
    """Until told to stop. A projector that is no more ends the process, which somebody watches."""
    while not stop.wait(_LOOK_S):
        if over.is_set():
            fail("the projector stopped by itself; the log says why. Start again: it goes on there")


def settings_for(data: Path | None) -> tuple[GatewaySettings, StageSettings]:
    """The settings from the environment and ``.env``, with ``--data`` over both."""
    chosen: dict[str, Any] = {} if data is None else {"data_dir": data}
    try:
        gateway_settings = GatewaySettings(**chosen)
        return gateway_settings, StageSettings(bus=BusSettings(**chosen))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in wrong["loc"]).upper()
        fail(f"the setting {name} is not valid: {wrong['msg']}; see .env.example")


def fail(message: str, status: int = 1) -> NoReturn:
    """Say what is wrong in one line and leave."""
    _console.print(f"[red]melisma:[/] {message}", highlight=False, soft_wrap=True)
    raise typer.Exit(status)


def in_words(error: Exception) -> str:
    """What the system or the bus refused, and which file it was about."""
    if not isinstance(error, OSError):
        return str(error)
    what = error.strerror or str(error)
    return f"'{error.filename}': {what}" if error.filename else what


def _configure(settings: BusSettings) -> None:
    """Log as the settings say; a person at a terminal who said nothing gets what people read."""
    chosen = "log_format" in settings.model_fields_set or not sys.stderr.isatty()
    logs.configure(settings.log_format if chosen else "console", settings.log_level)
    try:
        serve_metrics(settings)
    except OSError as error:
        fail(
            f"metrics cannot be shown at {settings.prometheus_host}:{settings.prometheus_port} "
            f"({error.strerror}); give each process its own PROMETHEUS_PORT"
        )


def _say_up(url: str, settings: BusSettings) -> None:
    _console.print(
        Panel.fit(
            f"[bold]{url}[/]\n"
            f"docs     {url}/docs\n"
            f"health   {url}/readyz\n"
            f"data     {settings.data_dir.resolve()}\n\n"
            "[dim]Ctrl-C stops; a second one at once[/]",
            title="Melisma is up",
        )
    )


def _tell_programs(url: str) -> None:
    """One line on stdout where that is not a terminal: who started ``--port 0`` reads it there."""
    if not sys.stdout.isatty():
        print(url, flush=True)


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set. A second signal ends the process there and then:
    nothing accepted is lost by it, the next start goes on where this one was.
    """
    stop = threading.Event()

    def heard(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except (OSError, LogError, ArtifactError, StoreError) as error:
        fail(in_words(error))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
