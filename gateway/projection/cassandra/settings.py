"""How to reach a Cassandra cluster, from the environment and ``.env``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, PositiveFloat, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_TWENTY_YEARS_S = 630_720_000  # the longest TTL that Cassandra takes


class CassandraSettings(BaseSettings):
    """The cluster, who we are to it, and how long rows are kept."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    cassandra_contact_points: str = Field(
        default="",
        description="Nodes of a Cassandra cluster, 5.0 or newer, host or host:port, "
        "comma-separated; empty: SQLite in DATA_DIR.",
    )
    cassandra_port: int = Field(
        default=9042, ge=1, le=65_535, description="Port of the nodes that are named without one."
    )
    cassandra_keyspace: str = Field(
        default="melisma",
        pattern=r"^[a-z][a-z0-9_]{0,47}$",
        description="Keyspace of the product; made with its tables when it is not there.",
    )
    cassandra_replication: str = Field(
        default="",
        pattern=r"^$|^[^:,\s]+:[1-9]\d*(,[^:,\s]+:[1-9]\d*)*$",
        description="Copies by data centre when the keyspace is made: dc1:3,dc2:3. Empty: one copy "
        "in the nearest data centre.",
    )
    cassandra_datacenter: str = Field(
        default="",
        description="The nearest data centre; empty: the first contact point's.",
    )
    cassandra_consistency: Literal["LOCAL_QUORUM", "QUORUM"] = Field(
        default="LOCAL_QUORUM",
        description="QUORUM where gateways run in more than one data centre: only then do they "
        "agree on version numbers and idempotency keys.",
    )
    cassandra_username: str = Field(default="", description="Name of the user; empty: none.")
    cassandra_password: SecretStr = Field(
        default=SecretStr(""), description="Password of the user."
    )
    cassandra_tls: bool = Field(
        default=False, description="Encrypt, and check the nodes' certificates and names."
    )
    cassandra_ca_file: str = Field(
        default="", description="PEM file of the authorities that are trusted instead of the usual."
    )
    cassandra_certificate_file: str = Field(
        default="", description="PEM file of our own certificate, where the nodes ask for one."
    )
    cassandra_key_file: str = Field(
        default="", description="PEM file of that certificate's key, where it is apart."
    )
    cassandra_connect_timeout_seconds: PositiveFloat = Field(
        default=5.0, description="Longest wait for a node to take a connection."
    )
    cassandra_timeout_seconds: PositiveFloat = Field(
        default=10.0, description="Longest wait for the answer to one statement."
    )
    cassandra_concurrency: int = Field(
        default=200, ge=1, le=2048, description="Statements of one batch of events at once."
    )
    cassandra_idempotency_ttl_seconds: int = Field(
        default=172_800,
        ge=120,
        le=_TWENTY_YEARS_S,
        description="How long an Idempotency-Key is kept if nothing forgets it before.",
    )
    cassandra_upload_ttl_seconds: int = Field(
        default=2_592_000,
        ge=0,
        le=_TWENTY_YEARS_S,
        description="How long the row of an upload is kept; longer than UPLOAD_TTL_SECONDS, so "
        "that the sweeper finds it. 0: for ever.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.cassandra_password.get_secret_value() and not self.cassandra_username:
            raise ValueError("CASSANDRA_PASSWORD is set without CASSANDRA_USERNAME")
        files = self.cassandra_ca_file or self.cassandra_certificate_file or self.cassandra_key_file
        if files and not self.cassandra_tls:
            raise ValueError("CASSANDRA_TLS is off, but a file of certificates or keys is named")
        if self.cassandra_key_file and not self.cassandra_certificate_file:
            raise ValueError("CASSANDRA_KEY_FILE is set without CASSANDRA_CERTIFICATE_FILE")
        self.addresses()
        return self

    def addresses(self) -> list[tuple[str, int]]:
        """The contact points as (host, port). Raises ValueError for a port that is none."""
        return [
            _address(item.strip(), self.cassandra_port)
            for item in self.cassandra_contact_points.split(",")
            if item.strip()
        ]

    def copies(self, nearest: str) -> Mapping[str, str]:
        """Replicas by data centre, ``nearest`` being the one that we are in."""
        copies: dict[str, str] = {}
        for item in filter(None, self.cassandra_replication.split(",")):
            name, _, number = item.partition(":")
            copies[name] = number
        return copies or {nearest: "1"}


def _address(item: str, port: int) -> tuple[str, int]:
    """``host``, ``host:port``, ``::1`` or ``[::1]:port``."""
    if item.startswith("["):
        host, _, rest = item[1:].partition("]")
        number = rest.removeprefix(":")
    elif item.count(":") == 1:
        host, _, number = item.partition(":")
    else:
        host, number = item, ""
    if not number:
        return host, port
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 65_535:
        raise ValueError(f"CASSANDRA_CONTACT_POINTS: '{item}' is not host or host:port")
    return host, int(number)
