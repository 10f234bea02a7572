"""What Prometheus gets."""

from __future__ import annotations

import socket
import stat
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from processors.extraction import metrics
from schemas.events import Extraction, ExtractorOutcome, FeaturesExtracted, Work
from tools.metrics import Machine, serve_metrics
from topics.settings import BusSettings


def figures(registry: CollectorRegistry) -> dict[str, float]:
    lines = generate_latest(registry).decode().splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }


def test_the_cpus_share_since_the_last_look(tmp_path: Path) -> None:
    said = tmp_path / "stat"
    said.write_text("cpu 100 0 100 700 100 0 0 0 0 0\ncpu0 …\n")
    registry = CollectorRegistry()
    registry.register(Machine(said, tool="no such tool"))
    said.write_text("cpu 160 0 115 710 115 0 0 0 0 0\ncpu0 …\n")
    assert figures(registry) == {"melisma_machine_cpu_share": 0.75}
    assert figures(registry) == {"melisma_machine_cpu_share": 0.0}, "nothing since"


def test_the_gpus_as_their_tool_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "fake-smi"
    tool.write_text("#!/bin/sh\necho '0, 37, 1024, 81559'\necho '1, [N/A], 0, 81559'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    registry = CollectorRegistry()
    registry.register(Machine(tmp_path / "nothing", tool="fake-smi"))
    found = figures(registry)
    assert found['melisma_gpu_share{gpu="0"}'] == 0.37
    assert 'melisma_gpu_share{gpu="1"}' not in found
    assert found['melisma_gpu_memory_bytes{gpu="0",of="used"}'] == 1 << 30


def test_a_tool_that_fails_hides_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "fake-smi"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    registry = CollectorRegistry()
    registry.register(Machine(tmp_path / "nothing", tool="fake-smi"))
    assert set(figures(registry)) == {"melisma_machine_cpu_share"}


def settings(tmp_path: Path, **changes: Any) -> BusSettings:
    no_file: dict[str, Any] = {"_env_file": None}
    return BusSettings(**no_file, data_dir=tmp_path, **changes)


def test_figures_are_served_where_the_settings_say(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    serve_metrics(settings(tmp_path), registry)
    assert figures(registry) == {}, "off unless asked for"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            serve_metrics(settings(tmp_path, enable_metrics=True, prometheus_port=port), registry)
    serving = CollectorRegistry()
    server, thread = serve_metrics(
        settings(tmp_path, enable_metrics=True, prometheus_port=0), serving
    ) or (None, None)
    assert server is not None
    assert thread is not None
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert b"melisma_machine_cpu_share" in answer.read()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_items_are_counted_by_extractor_and_ending() -> None:
    def value(metric: Any, *labels: str) -> float:
        return float(metric.labels(*labels)._value.get())

    before = [
        value(metrics.EXTRACTORS, "loudness", "ok"),
        value(metrics.EXTRACTORS, "unknown", "unknown_extractor"),
        value(metrics.FALLBACKS, "loudness"),
    ]
    event = FeaturesExtracted(
        work=Work(job_id="i", track_id="t"),
        extraction=Extraction(task_id="t", video_id=""),
        extractors=(
            ExtractorOutcome(name="loudness", version="1", device="cpu", seconds=1, fallback=True),
            ExtractorOutcome(name="a" * 99, status="failed", code="unknown_extractor"),
        ),
        duration_seconds=60,
    )
    metrics.count(event)
    after = [
        value(metrics.EXTRACTORS, "loudness", "ok"),
        value(metrics.EXTRACTORS, "unknown", "unknown_extractor"),
        value(metrics.FALLBACKS, "loudness"),
    ]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1]
