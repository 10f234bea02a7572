"""What the gateway can be told from outside: one class, read from the environment and ``.env``."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import NoDecode

from topics.settings import BusSettings

MIB = 1024 * 1024

Network = IPv4Network | IPv6Network

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
"""What a provider may sign tokens with: asymmetric only, so that a key which everybody can read is
never taken for a shared secret."""


class Quota(BaseModel):
    """What one tenant may have; 0 is no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    concurrent_jobs: int = Field(default=0, ge=0)
    song_seconds: float = Field(default=0.0, ge=0)
    stored_bytes: int = Field(default=0, ge=0)


class GatewaySettings(BusSettings):
    """The REST API's settings, on top of where the bus lives."""

    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks, comma-separated, whose X-Forwarded-For is believed.",
    )
    cdn_base_url: str = Field(
        default="",
        description="Address of a CDN in front of the store; published media is linked there.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Origins, comma-separated, whose pages may call the API (* for any).",
    )
    upload_url_ttl_seconds: int = Field(
        default=900, ge=1, le=86_400, description="How long a part's PUT URL works, in seconds."
    )
    download_url_ttl_seconds: int = Field(
        default=300, ge=1, le=86_400, description="How long a media GET URL works, in seconds."
    )
    upload_ttl_seconds: int = Field(
        default=86_400, ge=60, description="How long an upload may stay unfinished, in seconds."
    )
    max_upload_bytes: int = Field(
        default=1024 * MIB, ge=1, description="Largest song that is taken, in bytes."
    )
    mastering_max_bytes: int = Field(
        default=1024 * MIB, ge=1, description="Largest song that is mastered, in bytes."
    )
    mastering_jobs_per_client: int = Field(
        default=4, ge=1, description="Mastering jobs that one client may have open at once."
    )
    extraction_backlog_per_client: int = Field(
        default=20_000,
        ge=1,
        description="Files of one tenant (of one client, with ACCESS=off) that may wait for their "
        "extraction; one more is answered 429.",
    )
    extraction_backlog: int = Field(
        default=50_000,
        ge=1,
        description="Files of everybody that may wait for their extraction; one more is answered "
        "503.",
    )
    process_wait_seconds: float = Field(
        default=30.0,
        gt=0,
        le=300,
        description="Longest that POST /v1/process with wait holds a request, in seconds.",
    )
    process_waiting: int = Field(
        default=64,
        ge=0,
        description="Requests held that way at once; one more is answered at once, with its task.",
    )
    max_batch_body_bytes: int = Field(
        # 10,000 items with a URI of some hundred characters each, and names
        default=16 * MIB,
        ge=1024,
        description="Largest body of POST /v1/batch, in bytes.",
    )
    part_size: int = Field(
        default=8 * MIB,
        # S3 refuses parts under 5 MiB, the last one excepted, and over 5 GiB.
        ge=5 * MIB,
        le=5 * 1024 * MIB,
        description="Size of an upload part in bytes; grows for songs of over 10,000 parts.",
    )
    max_body_bytes: int = Field(
        default=2 * MIB, ge=1024, description="Largest JSON body that is read, in bytes."
    )
    body_timeout_seconds: float = Field(
        default=30.0, gt=0, description="How long a JSON body may take to arrive, in seconds."
    )
    max_lyrics_words: int = Field(
        # Half an hour (the longest song that is taken) at 2.7 words/s, a fast rap's average.
        default=5_000,
        ge=1,
        description="Most words of a song's lyrics.",
    )
    callback_http_allowed: bool = Field(
        default=False,
        description="Accept http:// and private addresses as callbackUrl; for development only.",
    )
    health_timeout_seconds: float = Field(
        default=1.5, gt=0, le=1.5, description="Longest wait for one dependency's health, seconds."
    )
    sse_heartbeat_seconds: float = Field(
        default=15.0, gt=0, description="Pause between comments that keep event streams open."
    )
    access: Literal["off", "on", "open"] = Field(
        default="off",
        description="off: everybody, on the loopback address alone; on: API keys and tokens; open: "
        "everybody on any address, because something in front of it guards it.",
    )
    oidc_issuer: str = Field(
        default="",
        description="Identity provider whose tokens are taken beside API keys, https://…; empty: "
        "none.",
    )
    oidc_audience: str = Field(
        default="", description="What the tokens have to be for (their aud); needed with an issuer."
    )
    oidc_jwks_url: str = Field(
        default="",
        description="Where the provider's keys are; empty: as its discovery document says.",
    )
    oidc_algorithms: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("RS256", "ES256"),
        description="What tokens may be signed with, comma-separated; asymmetric only.",
    )
    oidc_leeway_seconds: float = Field(
        default=60.0, ge=0, le=600, description="How far the provider's clock may be off, seconds."
    )
    oidc_keys_ttl_seconds: float = Field(
        default=600.0, ge=1, description="How long the provider's keys are kept, in seconds."
    )
    oidc_tenant_claim: str = Field(
        default="tenant", min_length=1, description="Claim that names the tenant."
    )
    oidc_role_claim: str = Field(
        default="role", min_length=1, description="Claim that names user, operator or admin."
    )
    rate_limit_requests: int = Field(
        default=600, ge=1, description="Requests of a tenant in a window, with ACCESS=on."
    )
    rate_limit_window_seconds: int = Field(
        default=60, ge=1, description="Length of that window, in seconds."
    )
    quota_concurrent_jobs: int = Field(
        default=0, ge=0, description="Jobs that a tenant may have open at once; 0: any number."
    )
    quota_song_seconds: float = Field(
        default=0.0,
        ge=0,
        description="Longest song of a tenant in seconds; 0: as long as stages take.",
    )
    quota_stored_bytes: int = Field(
        default=0, ge=0, description="Bytes of uploads that a tenant may keep; 0: any number."
    )
    quotas: Mapping[str, Quota] = Field(
        default_factory=dict,
        description="Quotas of single tenants instead, as JSON: "
        '{"studio": {"concurrent_jobs": 9, "song_seconds": 0, "stored_bytes": 0}}.',
    )
    docs: bool = Field(default=True, description="Serve /docs and /openapi.json.")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            # strict=False: 10.0.0.5/8 is taken for the network it lies in
            return tuple(ip_network(item, strict=False) for item in _items(value))
        return value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        return tuple(_items(value)) if isinstance(value, str) else value

    @field_validator("oidc_algorithms", mode="before")
    @classmethod
    def _algorithms(cls, value: object) -> object:
        return tuple(_items(value)) if isinstance(value, str) else value

    @field_validator("oidc_algorithms")
    @classmethod
    def _asymmetric(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not set(value) <= set(ALGORITHMS):
            raise ValueError(f"use some of {', '.join(ALGORITHMS)}")
        return value

    @model_validator(mode="after")
    def _for_somebody(self) -> Self:
        if self.oidc_issuer and not self.oidc_audience:
            # any token of the provider would open this, those for other services too
            raise ValueError("OIDC_ISSUER is set without OIDC_AUDIENCE")
        return self

    @field_validator("cdn_base_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        return value.rstrip("/")


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]
