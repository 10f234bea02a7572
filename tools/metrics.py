"""What Prometheus scrapes: the figures of this process, and how busy its machine is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock, Thread
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from topics.settings import BusSettings

_STAT = Path("/proc/stat")
_QUERY: Final = ("index", "utilization.gpu", "memory.used", "memory.total")
_QUERY_S = 5.0  # the driver takes a second to wake a GPU that sleeps
_MIB = 1 << 20
_PERCENT = 100.0


class Machine(Collector):
    """The load of the CPU since the last scrape, and of the GPUs, where NVIDIA's tool is here.

    Of the machine, not of this process: what extractors compute is done by their own processes.
    """

    def __init__(self, stat: Path = _STAT, tool: str = "nvidia-smi") -> None:
        self._stat = stat
        self._tool = shutil.which(tool)
        self._lock = Lock()
        self._last = self._ticks()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing is measured when the collector is registered."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The figures now."""
        share = GaugeMetricFamily(
            "melisma_machine_cpu_share", "Share of the CPUs' time that was used, 0 to 1."
        )
        share.add_metric([], self._cpu())
        yield share
        if self._tool is not None:
            yield from self._gpus(self._tool)

    def _ticks(self) -> tuple[int, int]:
        """Ticks of all CPUs, and those of them that were idle or waited for a disk (proc(5))."""
        try:
            first = self._stat.read_text().splitlines()[0].split()[1:9]
        except (OSError, IndexError):
            return 0, 0
        ticks = [int(each) for each in first]
        return sum(ticks), sum(ticks[3:5])

    def _cpu(self) -> float:
        with self._lock:
            before, self._last = self._last, self._ticks()
            whole, idle = (now - then for now, then in zip(self._last, before, strict=True))
        return 1.0 - idle / whole if whole > 0 else 0.0

    @staticmethod
    def _gpus(tool: str) -> Iterator[GaugeMetricFamily]:
        asked = [tool, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
        try:
            said = subprocess.run(
                asked, capture_output=True, text=True, timeout=_QUERY_S, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return
        share = GaugeMetricFamily(
            "melisma_gpu_share", "Share of the time that the GPU computed.", labels=["gpu"]
        )
        memory = GaugeMetricFamily(
            "melisma_gpu_memory_bytes", "Memory of the GPU.", labels=["gpu", "of"]
        )
        for line in said.splitlines():
            index, used, held, total = (part.strip() for part in line.split(","))
            if used.isdigit():
                share.add_metric([index], int(used) / _PERCENT)
            for what, amount in (("used", held), ("total", total)):
                if amount.isdigit():
                    memory.add_metric([index, what], int(amount) * _MIB)
        yield share
        yield memory


def serve_metrics(
    settings: BusSettings, registry: CollectorRegistry = REGISTRY
) -> tuple[WSGIServer, Thread] | None:
    """Listen for Prometheus until the process ends, where the settings say so.

    Raises ``OSError`` for an address that is taken.
    """
    if not settings.enable_metrics:
        return None
    server, thread = start_http_server(
        settings.prometheus_port, addr=settings.prometheus_host, registry=registry
    )
    registry.register(Machine())
    return server, thread
