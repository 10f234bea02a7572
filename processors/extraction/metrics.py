"""Every figure that extraction shows to Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from schemas.events import Event, FeaturesExtracted

EXTRACTORS = Counter(
    "melisma_extractor_files",
    "Files that an extractor was run on, by how it ended (ok, or the word for the error).",
    ["extractor", "ending"],
)
EXTRACTOR_SECONDS = Histogram(
    "melisma_extractor_seconds",
    "Time of one extractor on one file.",
    ["extractor", "device"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300),
)
SOUND_SECONDS = Counter(
    "melisma_extraction_sound_seconds", "Length of the sounds that features were extracted from."
)
FALLBACKS = Counter(
    "melisma_extractor_fallbacks", "Extractions that another device than asked did.", ["extractor"]
)
REUSED = Counter("melisma_extraction_reused", "Items whose stored result was adopted.")


def count(event: Event) -> None:
    """Count a finished item. Called by the worker: its children's figures are nobody's."""
    if not isinstance(event, FeaturesExtracted):
        return
    if event.reused:
        REUSED.inc()
        return
    SOUND_SECONDS.inc(event.duration_seconds)
    for each in event.extractors:
        # A name that nobody knows is the client's: as a label it would be one more series for each.
        name = each.name if each.version else "unknown"
        EXTRACTORS.labels(name, each.code or each.status).inc()
        if each.version and each.status == "ok":
            EXTRACTOR_SECONDS.labels(name, each.device).observe(each.seconds)
        if each.fallback:
            FALLBACKS.labels(name).inc()
