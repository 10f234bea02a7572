"""What a handler is given besides its event."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

from processors import gpu
from processors.runtime.clock import Clock
from processors.runtime.conversation import Progress, Sign, Sized, Waiting
from processors.runtime.declaration import Stage
from processors.runtime.jobs import Job
from processors.runtime.lease import Holder
from processors.runtime.outcomes import Reject
from processors.runtime.results import JSON, Identity, Made, Result, Results
from processors.settings import StageSettings
from schemas.events import Artifact, Backend
from topics import logs
from topics.artifacts.protocol import ArtifactCorrupt, ArtifactMissing, ArtifactStore

T = TypeVar("T")

_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An artifact on this machine."""

    path: Path
    sha256: str  # as read
    bytes: int


class Task:
    """One try of a stage at one event: its scratch folder, the store, and how to say how it goes.

    Belongs to the thread of the handler.
    """

    def __init__(
        self,
        *,
        stage: Stage,
        job: Job | None,
        settings: StageSettings,
        store: ArtifactStore | None,
        folder: Path | None,
        tell: Callable[[Sign], None],
        try_number: int = 1,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Without ``store`` and ``folder`` for the handlers of a batch."""
        clock = clock or Clock()
        self.stage = stage
        self.job = job
        self.settings = settings
        self.try_number = try_number
        """From 1."""
        self.log = logs.get(f"processors.{stage.name}")
        """Logger with job and trace bound to it."""
        self._stored = store
        self._folder = folder
        self._tell = tell
        self._now = clock.monotonic_s
        self.now_ms = clock.wall_ms
        """Unix time in milliseconds."""
        self._began = self._now()
        self._fetched = 0
        self._share = 0.0
        self._sleep = sleep

    @property
    def folder(self) -> Path:
        """Scratch, this try's own; removed behind it."""
        return self._own(self._folder)

    @property
    def store(self) -> ArtifactStore:
        """The artifact store itself, for what is no result: marks that are set once, copies."""
        return self._own(self._stored)

    @property
    def _store(self) -> ArtifactStore:
        return self._own(self._stored)

    def _own(self, part: T | None) -> T:
        if part is None:
            raise TypeError(
                f"{self.stage.name}: a stage that is declared with batch= has neither artifacts "
                "nor scratch files; leave batch= out, and its tries run in a process of their own"
            )
        return part

    def elapsed(self) -> float:
        """Seconds since this try began."""
        return self._now() - self._began

    def sized(self, seconds: float) -> None:
        """The material is that long; soft and hard limit of this try follow from it."""
        self._tell(Sized(max(float(seconds), 0.0)))

    def progress(self, share: float, note: str = "") -> None:
        """A share of the step is done, 0 to 1; ``note`` says in words what goes on now."""
        self._share = min(max(float(share), 0.0), 1.0)
        self._tell(Progress(self._share, note))

    @contextmanager
    def gpu(self, mib: int) -> Iterator[None]:
        """Hold ``mib`` of the GPU's memory for the ``with`` block, and take no more; 0: on the CPU.

        It may be in use by other processes: then this waits for them, and the limits wait too.
        Where the GPU itself fails the try begins again in a fresh process (`gpu.GpuFailed`).
        """
        if self.stage.uses != "gpu":
            raise TypeError(
                f'{self.stage.name}: what computes on the GPU is declared with uses="gpu"'
            )
        if not mib:
            yield
            return
        waiting = partial(self.waits, note="waiting for the GPU")
        with gpu.watched(), gpu.shared(self.settings).reserved(mib, waiting, self._sleep):
            gpu.capped(mib)
            yield

    def fetch(self, artifact: Artifact, *, seen: Callable[[bytes], None] | None = None) -> Fetched:
        """A copy of an artifact in the scratch folder, checked against the reference's sha256.

        ``seen`` is given the bytes while they arrive, unchecked: what is made of them counts only
        when this has returned.

        Raises `Reject` (``checksum_mismatch``, ``artifact_missing``); any other error of the store
        means that it is not well, and the runtime tries again later.
        """
        self._fetched += 1
        name = artifact.name or "artifact"
        suffix = PurePosixPath(artifact.uri.partition("?")[0]).suffix
        file = _NOT_IN_A_FILE_NAME.sub("_", f"{self._fetched:02d}-{name}{suffix}")
        path = self.folder / file
        try:
            sha256 = self._store.fetch(
                artifact.uri, path, sha256=artifact.sha256 or None, seen=seen
            )
        except ArtifactCorrupt as error:
            raise Reject(
                "checksum_mismatch",
                f"'{name}' does not have the SHA-256 that was promised for it: it was damaged on "
                "its way; upload it again",
            ) from error
        except ArtifactMissing as error:
            raise Reject(
                "artifact_missing", f"'{name}' is no longer in the store; upload it again"
            ) from error
        return Fetched(path, sha256, path.stat().st_size)

    def result(
        self,
        inputs: Sequence[str],
        backend: Backend,
        parameters: Mapping[str, JSON],
        make: Callable[[Path], Made],
    ) -> Result:
        """The result of this work: adopted where it is stored already, else made and stored.

        ``inputs`` are the sha256 of everything that is read, as read; ``parameters`` everything
        else that changes the result. ``make(folder)`` writes its files into ``folder``.
        """
        identity = Identity(
            tenant=self.job.tenant if self.job else "default",
            stage=self.stage.name,
            revision=self.stage.revision,
            inputs=tuple(inputs),
            backend=backend,
            decoder=self.settings.decoder,
            parameters=parameters,
            force=f"{self.job.job_id} {self.job.attempt}" if self.job and self.job.force else "",
        )
        results = Results(
            self._store,
            holder=lambda: Holder.this_process(secrets.token_hex(8)),
            lease_s=self.settings.lease_seconds,
            monotonic_s=self._now,
            sleep=self._sleep,
        )
        return results.obtain(identity, make, self.folder, waiting=self.waits)

    def waits(self, begins: bool, note: str = "waiting for the same work") -> None:
        """What is needed is somebody else's until ``waits(False)``: the limits wait, too."""
        self._tell(Waiting(begins))
        if begins:
            self._tell(Progress(self._share, note))
