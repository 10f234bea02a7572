"""The log on Apache Kafka, 4.0 or newer, through confluent-kafka (the extra ``kafka``)."""

from topics.log.kafka.log import KafkaLog
from topics.log.kafka.settings import KafkaSettings

__all__ = ["KafkaLog", "KafkaSettings"]
