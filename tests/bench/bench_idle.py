"""What `melisma up` costs while nobody uses it, and how soon the command answers.

``python -m tests.bench.bench_idle`` starts the product on a free port over an empty folder and
prints the memory of all its processes: fresh, with the stage children of one song still warm, and
once they have left. PSS counts shared pages once; RSS counts them in every process.
Targets: under 700 MB in all processes when idle, ``melisma --help`` under 1 s.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from tests import songs
from tests.e2e.product import MELISMA, Product, accept, environment, finish, until

MB = 1e6
HELP_RUNS = 5
CHILD_IDLE_S = 5
"""Shorter than the default of 120 s, so that the bench need not wait as long."""


def memory(pids: Collection[int]) -> tuple[float, float]:
    """PSS and RSS of these processes in MB, from smaps_rollup (proc(5))."""
    total = {"Pss:": 0, "Rss:": 0}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, value = line.partition(" ")
                if name in total:
                    total[name] += int(value.split()[0]) * 1024
    return total["Pss:"] / MB, total["Rss:"] / MB


def cpu_s(pids: Collection[int]) -> float:
    """User and system time of these processes so far."""
    ticks = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / 100  # USER_HZ, time(7)


def show(what: str, product: Product) -> None:
    pids = product.up.processes()
    pss, rss = memory(pids)
    print(f"{what:<28} {len(pids):>3} processes  PSS {pss:6.0f} MB  RSS {rss:6.0f} MB")


def help_s(folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(
        [str(MELISMA), "--help"], env=environment(folder), check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="melisma-bench-") as name:
        folder = Path(name)
        times = [help_s(folder) for _ in range(HELP_RUNS)]
        print(
            f"melisma --help: median {statistics.median(times):.2f} s, slowest {max(times):.2f} s"
        )
        with Product(folder, {"CHILD_IDLE_SECONDS": str(CHILD_IDLE_S)}) as product:
            began = time.perf_counter()
            product.start()
            print(f"melisma up: ready after {time.perf_counter() - began:.2f} s")
            time.sleep(2)
            show("idle, nothing done yet", product)
            used = cpu_s(product.up.processes())
            time.sleep(10)
            share = (cpu_s(product.up.processes()) - used) / 10
            print(f"idle, share of one core      {share:.1%}")
            with product.client() as client:
                finish(client, accept(client, songs.make("english", 1))["jobId"])
            show("behind a song, models warm", product)
            until(lambda: not product.up.children(), "the children to leave")
            show("idle again", product)
            product.stop()


if __name__ == "__main__":
    main()
