"""Who asks, once it is known: a tenant, a role and what it may do."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self

from gateway.access.scopes import SCOPES, Role

DEFAULT_TENANT = "default"
"""Whose everything is while access control is off."""

# Part of keys in the artifact store and of rows in the databases: never a path, never long.
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def is_tenant(name: str) -> bool:
    """True for a name that a tenant can have."""
    return _TENANT.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a key or a token stands for.

    A user works in its own tenant. An operator works in any tenant that it names. An admin does so,
    too, and neither limits nor quotas hold it up.
    """

    tenant: str
    role: Role = "user"
    scopes: frozenset[str] = frozenset(SCOPES)
    name: str = ""
    """Of the key, or the token's subject: for logs."""

    def may(self, scope: str) -> bool:
        """True when it carries the scope."""
        return scope in self.scopes

    @property
    def limited(self) -> bool:
        """Whether limits and quotas hold for it."""
        return self.role != "admin"

    def within(self, tenant: str) -> Self:
        """The same in another tenant; only operators and admins have one."""
        return replace(self, tenant=tenant)


ANYBODY = Identity(DEFAULT_TENANT, role="operator")
"""Everybody, while access control is off."""
