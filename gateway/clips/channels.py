"""Channels: who asks for songs, of what kind, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from gateway.clips.refusals import Refusal
from schemas.providers import Profile

CHANNEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""Part of keys and documents: never a path."""

SHORT_PROMPT = 500
"""Longest prompt without style and title: what sunoapi.org takes outside its custom mode."""

_Words = Annotated[str, StringConstraints(strip_whitespace=True)]


class Channel(BaseModel):
    """The settings of a channel."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    name: _Words = Field(default="", max_length=200, description="What people call it.")
    prompt: _Words = Field(
        default="",
        max_length=20_000,
        description="What to sing about; with style and title, the lyrics themselves.",
    )
    style: _Words = Field(default="", max_length=1_000, description="Style of the music.")
    title: _Words = Field(default="", max_length=80, description="Title of the songs.")
    model: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,40}$",
        description="The provider's model, e.g. V4_5; the provider profile's when empty.",
    )
    instrumental: bool = Field(default=False, description="Without singing.")
    chain: Literal["", "karaoke", "mastering"] = Field(
        default="", description="Where the finished song goes on: karaoke, mastering or nowhere."
    )
    daily_limit: int = Field(
        default=0, ge=0, le=10_000, description="Songs asked for in a day (UTC); 0: any number."
    )
    language: str = Field(
        default="", pattern=r"^[A-Za-z0-9-]{0,35}$", description="BCP 47 language of the lyrics."
    )

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """From its JSON. Raises `Refusal`."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the body"
            raise Refusal(422, "VALIDATION_FAILED", f"{where}: {first['msg']}") from None

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return self.model_dump(by_alias=True)


def check_prompt(channel: Channel, profile: Profile) -> None:
    """Raise `Refusal` for a prompt that the provider would refuse, before anything is paid."""
    custom = bool(channel.style and channel.title)
    most = profile.longest_prompt if custom else min(SHORT_PROMPT, profile.longest_prompt)
    if not channel.prompt:
        raise Refusal(422, "PROMPT_MISSING", "The channel has no prompt; set one.")
    if len(channel.prompt) > most:
        hint = "" if custom else f" With style and title up to {profile.longest_prompt}."
        raise Refusal(
            422,
            "PROMPT_TOO_LONG",
            f"The prompt has {len(channel.prompt)} characters; up to {most} are taken.{hint}",
        )


def check_id(channel_id: str) -> str:
    """The id if it may be one. Raises `Refusal`."""
    if not CHANNEL_ID.fullmatch(channel_id):
        raise Refusal(
            422, "CHANNEL_ID_INVALID", "A channel id has 1 to 64 letters, digits, - and _."
        )
    return channel_id
