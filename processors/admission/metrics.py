"""Every figure that admission shows to Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

WAITING = Gauge("melisma_admission_waiting", "Items of extractions that wait for their turn.")
IN_FLIGHT = Gauge("melisma_admission_in_flight", "Items that are released and not done.")
ENDED = Counter("melisma_admission_ended", "Items that never came to their turn.", ["ending"])
WAITED = Histogram(
    "melisma_admission_waited_seconds",
    "Time from the request of an item to its release.",
    buckets=(0.05, 0.25, 1, 5, 30, 120, 600, 3600, 14400),
)
