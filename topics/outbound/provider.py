"""Which provider of generated songs is asked, told from outside: the gateway asks for credits, the
stages for songs."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.providers import PROFILES, Profile


class ProviderSettings(BaseSettings):
    """The provider, from the environment and ``.env``."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    suno_api_key: SecretStr = Field(
        default=SecretStr(""), description="Key of the provider of generated songs."
    )
    suno_base_url: str = Field(
        default="https://api.sunoapi.org",
        description="Address of the provider; of `melisma fake-provider` for a demo.",
    )
    suno_profile: Literal["sunoapi", "reseller"] = Field(
        default="sunoapi",
        description="What its codes mean: sunoapi (429 is no credits, 430 too frequent) or "
        "reseller (402 is no credits, 429 too frequent).",
    )
    suno_timeout_seconds: float = Field(
        default=15.0, gt=0, le=60, description="Longest wait for one answer of it, in seconds."
    )

    suno_job_seconds: float = Field(
        default=600.0,
        gt=0,
        le=86_400,
        description="Time that a song has from its request on, in seconds; then its job ends as "
        "timed out. A song that comes later is kept all the same.",
    )

    @field_validator("suno_base_url")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @property
    def profile(self) -> Profile:
        """Its codes and limits."""
        return PROFILES[self.suno_profile]

    @property
    def headers(self) -> dict[str, str]:
        """What says who asks; nothing without a key, as a local provider may be asked."""
        key = self.suno_api_key.get_secret_value().strip()
        return {"Authorization": f"Bearer {key}"} if key else {}

    @property
    def account(self) -> str:
        """What its rate limit counts: one key at one address."""
        # keys of the artifact store have no colon
        return urlsplit(self.suno_base_url).netloc.replace(":", "-")

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, as the fake one does: it can call loopback back."""
        return is_loopback(self.suno_base_url)


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine, by its text."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
