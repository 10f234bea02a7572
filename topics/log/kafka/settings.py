"""How to reach a Kafka cluster, from the environment and ``.env``."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class KafkaSettings(BaseSettings):
    """The cluster, who we are to it, and what new topics are given.

    Whatever librdkafka can be told besides goes through ``kafka_properties``.
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    kafka_bootstrap_servers: str = Field(
        default="",
        description="Brokers of a Kafka cluster, 4.0 or newer, host:port, comma-separated; empty: "
        "the embedded log.",
    )
    kafka_security_protocol: str = Field(
        default="PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_sasl_mechanism: str = Field(
        default="", description="SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, OAUTHBEARER or GSSAPI."
    )
    kafka_sasl_username: str = Field(default="", description="Name of the SASL user.")
    kafka_sasl_password: SecretStr = Field(
        default=SecretStr(""), description="Password of the SASL user."
    )
    kafka_ssl_ca_location: str = Field(
        default="", description="File of the authorities that sign the brokers (PEM)."
    )
    kafka_ssl_certificate_location: str = Field(
        default="", description="File of our own certificate (PEM), where the brokers ask for one."
    )
    kafka_ssl_key_location: str = Field(
        default="", description="File of our certificate's key (PEM)."
    )
    kafka_ssl_key_password: SecretStr = Field(
        default=SecretStr(""), description="Password of that key."
    )
    kafka_replication_factor: int = Field(
        default=-1,
        ge=-1,
        description="Replicas of a new topic: 3 in production; -1 takes the cluster's default.",
    )
    kafka_min_insync_replicas: int = Field(
        default=0,
        ge=0,
        description="Replicas that must hold a record before it counts as written; 0 is one less "
        "than the replicas of the topic.",
    )
    kafka_properties: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description='Any other librdkafka property, as JSON: {"client.rack": "a"}.',
    )
