"""The parts of the product, started and stopped in the right order, in one process or apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext

from gateway.access.exposure import require_closed
from gateway.projection.notices import Notices
from gateway.projection.opening import open_reservations, open_store
from gateway.projection.projector import Projector, rebuild
from gateway.server import Server, listen
from gateway.services import Services
from gateway.settings import GatewaySettings
from processors.admission.service import Admission
from processors.delivery.service import Deliveries
from processors.delivery.settings import DeliverySettings
from processors.extraction.announcing import Announcer
from processors.generation.sweeping import sweep
from processors.runtime import find
from processors.runtime.host import Host
from processors.settings import StageSettings
from schemas.work import EVERY_STAGE
from topics import logs
from topics.artifacts import ArtifactError
from topics.artifacts.protocol import ArtifactStore
from topics.catalog import partitions, retention_ms
from topics.log import EmbeddedLog, Log, LogError
from topics.outbound.provider import ProviderSettings
from topics.settings import BusSettings

_TRIM_S = 3600.0
_SWEEP_S = 6 * 3600.0

_log = logs.get(__name__)


@contextmanager
def bus(settings: BusSettings) -> Iterator[Log]:
    """The log with every topic of the product in place."""
    log = settings.open_log()
    over = threading.Event()
    codec = settings.codec()
    try:
        kept = {codec.on_log(name): ms for name, ms in retention_ms(EVERY_STAGE).items()}
        log.provision({codec.on_log(name): n for name, n in partitions(EVERY_STAGE).items()}, kept)
        if isinstance(log, EmbeddedLog):  # a broker trims by itself
            threading.Thread(target=_trim, args=(log, kept, over), name="trim", daemon=True).start()
        yield log
    finally:
        over.set()
        codec.close()
        log.close()


def _trim(log: EmbeddedLog, kept: dict[str, int], over: threading.Event) -> None:
    """Delete what has outlived its retention, now and every hour."""
    while not over.is_set():
        try:
            log.trim(kept)
        except LogError as error:
            _log.warning("the log was not trimmed; it is tried again", error=str(error))
        over.wait(_TRIM_S)


@contextmanager
def gateway(settings: GatewaySettings, log: Log, *, host: str, port: int) -> Iterator[Server]:
    """The REST gateway, listening. Signed URLs begin with its own address unless a setting says
    under which one clients reach it.
    """
    with ExitStack() as parts:
        require_closed(settings.access, host)
        listener = listen(host, port)
        parts.callback(listener.close)
        if "public_base_url" not in settings.model_fields_set:
            shown = f"[{host}]" if ":" in host else host
            address = f"http://{shown}:{listener.getsockname()[1]}"
            settings = settings.model_copy(update={"public_base_url": address})
        store = open_store(settings)
        parts.callback(store.close)
        reservations = open_reservations(settings)
        parts.callback(reservations.close)
        services = Services.assemble(
            settings,
            log=log,
            artifacts=settings.open_artifacts(),
            store=store,
            reservations=reservations,
        )
        parts.callback(services.close)
        yield parts.enter_context(Server(services, listener).start())


@contextmanager
def projector(settings: BusSettings, log: Log, over: threading.Event) -> Iterator[None]:
    """The projector in a thread; ``over`` is set when it ends by itself, which is a failure."""
    store, codec = open_store(settings), settings.codec()
    reservations = open_reservations(settings)
    if store.sequence() == 0:
        # A new store, or one that was thrown away: the group's offsets say nothing about it.
        rebuild(log, codec, store)
    notices = Notices(codec, store, reservations)
    project = Projector(log, codec, store, notices=notices, monotonic=time.monotonic)
    stop = threading.Event()

    def run() -> None:
        try:
            project.run(stop)
        except Exception:
            _log.exception("the projector stopped")
        finally:
            over.set()

    thread = threading.Thread(target=run, name="projector", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        codec.close()
        reservations.close()
        store.close()


@contextmanager
def deliveries(settings: DeliverySettings, log: Log) -> Iterator[Deliveries]:
    """What sends webhooks; on the way out what is under way may end."""
    bus = settings.bus
    sender = Deliveries(settings, log=log, artifacts=bus.open_artifacts(), keys=bus.signing_keys())
    with sender:
        yield sender


@contextmanager
def admission(settings: StageSettings, log: Log) -> Iterator[Admission]:
    """What decides whose extraction is next; beside another one it stands by."""
    with Admission(settings, log=log) as service:
        yield service


@contextmanager
def stages(names: Sequence[str], settings: StageSettings, log: Log) -> Iterator[Host]:
    """Stages side by side; on the way out what is in hand ends within the grace time."""
    host = Host([find(name) for name in names], settings, log=log)
    host.start()
    over = threading.Event()
    if "generation" in names:
        store = settings.bus.open_artifacts()
        threading.Thread(target=_sweep, args=(store, over), name="sweep", daemon=True).start()
    told = Announcer(settings.bus.open_artifacts()) if "extraction" in names else nullcontext()
    try:
        with told:
            yield host
    finally:
        over.set()
        host.drain()


def _sweep(store: ArtifactStore, over: threading.Event) -> None:
    """Clear away what generated songs of long ago have left, every few hours."""
    provider = ProviderSettings()
    while not over.wait(_SWEEP_S):
        try:
            swept = sweep(store, provider.account, provider.profile, time.time_ns() // 1_000_000)
            _log.info("swept what generated songs have left", objects=swept)
        except ArtifactError as error:
            _log.warning("sweeping failed; it is tried again", error=str(error))


@contextmanager
def everything(
    gateway_settings: GatewaySettings,
    stage_settings: StageSettings,
    *,
    host: str,
    port: int,
    over: threading.Event | None = None,
) -> Iterator[Server]:
    """The whole product. Stops in the order of the flow: no new requests, no new work, the rest.

    ``over`` is set when the projector ends by itself: from then on nobody sees what goes on.
    """
    with ExitStack() as parts:
        log = parts.enter_context(bus(gateway_settings))
        parts.enter_context(projector(gateway_settings, log, over or threading.Event()))
        parts.enter_context(deliveries(DeliverySettings(bus=stage_settings.bus), log))
        parts.enter_context(admission(stage_settings, log))
        parts.enter_context(stages(EVERY_STAGE, stage_settings, log))
        yield parts.enter_context(gateway(gateway_settings, log, host=host, port=port))
