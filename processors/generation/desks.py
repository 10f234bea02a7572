"""The desk of a try, over the real provider and the real network."""

from __future__ import annotations

import logging
import random
import secrets
import time
from functools import cache

from processors.generation.desk import Desk
from processors.generation.fetching import HttpFetcher
from processors.generation.provider import HttpProvider
from processors.generation.tickets import Tickets
from processors.runtime import Task
from topics.outbound.provider import ProviderSettings

logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log each look


@cache
def _provider() -> tuple[ProviderSettings, HttpProvider]:
    """One a process: its connections are used again."""
    settings = ProviderSettings()
    return settings, HttpProvider(settings)


def desk_of(task: Task) -> Desk:
    """What a try works with."""
    settings, provider = _provider()
    return Desk(
        provider=provider,
        account=settings.account,
        store=task.store,
        tickets=Tickets(task.store, settings.account, settings.profile, task.now_ms, time.sleep),
        fetcher=HttpFetcher(settings),
        folder=task.folder,
        now_ms=task.now_ms,
        rng=random.Random(secrets.randbits(64)),  # noqa: S311  (spreads waiting, guards nothing)
        default_model=settings.profile.model,
        time_ms=round(settings.suno_job_seconds * 1000),
    )
