from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import GatewaySettings


@pytest.fixture(autouse=True)
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.5/8, 2001:db8::1")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example")
    settings = GatewaySettings()
    assert settings.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128"))
    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_the_defaults_are_the_contract() -> None:
    settings = GatewaySettings()
    assert (settings.upload_url_ttl_seconds, settings.download_url_ttl_seconds) == (15 * 60, 5 * 60)
    assert settings.health_timeout_seconds == 1.5
    assert settings.ip_binding == "enforce"
    assert settings.trusted_proxies == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "everyone"),
        ("PART_SIZE", str(5 * 1024 * 1024 - 1)),
        ("HEALTH_TIMEOUT_SECONDS", "2"),
        ("UPLOAD_URL_TTL_SECONDS", "0"),
        ("IP_BINDING", "maybe"),
    ],
)
def test_what_would_break_promises_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        GatewaySettings()
