"""What a stack remembers between starts: its ports, its cluster id, its credentials."""

from __future__ import annotations

import base64
import json
import random
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tools.stack import ports
from tools.stack.errors import StackError

_FORMAT = 1


@dataclass(frozen=True)
class State:
    """Made at the first ``up``; only a port that somebody else took changes later."""

    brokers: int
    cluster_id: str
    access_key: str
    secret_key: str
    ports: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Per process (``kafka-2``) and purpose (``client``)."""

    def taken(self) -> set[int]:
        return {port for named in self.ports.values() for port in named.values()}

    def with_ports(
        self, process: str, purposes: Sequence[str], rng: random.Random, *, keep: bool
    ) -> State:
        """The same with every purpose of ``process`` on a port that is free now; what it had
        stays when ``keep`` says so (it runs) or when nobody has taken it.
        """
        had = self.ports.get(process, {})
        fresh = ports.choose(rng, self.taken())
        now = {
            purpose: had[purpose]
            if purpose in had and (keep or ports.is_free(had[purpose]))
            else next(fresh)
            for purpose in purposes
        }
        return self if now == had else replace(self, ports={**self.ports, process: now})


def new(brokers: int) -> State:
    """A fresh stack's state, with ids and credentials that no other has."""
    return State(
        brokers=brokers,
        cluster_id=_kafka_id(),
        access_key=f"melisma-{secrets.token_hex(6)}",
        secret_key=secrets.token_urlsafe(30),
    )


def _kafka_id() -> str:
    """Kafka's form of a UUID: base64, URL-safe, unpadded (org.apache.kafka.common.Uuid). Like
    Kafka's own none begins with a dash, which its tools would read as an option.
    """
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def load(path: Path) -> State | None:
    """The state of the stack whose file this is, None when it was never started.

    Raises:
        StackError: the file is not one that this version wrote.
    """
    try:
        kept = json.loads(path.read_text("utf-8"))
        if kept.pop("format") == _FORMAT:
            return State(**kept)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise StackError(f"{path} is not readable as a stack's state; remove its folder, start anew")


def save(state: State, path: Path) -> None:
    """Write the state, whole or not at all, for its owner alone: it holds credentials."""
    write_private(path, json.dumps({"format": _FORMAT, **asdict(state)}, indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace a file at once by one that nobody else may read."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text, "utf-8")
    draft.replace(path)
