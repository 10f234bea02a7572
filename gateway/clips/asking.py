"""Asking for a song: the job is written before the answer is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.clips.channels import Channel, check_prompt
from gateway.clips.credits import Credits
from gateway.clips.refusals import Refusal, channel_not_found
from gateway.clips.texts import Language, error_text, message
from gateway.services import Services
from schemas.events import Generation, GenerationRequested, Work
from schemas.work import CLIP_STAGES, callback_token_key, token_owner_key
from topics.outbound.provider import ProviderSettings, is_loopback

CALLBACK_PATH = "/api/webhooks/suno/music"

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, in which words it is answered."""

    tenant: str
    user_id: str
    traceparent: str
    language: Language


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that exists now, and what refused it, if anything did."""

    job_id: str
    channel_id: str
    created_ms: int
    refusal: Refusal | None = None


def run_once(
    services: Services,
    provider: ProviderSettings,
    credits_: Credits,
    channel_id: str,
    asker: Asker,
    seed: str,
    created_ms: int,
) -> Asked:
    """Accept a song for a channel. Every id follows from seed and time, so that a second try asks
    for the same job. Raises `Refusal` where there is nothing to make a job of.
    """
    body = services.reservations.channel(asker.tenant, channel_id)
    if body is None:
        raise channel_not_found(channel_id)
    channel = Channel.read(body)
    check_prompt(channel, provider.profile)
    job_id = f"job_{created_ms}_{_derived(seed, 'job')[:12]}"
    _check_day(services, asker.tenant, channel_id, channel, job_id, created_ms)
    refused = _refused(services, provider, credits_, asker)
    if refused is None:
        _keep_token(services, asker.tenant, job_id, _derived(seed, "callback"))
    event = GenerationRequested(
        work=Work(
            job_id=job_id,
            track_id=f"clp_{_derived(seed, 'clip')[:32]}",
            tenant=asker.tenant,
            from_stage=CLIP_STAGES[0],
            language=channel.language,
            title=channel.title,
            artist=channel.name,
        ),
        generation=Generation(
            channel_id=channel_id,
            user_id=asker.user_id,
            prompt=channel.prompt,
            style=channel.style,
            title=channel.title,
            model=channel.model,
            instrumental=channel.instrumental,
            chain=channel.chain,
            requested_ms=created_ms,
            refusal=refused.error_code if refused is not None else "",
        ),
    )
    services.publisher.accept([event], cause=seed, traceparent=asker.traceparent)
    return Asked(job_id, channel_id, created_ms, refused.refusal if refused is not None else None)


@dataclass(frozen=True, slots=True)
class _Refused:
    error_code: str
    refusal: Refusal


def _refused(
    services: Services, provider: ProviderSettings, credits_: Credits, asker: Asker
) -> _Refused | None:
    """Why the job ends before it begins. It exists all the same: people look for it."""
    if not can_be_called(services.settings.public_base_url, provider):
        code = "callback_url_not_configured"
        text = error_text(code, "", asker.language)
        return _Refused(code, Refusal(400, code.upper(), text))
    left = credits_.left()
    if left is not None and left <= 0:
        text = message("no_credits", asker.language)
        return _Refused(
            "no_credits",
            Refusal(402, "SUNO_NO_CREDITS", text, more={"credits": max(int(left), 0)}),
        )
    return None


def can_be_called(public_base_url: str, provider: ProviderSettings) -> bool:
    """Whether the provider could call an address of ours: a loopback address only from here."""
    if not public_base_url.startswith(("http://", "https://")):
        return False
    return provider.is_local or not is_loopback(public_base_url)


def _check_day(
    services: Services,
    tenant: str,
    channel_id: str,
    channel: Channel,
    job_id: str,
    created_ms: int,
) -> None:
    """Raise 429 over the channel's limit. Counted by the version counter of a name of its own: it
    gives one number a job, whichever gateway asks, and the same one again to a second try.
    """
    if not channel.daily_limit:
        return
    moment = datetime.fromtimestamp(created_ms / 1000, UTC)
    counter = f"songs of {channel_id} on {moment:%Y-%m-%d}"
    number = services.reservations.reserve_version(tenant, counter, job_id, floor=0)
    if number > channel.daily_limit:
        left_s = _DAY_S - created_ms // 1000 % _DAY_S
        raise Refusal(
            429,
            "DAILY_LIMIT_REACHED",
            f"The channel's limit of {channel.daily_limit} songs a day is reached.",
            headers={"Retry-After": str(left_s)},
        )


def _keep_token(services: Services, tenant: str, job_id: str, token: str) -> None:
    """The job's own callback address, where the stage and the callback find it: in the store,
    because events and logs must never carry it.
    """
    store, media_type = services.artifacts, "application/json"
    owner = json.dumps({"tenant": tenant, "jobId": job_id}).encode()
    store.put_if_absent(token_owner_key(token), owner, media_type)
    # Whole, because a gateway knows best under which address it is reached.
    url = f"{services.settings.public_base_url.rstrip('/')}{CALLBACK_PATH}/{token}"
    said = json.dumps({"token": token, "url": url}).encode()
    store.put_if_absent(callback_token_key(tenant, job_id), said, media_type)


def _derived(seed: str, kind: str) -> str:
    """Random to whoever does not know the seed, which nobody is told."""
    return hashlib.sha256(f"music-clips\n{kind}\n{seed}".encode()).hexdigest()[:40]
