"""One file from its bytes to its manifest.

    manifest = extract_file(path, ["tempo_extractor"], Options(), folder, progress)

One pass: each block is decoded once and shown to every extractor. Arrays are written beside the
manifest, the manifest last: a folder without one holds no result. What is wrong with the file
raises `Undecodable`; what is wrong with an extractor is in its part of the manifest.
"""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import imageio_ffmpeg
import soundfile
from pydantic import JsonValue

from processors.audio.decoding import SoundFacts
from processors.audio.streaming import stream
from processors.extraction.devices import Device, chosen_device
from processors.extraction.extractor import Context, Sound
from processors.extraction.registry import Registry, discover
from processors.extraction.running import Run, Watch, unwatched
from processors.extraction.sound import Bill, Clock, blocks
from processors.extraction.spectra import HOP, RATE_HZ, WINDOW
from schemas.documents.audio_manifest import (
    AnalysisFacts,
    AudioManifest,
    ExtractorError,
    ExtractorResult,
    InputFacts,
)
from topics.artifacts.files import new_file

MANIFEST = "audio_manifest_v1.json"
_CHUNK_BYTES = 1 << 20

Progress = Callable[[float], None]
"""Told how far the file is, 0 to 1, after each block; what it raises stops the extraction."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to extract. ``device`` is ``cpu``, ``auto`` or torch's name of one; ``parameters`` are
    by extractor; ``name`` is what the manifest calls the file, ``sha256`` the file's, where who
    asks has read it already and sees to it that it stays the same."""

    max_seconds: float = 4 * 3600.0
    device: str = "cpu"
    video_id: str | None = None
    name: str | None = None
    sha256: str = ""
    parameters: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    registry: Registry | None = None
    clock: Clock = time.perf_counter
    spectra: Device | None = None
    """Where spectra are computed, instead of what ``device`` names."""
    durable: bool = True
    """False for a folder whose files are copied elsewhere at once."""
    watch: Watch = unwatched
    opened: Callable[[float | None], None] = lambda seconds: None
    """Told the file's length in seconds, if it says one."""


def extract_file(
    path: Path,
    extractors: Sequence[str] | None,
    options: Options,
    folder: Path,
    progress: Progress | None = None,
) -> AudioManifest:
    """Extract the named features (None: all usual ones) of a sound or video file into ``folder``.

    Raises `processors.audio.undecodable.Undecodable` when there is no sound to be had, ``OSError``
    or `StoreFull` when the file can't be read or the folder not be written.
    """
    registry = options.registry or discover()
    names = list(dict.fromkeys(registry.usual() if extractors is None else extractors))
    bill = Bill(options.clock)
    started = options.clock()
    device = options.spectra or chosen_device(options.device)
    folder.mkdir(parents=True, exist_ok=True)
    digest = (options.sha256, path.stat().st_size) if options.sha256 else _sha256(path)
    with stream(path, max_seconds=options.max_seconds) as source:
        facts = source.facts
        options.opened(facts.seconds)
        sound = Sound(facts.rate, facts.channels, facts.seconds)
        runs = {
            name: Run(
                registry.extractors[name],
                sound,
                _context(name, device, options),
                bill,
                watch=options.watch,
                longest_s=options.max_seconds,
            )
            for name in names
            if name in registry.extractors
        }
        frames = 0
        read = blocks(
            source.blocks, rate=facts.rate, channels=facts.channels, spectra=device, bill=bill
        )
        for block in read:
            for run in runs.values():
                run.add(block)
            frames += block.native.shape[1]
            if progress is not None and facts.seconds:
                progress(min(1.0, frames / (facts.seconds * facts.rate)))
    results = tuple(
        runs[name].finish(folder, durable=options.durable)
        if name in runs
        else _unknown(name, registry)
        for name in names
    )
    if device.fallback is not None:
        shared = {name for name in runs if registry.extractors[name].device == "shared"}
        results = tuple(
            each.model_copy(update={"fallback": device.fallback}) if each.name in shared else each
            for each in results
        )
    manifest = AudioManifest(
        video_id=options.video_id,
        input=_input(path, options, digest, facts, frames),
        analysis=AnalysisFacts(
            decoder=_decoder(facts),
            rate_hz=RATE_HZ,
            window=WINDOW,
            hop=HOP,
            device=device.asked if device.fallback is None else device.device,
            seconds=round(bill.seconds, 6),
            versions=dict(_versions()),
            fallback=device.fallback,
        ),
        extractors=results,
        seconds=round(options.clock() - started, 6),
    )
    with new_file(folder, MANIFEST) as file:
        file.write(manifest.to_json())
        file.publish(folder / MANIFEST, durable=options.durable)
    if progress is not None:
        progress(1.0)
    return manifest


def _context(name: str, device: Device, options: Options) -> Context:
    return Context(RATE_HZ, WINDOW, HOP, device.device, options.parameters.get(name, {}))


def _unknown(name: str, registry: Registry) -> ExtractorResult:
    known = ", ".join(sorted(registry.extractors)) or "none; install the product again"
    why = registry.broken.get(name)
    error = (
        ExtractorError(code="not_available", message=f"{name}: {why}")
        if why is not None
        else ExtractorError(
            code="unknown_extractor",
            message=f"there is no extractor '{name[:80]}'; there are: {known}",
        )
    )
    return ExtractorResult(name=name[:200], status="failed", error=error)


def _sha256(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _input(
    path: Path, options: Options, digest: tuple[str, int], facts: SoundFacts, frames: int
) -> InputFacts:
    return InputFacts(
        name=options.name or path.name,
        sha256=digest[0],
        bytes=digest[1],
        container=facts.format.name,
        encoding=facts.encoding,
        rate_hz=facts.rate,
        channels=facts.channels,
        frames=frames,
        duration_s=round(frames / facts.rate, 6),
    )


def _decoder(facts: SoundFacts) -> str:
    if facts.encoding:
        return f"libsndfile {soundfile.__libsndfile_version__}"
    return f"ffmpeg {_ffmpeg_version()}"


@cache
def _ffmpeg_version() -> str:
    return str(imageio_ffmpeg.get_ffmpeg_version())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version())]
    for package in ("melisma", "numpy", "scipy", "soxr", "soundfile"):
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:  # pragma: no cover - run from a bare checkout
            continue
    return tuple(found)
