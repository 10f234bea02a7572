"""Every figure that the deliveries show to Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ATTEMPTS = Counter(
    "melisma_webhook_attempts", "Attempts by how they ended.", ["outcome", "error"]
)  # outcome: delivered, failed, exhausted; error: empty, status, gone, timeout, connect, …
SECONDS = Histogram(
    "melisma_webhook_attempt_seconds",
    "Time of one attempt.",
    # From a receiver next door to the longest time one is given.
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
IN_HAND = Gauge("melisma_webhook_in_hand", "Attempts under way.")
WAITING = Gauge("melisma_webhook_waiting", "Deliveries that are owed, of this worker's share.")
DISABLED = Counter("melisma_webhook_endpoints_disabled", "Endpoints given up.", ["reason"])
