"""Content-addressed results: the same work on the same bytes is done once.

A result lies in ``results/<stage>/<digest>/``: its files in a folder of their maker's own, and
``manifest.json``, written last and only if absent. Without a manifest there is no result; who
comes second adopts the first one's. Nothing that a manifest names is ever written again.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processors.runtime.lease import Holder, Leases
from schemas.events import Artifact, Backend
from topics import logs
from topics.artifacts.protocol import (
    ArtifactCorrupt,
    ArtifactError,
    ArtifactMissing,
    ArtifactStore,
    New,
)

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]

_SCHEMA = "result/1"
_FIRST_LOOK_S = 0.05  # waiting for another's result: soon at first, most work of tests is short,
_LONGEST_LOOK_S = 2.0  # then seldom: each look costs requests where the store is S3

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that a handler made. ``name`` is what it is to the job, unique in its result."""

    name: str
    path: Path
    media_type: str


@dataclass(frozen=True, slots=True)
class Made:
    """What a handler made: files, and facts about them that later readers need (JSON)."""

    files: tuple[MadeFile, ...]
    facts: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """A stored result. ``reused``: somebody made it before."""

    artifacts: tuple[Artifact, ...]
    facts: Mapping[str, Any]
    reused: bool

    def __getitem__(self, name: str) -> Artifact:
        """The artifact of that name. Raises `KeyError`."""
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything that decides what the bytes of a result are."""

    tenant: str
    stage: str
    revision: int
    inputs: tuple[str, ...]  # sha256 in hex, as read
    backend: Backend
    decoder: str
    parameters: Mapping[str, JSON]
    force: str = ""  # job and attempt that must not adopt an older result

    def __post_init__(self) -> None:
        for digest in self.inputs:
            if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise ValueError(
                    f"{self.stage}: an input of a result is named by the sha256 of its bytes as "
                    f"read, not by '{digest}'"
                )

    def digest(self, number: int) -> str:
        """The address; ``number`` counts the addresses whose result was damaged."""
        said = {
            "tenant": self.tenant,
            "stage": self.stage,
            "revision": self.revision,
            "inputs": self.inputs,
            "backend": self.backend.to_wire(),
            "decoder": self.decoder,
            "parameters": self.parameters,
            "force": self.force,
            "number": number,
        }
        text = json.dumps(said, sort_keys=True, ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


class _Damaged(Exception):
    """A manifest whose result is not whole."""


class Results:
    """Results in a store, for one worker."""

    def __init__(
        self,
        store: ArtifactStore,
        *,
        holder: Callable[[], Holder],
        lease_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._holder = holder
        self._lease_s = lease_s
        self._now = monotonic_s
        self._sleep = sleep

    def obtain(
        self,
        identity: Identity,
        make: Callable[[Path], Made],
        scratch: Path,
        *,
        waiting: Callable[[bool], None],
    ) -> Result:
        """The stored result, or the one that ``make`` makes in a folder of its own.

        Only one worker makes it at a time; the others wait (``waiting(True)``, at the end
        ``waiting(False)``) and adopt what it made, or take its place when it dies.
        """
        number, look_s, waited = 0, _FIRST_LOOK_S, False
        holder = self._holder()
        leases: dict[str, Leases] = {}
        try:
            while True:
                folder = f"results/{identity.stage}/{identity.digest(number)}"
                try:
                    stored = self._stored(folder, scratch)
                except _Damaged as damage:
                    # Published versions may refer to what is left of it: it stays as it is.
                    _log.error("a stored result is damaged", result=folder, error=str(damage))
                    number += 1
                    continue
                if stored is not None:
                    return stored
                held = leases.setdefault(folder, self._leases(folder, holder)).take()
                if held is None:
                    if not waited:
                        waiting(True)
                        waited = True
                    self._sleep(look_s)
                    look_s = min(look_s * 1.5, _LONGEST_LOOK_S)
                    continue
                if waited:
                    waiting(False)
                    waited = False
                with held:
                    # It may have been made between the look and the lease.
                    if self._has_manifest(folder):
                        continue
                    work = scratch / f"made-{number}"
                    work.mkdir(parents=True, exist_ok=True)
                    made = make(work)
                    if self._publish(folder, identity, made, work, holder.token):
                        return self._read(folder, reused=False)
        finally:
            if waited:
                waiting(False)

    def _leases(self, folder: str, holder: Holder) -> Leases:
        return Leases(self._store, folder, holder, lease_s=self._lease_s, monotonic_s=self._now)

    def _has_manifest(self, folder: str) -> bool:
        try:
            self._store.stat(self._store.uri(f"{folder}/manifest.json"))
        except ArtifactMissing:
            return False
        return True

    def _stored(self, folder: str, scratch: Path) -> Result | None:
        """The result, every byte of it checked; None when there is none. Raises `_Damaged`."""
        try:
            result = self._read(folder, reused=True)
        except ArtifactMissing:
            return None
        target = scratch / "verified"
        for artifact in result.artifacts:
            try:
                self._store.fetch(artifact.uri, target, sha256=artifact.sha256)
            except (ArtifactMissing, ArtifactCorrupt) as error:
                raise _Damaged(str(error)) from error
            finally:
                target.unlink(missing_ok=True)
        return result

    def _read(self, folder: str, *, reused: bool) -> Result:
        data = self._store.read(self._store.uri(f"{folder}/manifest.json"))
        try:
            manifest = json.loads(data)
            artifacts = tuple(
                Artifact(
                    name=one["name"],
                    uri=self._store.uri(one["key"]),
                    sha256=one["sha256"],
                    bytes=one["bytes"],
                    media_type=one["mediaType"],
                )
                for one in manifest["artifacts"]
            )
            return Result(artifacts, manifest["facts"], reused)
        except (ValueError, KeyError, TypeError) as error:
            raise _Damaged(f"manifest.json: {error!r}") from error

    def _publish(self, folder: str, identity: Identity, made: Made, work: Path, token: str) -> bool:
        """Store the files, then the manifest. False when another's manifest came first."""
        names = [file.name for file in made.files]
        if len(set(names)) != len(names):
            raise ValueError(f"{identity.stage}: two files of one result have the same name")
        _finite(made.facts)
        # A folder of one's own: a racing maker with other bytes overwrites nothing.
        # The store takes what was made in its folder: the next result may use its names again.
        new = [
            New(
                f"{folder}/{token}/{file.name}{file.path.suffix}",
                file.path,
                file.media_type,
                given=work in file.path.parents,
            )
            for file in made.files
        ]
        artifacts: list[dict[str, Any]] = [
            {
                "name": file.name,
                "key": one.key,
                "sha256": stored.sha256 or _sha256(file.path),
                "bytes": stored.bytes,
                "mediaType": file.media_type,
            }
            for file, one, stored in zip(made.files, new, self._store.put_all(new), strict=True)
        ]
        manifest = {
            "schema": _SCHEMA,
            "stage": identity.stage,
            "revision": identity.revision,
            "inputs": identity.inputs,
            "backend": identity.backend.to_wire(),
            "artifacts": artifacts,
            "facts": made.facts,
        }
        data = json.dumps(manifest, ensure_ascii=False, allow_nan=False).encode()
        won = self._store.put_if_absent(f"{folder}/manifest.json", data, "application/json")
        if not won:
            _log.info("another worker made the same result first", result=folder)
            for one in artifacts:
                try:
                    self._store.delete(self._store.uri(one["key"]))
                except ArtifactError as error:
                    _log.warning("a spare result stays", key=one["key"], error=str(error))
        return won


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finite(facts: JSON, where: str = "facts") -> None:
    """Raises `ValueError` naming the fact that JSON cannot say."""
    if isinstance(facts, float) and not math.isfinite(facts):
        raise ValueError(f"{where} is {facts}; say null and the reason")
    if isinstance(facts, Mapping):
        for name, value in facts.items():
            _finite(value, f"{where}.{name}")
    elif isinstance(facts, Sequence) and not isinstance(facts, str):
        for index, value in enumerate(facts):
            _finite(value, f"{where}[{index}]")
