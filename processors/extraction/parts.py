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

from pydantic import BaseModel, ValidationError

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
        """What one is called among the parts of the file."""
        said = {
            "name": name,
            "version": version,
            "parameters": parameters,
            "decoder": self.decoder,
            "device": self.device,
            "revision": self.revision,
        }
        text = json.dumps(said, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


class _Kept(BaseModel):
    """An object of the store: the parts that one request has made, by their keys. One object and
    not one a part, because each costs the store its syncs."""

    parts: dict[str, AudioManifest]


def kept(store: ArtifactStore, keys: Mapping[str, str], folder: str) -> dict[str, AudioManifest]:
    """The parts that are there, by extractor: manifests of one extractor each."""
    found: dict[str, AudioManifest] = {}
    for place in store.keys(f"{folder}/"):
        if len(found) == len(keys):
            break
        try:
            there = _Kept.model_validate_json(store.read(store.uri(place))).parts
        except ArtifactMissing:
            continue
        except ValidationError as error:
            _log.warning("parts of an older kind are left out", errors=error.error_count())
            continue
        found |= {name: there[key] for name, key in keys.items() if key in there}
    return found


def keep(
    store: ArtifactStore,
    keys: Mapping[str, str],
    folder: str,
    manifest: AudioManifest,
    stored: Sequence[Artifact],
) -> None:
    """Keep what was made here and went well; ``stored`` is where its arrays are now."""
    places = {artifact.name: artifact.uri for artifact in stored}
    made: dict[str, AudioManifest] = {}
    for part in manifest.extractors:
        if part.status != "ok" or part.fallback or part.name not in keys:
            continue
        files = tuple(
            file.model_copy(update={"uri": places[_stem(file.name)]}) for file in part.artifacts
        )
        alone = part.model_copy(update={"artifacts": files})
        made[keys[part.name]] = manifest.model_copy(
            update={"extractors": (alone,), "video_id": None}
        )
    if made:
        name = hashlib.sha256(" ".join(sorted(made)).encode()).hexdigest()
        data = _Kept(parts=made).model_dump_json(by_alias=True).encode()
        store.put_if_absent(f"{folder}/{name}.json", data, "application/json")


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
