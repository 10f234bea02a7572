"""Every setting is documented where people look for it, with the default that it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from gateway.projection.cassandra.settings import CassandraSettings
from gateway.settings import GatewaySettings
from processors.delivery.settings import DeliverySettings
from processors.settings import StageSettings
from topics.artifacts.s3_settings import S3Settings
from topics.inputs import InputSettings
from topics.log.kafka.settings import KafkaSettings
from topics.outbound import OutboundSettings
from topics.outbound.provider import ProviderSettings
from topics.registry import RegistrySettings
from topics.settings import BusSettings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
CLASSES: tuple[type[BaseSettings], ...] = (
    BusSettings,
    KafkaSettings,
    RegistrySettings,
    S3Settings,
    CassandraSettings,
    GatewaySettings,
    StageSettings,
    DeliverySettings,
    OutboundSettings,
    ProviderSettings,
    InputSettings,
)
PARTS = ("BUS", "OUTBOUND", "INPUTS")
"""Settings in settings."""


def documented() -> dict[str, str]:
    return dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text("utf-8"), re.MULTILINE))


def fields() -> set[str]:
    return {name.upper() for kind in CLASSES for name in kind.model_fields} - {*PARTS}


def as_written(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(str(each) for each in default)
    return "" if default is None else str(default)


def test_the_example_names_every_setting_and_no_other() -> None:
    assert set(documented()) == fields()


@pytest.mark.parametrize("kind", CLASSES)
def test_the_example_shows_the_defaults_and_explains_them(kind: type[BaseSettings]) -> None:
    shown = documented()
    for name, field in kind.model_fields.items():
        if name.upper() in PARTS:
            continue
        assert field.description, f"{name} has no description"
        if field.default is PydanticUndefined:  # made anew in each process
            continue
        assert shown[name.upper()] == as_written(field.default), name
