"""A log in one SQLite file: what `melisma up` runs on when there is no Kafka."""

from topics.log.embedded.log import EmbeddedLog

__all__ = ["EmbeddedLog"]
