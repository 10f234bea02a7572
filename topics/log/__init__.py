"""The log: records in partitions, shared by groups, written in transactions.

`protocol.py` says what every implementation keeps; `embedded` keeps it in one SQLite file.
"""

from topics.log.embedded import EmbeddedLog
from topics.log.protocol import (
    Consumer,
    Doubtful,
    Fenced,
    Headers,
    Log,
    LogError,
    Outgoing,
    Producer,
    Reader,
    Record,
    TopicPartition,
    Transaction,
    UnknownTopic,
    Writing,
)

__all__ = [
    "Consumer",
    "Doubtful",
    "EmbeddedLog",
    "Fenced",
    "Headers",
    "Log",
    "LogError",
    "Outgoing",
    "Producer",
    "Reader",
    "Record",
    "TopicPartition",
    "Transaction",
    "UnknownTopic",
    "Writing",
]
