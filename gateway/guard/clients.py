"""Who is asking: the correlation id every client sends, its tenant, its address.

``X-Client-Id`` says which client asked, never what it may do. The tenant decides that: the one of
the key or token that `gateway.access.door` let in; while access control is off there is one,
``default``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Query, Request

from gateway.access.identity import ANYBODY, Identity
from gateway.guard.addresses import client_address
from gateway.guard.problems import Code, Problem
from gateway.settings import Network

# Printable ASCII without spaces: it is echoed into logs and must never break a line there.
_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's origin."""

    client_id: str
    tenant: str
    address: str  # canonical IP, empty where there is none (a Unix socket)
    traceparent: str
    limited: bool = True
    """Whether quotas hold for it."""


def address_of(request: Request, trusted: tuple[Network, ...]) -> str:
    """The client's address: the peer's, or what trusted proxies say it is."""
    peer = request.client.host if request.client else None
    return client_address(peer, request.headers.getlist("x-forwarded-for"), trusted)


def caller(
    request: Request,
    x_client_id: Annotated[
        str | None,
        Header(
            alias="X-Client-Id",
            description="Your client's own id, for correlation. Required on every request.",
            examples=["web-7f3a"],
        ),
    ] = None,
    client_id: Annotated[
        str | None,
        Query(
            alias="clientId",
            description="In place of X-Client-Id where a browser cannot set headers.",
        ),
    ] = None,
) -> Caller:
    """The caller of a client request. Raises 400 without a usable client id."""
    given = x_client_id if x_client_id is not None else client_id
    if not given:
        raise Problem(Code.CLIENT_ID_MISSING, "Every request carries X-Client-Id.")
    if not _CLIENT_ID.fullmatch(given):
        raise Problem(
            Code.CLIENT_ID_INVALID, "X-Client-Id holds spaces, other letters or too many."
        )
    request.state.client_id = given
    identity: Identity = getattr(request.state, "identity", ANYBODY)
    return Caller(
        client_id=given,
        tenant=identity.tenant,
        address=address_of(request, request.app.state.services.settings.trusted_proxies),
        traceparent=request.state.traceparent,
        limited=identity.limited,
    )


CallerDep = Annotated[Caller, Depends(caller)]
"""What every client route asks for."""
