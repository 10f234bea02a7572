"""The gateway as a running server that another program can host."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

import structlog
import uvicorn

from gateway.access.exposure import require_closed
from gateway.app import create_app
from gateway.guard.connections import Connection
from gateway.projection.store import StoreError
from gateway.services import Services
from gateway.uploading import sweep
from topics.artifacts.protocol import ArtifactError
from topics.log import LogError

GRACE_S = 2
"""How long requests in work may take to end once the server stops."""

_START_TIMEOUT_S = 15.0

_SWEEP_S = 600.0
"""Between two looks for uploads and idempotency keys whose time is over; they last a day."""

_KEYS_KEPT_MS = 24 * 3_600_000
"""How long an Idempotency-Key replays its answer: a day, as Stripe keeps it."""

_log = structlog.get_logger("gateway")


class Server:
    """A gateway that listens. `stop` (or the end of a ``with``) ends streams and requests."""

    def __init__(self, services: Services, listener: socket.socket) -> None:
        require_closed(services.settings.access, listener.getsockname()[0])
        self._services = services
        self._stopping = threading.Event()
        self._socket = listener
        address = listener.getsockname()
        self.host: str = address[0]
        self.port: int = address[1]
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                create_app(services),
                http=Connection,
                lifespan="off",
                log_config=None,
                access_log=False,  # guard/tracing.py writes it, without query strings
                proxy_headers=False,  # guard/addresses.py decides whom to believe
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._thread = threading.Thread(
            target=self._uvicorn.run, args=([self._socket],), name="gateway", daemon=True
        )
        self._sweeper = threading.Thread(target=self._sweep, name="sweeper", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> Self:
        """Begin to serve; returns once connections are taken."""
        self._thread.start()
        self._sweeper.start()
        wait = threading.Event()
        for _ in range(int(_START_TIMEOUT_S / 0.01)):
            if self._uvicorn.started:
                return self
            if not self._thread.is_alive():
                break
            wait.wait(0.01)
        self.stop()
        raise RuntimeError(f"the gateway did not start on {self.host}:{self.port}; see the log")

    def stop(self) -> None:
        """End event streams, let requests in work finish within `GRACE_S`, stop listening."""
        self._stopping.set()
        self._services.changes.close()
        self._uvicorn.should_exit = True
        for thread in (self._thread, self._sweeper):
            if thread.ident is not None:
                thread.join()
        self._socket.close()

    def _sweep(self) -> None:
        services = self._services
        while not self._stopping.wait(_SWEEP_S):
            try:
                aborted = sweep(services) + services.artifacts.sweep(_KEYS_KEPT_MS / 1000)
                forgotten = services.reservations.prune(services.clock_ms() - _KEYS_KEPT_MS)
                services.webhooks.sweep()
                _log.info("swept", uploads=aborted, keys=forgotten)
            except (StoreError, ArtifactError, LogError) as error:
                _log.warning("sweeping failed; it will be tried again", failure=repr(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def serve(services: Services, host: str = "127.0.0.1", port: int = 8080) -> Server:
    """Listen and serve in a thread; the bound port (0 picks a free one) is ``server.port``.

    Raises OSError with a clear message when the address cannot be had. Only the loopback address
    is listened on unless ``host`` says otherwise, and that needs another ``ACCESS`` than ``off``.
    """
    require_closed(services.settings.access, host)
    return Server(services, listen(host, port)).start()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, so that its port is known before anything is served.

    Raises OSError with a clear message when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno,
            f"cannot listen on {host}:{port} ({error.strerror}); choose another --port",
        ) from error
    return listener
