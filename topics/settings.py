"""Where the bus lives: settings that the gateway and every stage share.

Read from the environment and ``.env``; ``.env.example`` documents each name.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from topics import logs
from topics.artifacts import ArtifactError, ArtifactStore
from topics.artifacts.s3_settings import S3Settings
from topics.codec import Codec
from topics.log import Log, LogError
from topics.log.kafka.settings import KafkaSettings
from topics.registry import PATIENCE_S, RegistryIds, RegistrySettings
from topics.webhooks.secrets import SigningKeys


class BusSettings(BaseSettings):
    """The log, the artifact store and the names on the bus."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Field(
        default=Path("data"),
        description="Folder of the embedded log, the local artifacts and the projection.",
    )
    topic_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Put before every topic name, so that several products can share a cluster.",
    )
    public_base_url: str = Field(
        default="http://127.0.0.1:8080",
        description="Address under which clients reach the gateway; signed URLs begin with it.",
    )
    ip_binding: Literal["enforce", "report", "off"] = Field(
        default="enforce",
        description="What happens when a signed URL is used from another address than its owner's.",
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="json for machines, console for people."
    )
    log_level: str = Field(default="INFO", description="Lowest level that is logged.")
    enable_metrics: bool = Field(
        default=False, description="Show this process's figures to Prometheus, at PROMETHEUS_PORT."
    )
    prometheus_port: int = Field(
        default=9464,  # what OpenTelemetry's Prometheus exporters use
        ge=0,
        le=65_535,
        description="Port of /metrics; each process of a machine needs its own.",
    )
    prometheus_host: str = Field(
        default="127.0.0.1", description="Address of /metrics; 0.0.0.0 for a Prometheus elsewhere."
    )
    mastering_max_seconds: float = Field(
        # users of matchering ask for more than its 15 minutes: an LP side, a DJ set's part
        default=1800.0,
        gt=0,
        description="Longest song that is mastered: checked at upload and again after decoding.",
    )

    webhook_key: SecretStr = Field(
        default=SecretStr(""),
        description="Key of 32 bytes or more that the secrets of webhook endpoints are derived "
        "from; the same for every process. Made in the data folder when it is not set.",
    )

    def open_log(self) -> Log:
        """The log that these settings name: Kafka where ``KAFKA_BOOTSTRAP_SERVERS`` says one.

        Raises `LogError` for settings that make no client, or where the client is not installed.
        """
        if (kafka := KafkaSettings()).kafka_bootstrap_servers:
            try:
                from topics.log.kafka.log import KafkaLog
            except ImportError as error:
                raise LogError(
                    "kafka: KAFKA_BOOTSTRAP_SERVERS is set but confluent-kafka is not installed: "
                    "pip install 'melisma[kafka]'"
                ) from error
            return KafkaLog(kafka)
        from topics.log.embedded import EmbeddedLog

        self.data_dir.mkdir(parents=True, exist_ok=True)
        return EmbeddedLog(self.data_dir / "log.db")

    def open_artifacts(self) -> ArtifactStore:
        """The artifact store that these settings name: S3 where ``S3_BUCKET`` says one.

        Raises `ArtifactError` for settings that make no store, or where the client is not
        installed.
        """
        if (s3 := S3Settings.read()).s3_bucket:
            try:
                from topics.artifacts.s3 import S3Store
            except ImportError as error:
                raise ArtifactError(
                    "artifacts: S3_BUCKET is set but boto3 is not installed: "
                    "pip install 'melisma[s3]'"
                ) from error
            return S3Store(s3, ip_binding=self.ip_binding)
        from topics.artifacts.local import LocalStore

        return LocalStore(
            self.data_dir / "artifacts",
            secret=self.signing_secret(),
            base_url=self.public_base_url,
            ip_binding=self.ip_binding,
        )

    def codec(self, *, patience_s: float = PATIENCE_S) -> Codec:
        """The codec of this bus; schemas are numbered by the registry, if there is one, which is
        waited for for ``patience_s``. Close it."""
        registry = RegistrySettings()
        if registry.schema_registry_url:
            ids = RegistryIds(registry, prefix=self.topic_prefix, patience_s=patience_s)
            return Codec(ids, self.topic_prefix)
        return Codec(prefix=self.topic_prefix)

    def signing_secret(self) -> bytes:
        """The key of the signed URLs: made once, readable by the owner alone."""
        return self._kept_key("signing.key")

    def signing_keys(self) -> SigningKeys:
        """What derives the secrets of webhook endpoints: from ``WEBHOOK_KEY``, or from a key that
        is made once in the data folder. Raises `ValueError` for a key that is too short.
        """
        given = self.webhook_key.get_secret_value().encode()
        if not given and KafkaSettings().kafka_bootstrap_servers:
            logs.get(__name__).warning(
                "WEBHOOK_KEY is not set: processes with other data folders sign with other secrets"
            )
        return SigningKeys(given or self._kept_key("webhook.key"))

    def _kept_key(self, name: str) -> bytes:
        path = self.data_dir / name
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Written aside and linked into place, so that racing processes agree on one key.
            draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
                f.write(secrets.token_bytes(32))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_bytes()
