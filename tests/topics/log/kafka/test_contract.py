"""The log on Kafka: the contract, on a broker of this run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.topics.log.contract import LogContract
from topics.log import Log
from topics.log.kafka.log import KafkaLog
from topics.log.kafka.settings import KafkaSettings

pytestmark = pytest.mark.stack


class TestKafka(LogContract):
    @pytest.fixture
    def open_log(self, kafka_bootstrap: str) -> Callable[[], Log]:
        return lambda: KafkaLog(KafkaSettings(kafka_bootstrap_servers=kafka_bootstrap))
