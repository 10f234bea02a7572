"""What single extractors found in a file, kept so that no other request computes it again.

A result of the stage belongs to one request: these extractors of this file, under this name. A part
is one extractor's share of such a manifest, with its arrays where that result has them. It is named
by everything that decides it: the tenant, the file's bytes, the extractor and its version, its
parameters, the decoder, the device.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import ValidationError

from processors.runtime.results import JSON
from schemas.documents.audio_manifest import AudioManifest, ExtractorResult
from schemas.events import Artifact
from topics import logs
from topics.artifacts.protocol import ArtifactMissing, ArtifactStore

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class About:
    """What decides the parts of one file, the extractors apart."""

    tenant: str
    sha256: str
    decoder: str
    device: str
    revision: int

    @property
    def folder(self) -> str:
        """Where the store keeps the file's parts."""
        whose = hashlib.sha256(f"{self.tenant} {self.sha256}".encode()).hexdigest()
        return f"results/extraction-parts/{whose}"

    def key(self, name: str, version: str, parameters: JSON) -> str:
        """Where the store keeps one."""
        said = {
            "name": name,
            "version": version,
            "parameters": parameters,
            "decoder": self.decoder,
            "device": self.device,
            "revision": self.revision,
        }
        text = json.dumps(said, sort_keys=True, allow_nan=False)
        return f"{self.folder}/{hashlib.sha256(text.encode()).hexdigest()}.json"


def kept(store: ArtifactStore, keys: Mapping[str, str], folder: str) -> dict[str, AudioManifest]:
    """The parts that are there, by extractor: manifests of one extractor each."""
    there = set(store.keys(f"{folder}/"))
    found = {}
    for name, key in keys.items():
        if key not in there:
            continue
        try:
            found[name] = AudioManifest.from_json(store.read(store.uri(key)))
        except ArtifactMissing:
            continue
        except ValidationError as error:
            _log.warning(
                "a part of an older kind is left out", part=key, errors=len(error.errors())
            )
    return found


def keep(
    store: ArtifactStore,
    keys: Mapping[str, str],
    manifest: AudioManifest,
    stored: Sequence[Artifact],
) -> None:
    """Keep what went well; ``stored`` is where the arrays are now. Who comes second changes
    nothing."""
    places = {artifact.name: artifact.uri for artifact in stored}
    for part in manifest.extractors:
        if part.status != "ok" or part.fallback is not None or part.name not in keys:
            continue
        files = tuple(
            file.model_copy(update={"uri": places.get(_stem(file.name), file.uri)})
            for file in part.artifacts
        )
        alone = manifest.model_copy(
            update={"extractors": (part.model_copy(update={"artifacts": files}),), "video_id": None}
        )
        store.put_if_absent(keys[part.name], alone.to_json(), "application/json")


def joined(
    names: Sequence[str],
    fresh: AudioManifest | None,
    older: Mapping[str, AudioManifest],
    blamed: Mapping[str, ExtractorResult],
    *,
    name: str,
    video_id: str | None,
) -> AudioManifest:
    """One manifest of everything, in the order that was asked for."""
    whole = fresh or next(iter(older.values()))
    results = []
    for each in names:
        if each in blamed:
            results.append(blamed[each])
        elif each in older:
            results.append(older[each].extractors[0])
        else:
            results.append(whole.result(each))
    return whole.model_copy(
        update={
            "extractors": tuple(results),
            "video_id": video_id,
            "input": whole.input.model_copy(update={"name": name}),
            "seconds": fresh.seconds if fresh else 0.0,
        }
    )


def elsewhere(manifest: AudioManifest) -> tuple[Artifact, ...]:
    """The arrays that lie with other results."""
    return tuple(
        Artifact(
            name=_stem(file.name),
            uri=file.uri,
            sha256=file.sha256,
            bytes=file.bytes,
            media_type=file.media_type,
        )
        for part in manifest.extractors
        for file in part.artifacts
        if file.uri != file.name
    )


def _stem(name: str) -> str:
    return PurePosixPath(name).stem
