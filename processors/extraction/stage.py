"""Extraction: a file's features, each extractor for itself, and the manifest of them all.

A file that can't be used fails its item; an extractor that can't, fails alone. What was extracted
from the same bytes before, by the same version with the same parameters, is not computed again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.extraction import metrics, parts
from processors.extraction.isolation import FileRefused, Laboratory, Told
from processors.extraction.opening import Opened, opened
from processors.extraction.orders import Order
from processors.extraction.places import places
from processors.runtime import Made, MadeFile, Reject, Retry, Sla, Task, stage
from processors.runtime.results import JSON
from processors.settings import StageSettings
from schemas.documents.audio_manifest import AudioManifest, ExtractorError, ExtractorResult
from schemas.events import (
    Artifact,
    Backend,
    ExtractionAdmitted,
    ExtractorOutcome,
    FeaturesExtracted,
)
from schemas.work import MANIFEST, extend

MANIFEST_FILE = "audio_manifest_v1.json"
REVISION = 1

_laboratory: Laboratory | None = None
"""One for each process of the stage: it stays warm from item to item."""


def laboratory(settings: StageSettings) -> Laboratory:
    """The process's own."""
    global _laboratory
    if _laboratory is None:
        _laboratory = Laboratory(settings)
    return _laboratory


@stage(
    name="extraction",
    revision=REVISION,
    consumes=(ExtractionAdmitted,),
    produces=(FeaturesExtracted,),
    # All extractors together are 25 times as fast as the sound; one that hangs is ended by itself.
    sla=Sla(base_s=120, per_second=0.5),
    # What computes waits for a place on the CPU; one more fetches and stores meanwhile.
    slots=3,
    measure=metrics.count,
)
def extraction(event: ExtractionAdmitted, task: Task) -> FeaturesExtracted:
    """Open the item's file, extract what is asked for, keep it."""
    work, wanted = event.work, event.extraction
    with places(task.settings.scratch_dir, "io", task.settings.extraction_io_workers).reserved(
        1, lambda begins: task.waits(begins, "waiting to fetch the file")
    ):
        file = opened(work, wanted, task)
    request = _request(event, file, task)
    result = task.result(
        inputs=[file.sha256],
        backend=request.backend,
        parameters=request.identity,
        make=request.made,
    )
    if request.manifest is not None:
        fresh = {name: key for name, key in request.keys.items() if name in request.fresh}
        parts.keep(task.store, fresh, request.folder, request.manifest, result.artifacts)
    facts = result.facts
    failed = all(each["status"] == "failed" for each in facts["extractors"])
    first = next((each for each in facts["extractors"] if each["code"]), None)
    older = (Artifact.from_wire(each) for each in facts["elsewhere"])
    return FeaturesExtracted(
        work=extend(
            work,
            *older,
            *result.artifacts,
            duration_ms=round(1000 * facts["durationSeconds"]),
            backends={**work.backends, "extraction": request.backend},
        ),
        extraction=wanted,
        status="failed" if failed else "completed",
        extractors=tuple(ExtractorOutcome.from_wire(each) for each in facts["extractors"]),
        code=first["code"] if failed and first else "",
        message=first["message"] if failed and first else "",
        input_sha256=file.sha256,
        duration_seconds=facts["durationSeconds"],
        seconds=task.elapsed(),
        reused=result.reused,
    )


