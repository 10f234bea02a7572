"""The log: records in partitions, shared by groups, written in transactions.

`protocol.py` says what every implementation keeps; `embedded.py` keeps it in one SQLite file.
"""

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
)

__all__ = [
    "Consumer",
    "Doubtful",
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
]
