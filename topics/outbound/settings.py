"""What may be called from here, told from outside."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from topics.outbound.addresses import Guard, Network


class OutboundSettings(BaseSettings):
    """Who may be called on behalf of others, from the environment and ``.env``."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    callback_http_allowed: bool = Field(
        default=False, description="Call plain http too; for development only."
    )
    webhook_ports: Annotated[tuple[int, ...], NoDecode] = Field(
        default=(443, 8443),
        description="Ports that are called, comma-separated; 'any' for every one. With http allowed"
        " 80 and 8080 as well.",
    )
    webhook_allow_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(),
        description="Private networks that may be called all the same, comma-separated; for "
        "development: 127.0.0.0/8,::1/128.",
    )

    @field_validator("webhook_ports", mode="before")
    @classmethod
    def _ports(cls, value: object) -> object:
        if isinstance(value, str):
            if value.strip() == "any":
                return ()
            return tuple(int(item) for item in value.split(",") if item.strip())
        return value

    @field_validator("webhook_allow_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(
                ip_network(item.strip(), strict=False) for item in value.split(",") if item.strip()
            )
        return value

    def guard(self) -> Guard:
        """The guard that these settings describe."""
        ports = frozenset(self.webhook_ports) or None
        if ports is not None and self.callback_http_allowed:
            ports |= {80, 8080}
        return Guard(self.callback_http_allowed, ports, self.webhook_allow_networks)
