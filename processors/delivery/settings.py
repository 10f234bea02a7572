"""What the deliveries can be told from outside; ``.env.example`` documents each name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from processors.delivery.health import HealthPolicy
from processors.delivery.schedule import STANDARD_S, Schedule
from topics.outbound import OutboundSettings
from topics.settings import BusSettings


class DeliverySettings(BaseSettings):
    """Webhooks: when, how many at once, when an endpoint is given up."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    bus: BusSettings = Field(default_factory=BusSettings)
    outbound: OutboundSettings = Field(default_factory=OutboundSettings)

    webhook_retry_seconds: Annotated[tuple[float, ...], NoDecode] = Field(
        default=STANDARD_S,
        description="Pauses before each retry, comma-separated seconds: 5,300,1800,…",
    )
    webhook_jitter: float = Field(
        default=0.2, ge=0, lt=1, description="Share by which each pause is spread, up and down."
    )
    webhook_timeout_seconds: PositiveFloat = Field(
        default=15.0, description="Everything of one attempt: look-up, connection, answer."
    )
    webhook_concurrency: PositiveInt = Field(
        default=256, description="Attempts at once of one worker."
    )
    webhook_endpoint_concurrency: PositiveInt = Field(
        default=32, description="Attempts at once at one endpoint."
    )
    webhook_breaker_failures: PositiveInt = Field(
        default=5, description="Failures in a row after which an endpoint is only probed."
    )
    webhook_disable_seconds: PositiveFloat = Field(
        default=432_000.0,
        description="An endpoint that has only failed for this time (5 days) is disabled.",
    )
    webhook_probe_seconds: PositiveFloat = Field(
        default=3600.0, description="Between two looks whether a disabled endpoint answers again."
    )
    webhook_max_age_seconds: PositiveFloat = Field(
        default=259_200.0,
        description="Older news (3 days) is not sent by itself, as after a long outage; it can be "
        "recovered.",
    )

    @field_validator("webhook_retry_seconds", mode="before")
    @classmethod
    def _pauses(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(float(item) for item in value.split(",") if item.strip())
        return value

    def schedule(self) -> Schedule:
        """When failed deliveries are tried again."""
        return Schedule(self.webhook_retry_seconds, self.webhook_jitter)

    def health(self) -> HealthPolicy:
        """When an endpoint is spared, and when it is given up."""
        return HealthPolicy(
            failures=self.webhook_breaker_failures,
            disable_ms=round(self.webhook_disable_seconds * 1000),
        )
