"""What the stage runtime adds to an event, on the embedded log.

``python -m tests.bench.bench_runtime`` measures a stage that does nothing:

- hop: from the `send` of its input to its output in the hands of a waiting reader, one at a time
- rate: records a second while a backlog lasts, through one child process
- kill: from the cancel of a try to the end of its process
- start: from the `send` of the first input to its output, child process and imports included
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from processors.runtime.host import Host
from tests.processors.runtime import stages
from tests.processors.runtime.rig import Rig, is_running, until
from topics import logs
from topics.log import Reader


def arrivals(reader: Reader, count: int) -> float:
    """Seconds until that many records have arrived."""
    started, got = time.perf_counter(), 0
    while got < count:
        got += len(reader.poll(60, 1000))
    return time.perf_counter() - started


def kill_seconds(rig: Rig, host: Host, number: int) -> float:
    """One cancel in mid-work."""
    note = rig.folder / f"note-{number}"
    rig.request(f"hang-{number}", "hang", note=str(note))
    pid = int(until(lambda: note.exists() and note.read_text(), "the work begins"))
    until(lambda: host.health(lag=False)["trial"].in_work, "the try")
    started = time.perf_counter()
    rig.cancel(f"hang-{number}")
    while is_running(pid):
        time.sleep(0.0005)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hops", type=int, default=300)
    parser.add_argument("--backlog", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=10)
    chosen = parser.parse_args()
    logs.configure("json", "ERROR")
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), stages.trial, level="ERROR")
        reader = rig.log.reader(["separated"])
        with rig.host() as host:
            rig.request("first")
            print(f"start   {arrivals(reader, 1) * 1000:8.0f} ms")
            hops = []
            for number in range(chosen.hops):
                time.sleep(0.005)  # idle before each
                started = time.perf_counter()
                rig.request(f"hop-{number}")
                arrivals(reader, 1)
                hops.append((time.perf_counter() - started) * 1000)
            cuts = statistics.quantiles(hops, n=20)
            print(f"hop     {cuts[9]:8.1f} ms p50, {cuts[18]:.1f} ms p95")
            kills = [kill_seconds(rig, host, number) * 1000 for number in range(chosen.kills)]
            print(f"kill    {statistics.median(kills):8.1f} ms p50, {max(kills):.1f} ms at most")
        for number in range(chosen.backlog):
            rig.request(f"backlog-{number}")
        with rig.host():
            arrivals(reader, 1)
            seconds = arrivals(reader, chosen.backlog - 1)
            print(f"rate    {(chosen.backlog - 1) / seconds:8.0f} records/s")
        reader.close()
        rig.log.close()


if __name__ == "__main__":
    main()