@dataclass(slots=True)
class _Request:
    """One item on its way through the laboratory."""

    event: ExtractionAdmitted
    file: Opened
    task: Task
    names: tuple[str, ...]
    versions: Mapping[str, str]
    parameters: Mapping[str, Mapping[str, JSON]]
    keys: Mapping[str, str]
    folder: str
    manifest: AudioManifest | None = None
    """What was made for this request; None when a stored result was adopted."""
    fresh: tuple[str, ...] = ()
    """The extractors that were run for it."""

    @property
    def backend(self) -> Backend:
        device = self.event.extraction.device
        return Backend(name="melisma", model="extractors/1", device=device)

    @property
    def identity(self) -> dict[str, JSON]:
        wanted = self.event.extraction
        return {
            "extractors": {name: self.versions.get(name, "") for name in self.names},
            "parameters": {name: dict(each) for name, each in self.parameters.items()},
            "videoId": wanted.video_id,
            "name": self.file.name,
            "useGpu": self.task.settings.use_gpu,
            # Another attempt tries again what failed; what did not is a part that is kept.
            "attempt": self.event.work.attempt,
        }

    def made(self, folder: Path) -> Made:
        """Compute what nobody computed yet, and write the manifest of everything."""
        older = {}
        if not self.event.work.force:
            older = parts.kept(self.task.store, self.keys, self.folder)
        blamed: dict[str, ExtractorResult] = {}
        fresh = None
        self.fresh = tuple(name for name in self.names if name not in older)
        if self.fresh:
            fresh = self._extracted(folder, self.fresh, blamed)
        whole = parts.joined(
            self.names,
            fresh,
            older,
            blamed,
            name=self.file.name,
            video_id=self.event.extraction.video_id or None,
        )
        (folder / MANIFEST_FILE).write_bytes(whole.to_json())
        self.manifest = whole
        here = [
            file for part in whole.extractors for file in part.artifacts if file.uri == file.name
        ]
        return Made(
            files=(
                MadeFile(MANIFEST, folder / MANIFEST_FILE, "application/json"),
                *(MadeFile(Path(f.name).stem, folder / f.name, f.media_type) for f in here),
            ),
            facts={
                "durationSeconds": whole.input.duration_s,
                "extractors": [outcome(part).to_wire() for part in whole.extractors],
                "elsewhere": [artifact.to_wire() for artifact in parts.elsewhere(whole)],
            },
        )

    def _extracted(
        self, folder: Path, names: Sequence[str], blamed: dict[str, ExtractorResult]
    ) -> AudioManifest:
        """Extract; again without the one to blame as often as there is one."""
        lab = laboratory(self.task.settings)
        told = Told(
            progress=lambda share: self.task.progress(share, "extracting"),
            sized=self.task.sized,
            waits=self.task.waits,
        )
        while True:
            left = [name for name in names if name not in blamed]
            order = Order(
                path=str(self.file.path.absolute()),
                folder=str(folder),
                names=tuple(left),
                parameters=self.parameters,
                device=self.event.extraction.device,
                max_seconds=self.task.settings.inputs.extraction_max_seconds,
                video_id=self.event.extraction.video_id,
                name=self.file.name,
                sha256=self.file.sha256,
            )
            try:
                guilty = lab.extract(order, told)
            except FileRefused as refused:
                self._require_unchanged()  # half of a file that is being written is none yet
                raise Reject(refused.code, refused.message) from refused
            if guilty is None:
                self._require_unchanged()
                return AudioManifest.from_json((folder / MANIFEST_FILE).read_bytes())
            self.task.log.warning("an extractor was ended", extractor=guilty.name, code=guilty.code)
            given: Any = dict(self.parameters.get(guilty.name, {}))  # JSON, as it was checked
            blamed[guilty.name] = ExtractorResult(
                name=guilty.name,
                version=self.versions.get(guilty.name, ""),
                status="failed",
                parameters=given,
                error=ExtractorError(code=guilty.code, message=guilty.message),
            )

    def _require_unchanged(self) -> None:
        """A file under a root can be written to while it is read: then nothing is kept of it."""
        if not self.file.unchanged():
            raise Retry(
                5.0,
                "input_changed",
                "The file was changed while it was read; it is read again.",
            )


def _request(event: ExtractionAdmitted, file: Opened, task: Task) -> _Request:
    wanted = event.extraction
    lab = laboratory(task.settings)
    names = tuple(dict.fromkeys(wanted.extractors or lab.usual()))
    versions = lab.known()
    parameters = {name: _parameters(name, wanted.parameters) for name in names}
    if "clap" in names:
        # Which weights are loaded is for the one who runs this to say: a folder may hold code.
        parameters["clap"] = {**parameters["clap"], "model": task.settings.clap_model}
    about = parts.About(
        tenant=event.work.tenant,
        sha256=file.sha256,
        decoder=task.settings.decoder,
        device=wanted.device if task.settings.use_gpu else "cpu",
        revision=REVISION,
    )
    keys = {
        name: about.key(name, versions[name], parameters[name])
        for name in names
        if name in versions
    }
    return _Request(event, file, task, names, versions, parameters, keys, about.folder)


def _parameters(name: str, given: Mapping[str, str]) -> dict[str, JSON]:
    try:
        found = json.loads(given.get(name) or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Reject("parameters_invalid", f"The parameters of '{name[:80]}' are no JSON object.")
    return found


def outcome(part: ExtractorResult) -> ExtractorOutcome:
    """An extractor's part as the event tells it."""
    return ExtractorOutcome(
        name=part.name,
        version=part.version,
        device=part.device,
        status=part.status,
        seconds=part.seconds,
        code=part.error.code if part.error else "",
        message=part.error.message if part.error else "",
        fallback=part.fallback is not None,
    )
