"""What a command works on: the log, the codec and the gateway's stores that the settings name."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import typer
from pydantic import ValidationError

from gateway.projection.reservations import Reservations
from gateway.projection.store import ProjectionStore, StoreError
from gateway.settings import GatewaySettings
from topics.artifacts.protocol import ArtifactError
from topics.codec import Codec
from topics.log import Fenced, Log, LogError
from topics.log.kafka.settings import KafkaSettings
from topics.logs import redacted


@dataclass(frozen=True, slots=True)
class Workplace:
    """The bus. Stores are opened where a command needs them."""

    settings: GatewaySettings
    log: Log
    codec: Codec

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        return time.time_ns() // 1_000_000

    @contextmanager
    def projection(self) -> Iterator[ProjectionStore]:
        """The projection that the gateway reads."""
        from gateway.projection.opening import open_store

        store = open_store(self.settings)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def reservations(self) -> Iterator[Reservations]:
        """The gateway's own rows: version counters among them."""
        from gateway.projection.opening import open_reservations

        rows = open_reservations(self.settings)
        try:
            yield rows
        finally:
            rows.close()


@contextmanager
def workplace(data: Path | None, *, create: bool = False) -> Iterator[Workplace]:
    """Open the bus of the settings, with ``--data`` over them; ``create`` an embedded log that is
    not there yet.

    What goes wrong inside is said in one line, and the command ends with status 1.
    """
    with complaining(), ExitStack() as parts:
        settings = GatewaySettings() if data is None else GatewaySettings(data_dir=data)
        embedded = not KafkaSettings().kafka_bootstrap_servers
        if embedded and not create and not (settings.data_dir / "log.db").is_file():
            # Looking must not make an empty product where a folder's name was mistyped.
            fail(f"there is no log in '{settings.data_dir}'; name the product's folder with --data")
        log = settings.open_log()
        parts.callback(log.close)
        codec = settings.codec()
        parts.callback(codec.close)
        yield Workplace(settings, log, codec)


@contextmanager
def complaining() -> Iterator[None]:
    """Say an expected failure in one line and leave with status 1; 130 for Ctrl-C."""
    try:
        yield
    except Fenced as error:
        fail(f"another run of this command took over, so this one stopped ({error})")
    except BrokenPipeError:
        # `melisma … | head`: the reader has seen enough, and Python must not flush into the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except ValidationError as error:
        fail(_invalid(error))
    except (OSError, LogError, StoreError, ArtifactError) as error:
        fail(_in_words(error))
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise typer.Exit(128 + signal.SIGINT) from None


def fail(message: str) -> NoReturn:
    """Say what is wrong in one line and leave with status 1."""
    typer.echo(f"melisma: {redacted(message)}", err=True)
    raise typer.Exit(1)


def confirm(what: str, *, yes: bool) -> None:
    """Ask a person whether to do it, unless they have said yes already. Programs have to."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"nobody is here to ask whether to {what}; say --yes, or --dry-run to look first")
    if not typer.confirm(f"{what[:1].upper()}{what[1:]}?", err=True):
        typer.echo("nothing was done", err=True)
        raise typer.Exit(1)


def checked(parse: Callable[..., Any], text: str | None, *more: Any) -> Any:
    """An option's value, or None where it was not given; a bad one is said in one line."""
    if text is None:
        return None
    try:
        return parse(text, *more)
    except ValueError as error:
        fail(str(error))


def _invalid(error: ValidationError) -> str:
    """Which setting is wrong; never its value, which may be a secret."""
    wrong = error.errors(include_url=False, include_input=False)[0]
    name = "_".join(str(part) for part in wrong["loc"]).upper()
    return f"the setting {name} is not valid: {wrong['msg']}; see .env.example"


def _in_words(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    what = error.strerror or str(error)
    return f"'{error.filename}': {what}" if error.filename else what
