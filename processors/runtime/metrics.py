"""Every figure that a worker shows to Prometheus."""

from __future__ import annotations

from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

Ending = Literal[
    "finished",  # the handler returned
    "retried",  # the record waits for another try
    "rejected",  # the handler refused the input; dead letter
    "spent",  # the last try failed; dead letter
    "poison",  # no event of ours; dead letter
    "canceled",  # the job was canceled, before or while it was worked on
    "stale",  # a newer attempt has the job
    "lost",  # the partition went to another worker, which adopts the result
    "handed_over",  # not done within the grace time of a shutdown
]
"""How a record's time with a worker can end; the ``ending`` label."""

ENDINGS = Counter(
    "melisma_stage_records", "Records that a stage is done with.", ["stage", "ending"]
)
CRASHES = Counter(
    "melisma_stage_crashes", "Tries that ended in a crash or at the hard limit.", ["stage", "code"]
)
SECONDS = Histogram(
    "melisma_stage_try_seconds",
    "Time from the begin of a try to its outcome.",
    ["stage"],
    # From a cheap stage on a warm child to the longest work on a slow machine.
    buckets=(0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 1200, 3600),
)
IN_WORK = Gauge("melisma_stage_in_work", "Tries in work now.", ["stage"])
ASSIGNED = Gauge("melisma_stage_partitions", "Partitions that the worker owns.", ["stage"])
TRIPPED = Gauge("melisma_stage_breaker_open", "1 when crashes have stopped the stage.", ["stage"])
COMMITS = Counter(
    "melisma_stage_commits", "Transactions by how they ended.", ["stage", "ending"]
)  # ending: committed, fenced, doubtful, failed
