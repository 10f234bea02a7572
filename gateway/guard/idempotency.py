"""Idempotency-Key: a request sent twice is done once, even when the gateway died in between.

As the IETF draft (draft-ietf-httpapi-idempotency-key-header) has it: the same key with the same
request replays the first answer, with another request it is 422, while the first is still in work
409. The ids of what a request creates are made before its work begins and kept with the key, so
that the next try after a crash finishes the same things.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header

from gateway.guard.problems import Code, Problem
from gateway.projection.reservations import Answer, InFlight, Mismatch, Reservations

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Makes sending the request again safe: one key per intention.",
        examples=["0b5f4f4e-9a36-4b86-9a0b-7f6f2f8f7c11"],
    ),
]

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SEED = "seed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one try works with. ``seed`` is what all its ids derive from; ``resumed``: an earlier
    try with this seed may have done part of the work.
    """

    seed: str
    resumed: bool = False


def once(
    reservations: Reservations,
    tenant: str,
    key: str | None,
    fingerprint: str,
    work: Callable[[Attempt], Answer],
    *,
    new_seed: Callable[[], str],
    clock_ms: Callable[[], int],
) -> tuple[Answer, bool]:
    """Do ``work`` unless it was done under this key; its answer, and whether it is a replay.

    A refusal (`Problem`) is no answer to keep: the key is free again for the next try. Raises 400,
    409 and 422.
    """
    if key is None:
        return work(Attempt(new_seed())), False
    if not _KEY.fullmatch(key):
        raise Problem(Code.IDEMPOTENCY_KEY_INVALID)
    key = f"client:{key}"  # apart from the gateway's own reservations
    reserved = reservations.reserve(tenant, key, fingerprint, {_SEED: new_seed()}, clock_ms())
    match reserved:
        case Answer():
            return reserved, True
        case Mismatch():
            raise Problem(
                Code.IDEMPOTENCY_KEY_REUSED,
                "This Idempotency-Key came before with another address or body.",
            )
        case InFlight(retry_after_ms):
            raise Problem(
                Code.IDEMPOTENCY_IN_FLIGHT,
                headers={"Retry-After": str(max(1, math.ceil(retry_after_ms / 1000)))},
            )
    try:
        answer = work(Attempt(reserved.ids[_SEED], reserved.resumed))
    except BaseException:
        reservations.release(tenant, key)
        raise
    kept = reservations.complete(tenant, key, answer, clock_ms())
    return kept, kept != answer


def fingerprint(method: str, path: str, body: Any) -> str:
    """What has to be equal for two requests to be one: method, path and the body's canonical text.

    Aliases without ``/v1`` are the same address.
    """
    text = "\n".join((method, path.removeprefix("/v1"), str(body)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
