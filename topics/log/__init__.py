"""The log: records in partitions, groups that share them, transactions that join outputs to offsets.

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
