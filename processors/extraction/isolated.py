"""The process that extracts: ``python -m processors.extraction.isolated FD PAGE``.

`isolation.Laboratory` starts it, gives it one file after the other, and kills it when an extractor
hangs or eats too much. Orders come on stdin: first the settings, which a process trusts its parent
with, then a line of JSON each. What it says goes to FD as lines of JSON, and who is at work stands
on the page of memory behind PAGE: it reads hostile media and runs others' extractors, so what comes
out of it is data, never code.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import pickle
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from processors import gpu
from processors.audio.undecodable import Undecodable
from processors.extraction import gpu_plan
from processors.extraction.devices import Device, chosen_device
from processors.extraction.extracting import Options, extract_file
from processors.extraction.notice import Memory, Notice
from processors.extraction.orders import Order
from processors.extraction.places import places
from processors.extraction.registry import Registry, discover
from processors.extraction.running import Watch
from processors.extraction.spectra import CpuSpectra
from processors.settings import StageSettings
from schemas.documents.audio_manifest import Fallback
from topics import logs
from topics.artifacts.protocol import StoreFull

_OFTEN_S = 0.5  # between two words about the progress; people are told once a second
_PLACE_LOOK_S = 0.02  # between two looks for a free place: files may take less than a tenth


class Voice:
    """Says things to the one who gave the order. One line is one write: nothing is cut in two."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._moved_s = float("-inf")

    def say(self, **said: Any) -> None:
        """A line of JSON."""
        self._out.write(json.dumps(said, allow_nan=False) + "\n")
        self._out.flush()

    def moved(self, share: float) -> None:
        """Progress, not more often than it is of use."""
        now_s = time.monotonic()
        if now_s - self._moved_s >= _OFTEN_S or share >= 1:
            self._moved_s = now_s
            self.say(share=share)

    def waits(self, begins: bool, what: str) -> None:
        """Somebody else has what is needed."""
        self.say(waits=begins, what=what)

    def opened(self, seconds: float | None) -> None:
        """The file's length."""
        if seconds is not None:
            self.say(seconds=seconds)


class Guard:
    """Shows who is at work, and tells of one that has eaten too much when it is done for now:
    later it could be taken for another's."""

    def __init__(self, notice: Notice, voice: Voice, limit_mib: int) -> None:
        self._notice, self._voice = notice, voice
        self._limit = limit_mib * gpu.MIB
        self._memory, self._last = Memory(os.getpid()), ""

    def watch(self, name: str, spent_s: float, cost_s: float) -> None:
        """See `processors.extraction.running.Watch`."""
        self._notice.write(name, spent_s, cost_s)
        if not name and self._memory.resident() > self._limit:
            self._voice.say(grown=self._last)
        self._last = name


def main(arguments: list[str]) -> int:
    """Serve until stdin ends."""
    out = os.fdopen(int(arguments[0]), "w", encoding="utf-8")
    notice = Notice(int(arguments[1]))
    settings = pickle.loads(base64.b64decode(sys.stdin.buffer.readline()))  # noqa: S301
    assert isinstance(settings, StageSettings)
    logs.configure(settings.bus.log_format, settings.bus.log_level, sys.stderr)
    voice = Voice(out)
    guard = Guard(notice, voice, settings.extraction_memory_limit)
    # It computes for seconds: what wakes up beside it goes first, and it is interrupted less often.
    with contextlib.suppress(OSError):  # a sandbox may have no such scheduler
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    registry = discover()
    known = {name: str(each.version) for name, each in registry.extractors.items()}
    voice.say(known=known, usual=registry.usual(), broken=registry.broken)
    for line in sys.stdin.buffer:
        given = json.loads(line)
        work(
            Order(**{**given, "names": tuple(given["names"])}),
            registry,
            settings,
            voice,
            guard.watch,
        )
    return 0


def work(
    order: Order, registry: Registry, settings: StageSettings, voice: Voice, watch: Watch
) -> None:
    """Extract one file and say how it went."""
    try:
        with _device(order, settings, voice) as device:
            extract_file(
                Path(order.path),
                order.names,
                Options(
                    max_seconds=order.max_seconds,
                    video_id=order.video_id or None,
                    name=order.name,
                    sha256=order.sha256,
                    parameters=order.parameters,
                    registry=registry,
                    spectra=device,
                    durable=False,
                    watch=watch,
                    opened=voice.opened,
                ),
                Path(order.folder),
                voice.moved,
            )
    except Undecodable as refused:
        voice.say(refused=refused.code, message=refused.message)
    except gpu.GpuFailed as failed:
        voice.say(gpu=str(failed))
    except MemoryError:
        voice.say(memory=True)
    except StoreFull:
        voice.say(os=errno.ENOSPC, message="no room is left")
    except OSError as error:
        voice.say(os=error.errno or 0, message=str(error.strerror))
    else:
        voice.say(done=True)


@contextmanager
def _device(order: Order, settings: StageSettings, voice: Voice) -> Iterator[Device]:
    """Where the file is computed, with the places and the memory that it takes there."""
    if order.device == "gpu" and not settings.use_gpu:
        why = "this installation computes on the CPU (USE_GPU)"
    elif order.device == "cpu" or not settings.use_gpu:
        why = ""
    elif not gpu_plan.may_have_gpu():
        why = "there is no GPU here" if order.device == "gpu" else ""
    else:
        with _on_gpu(order, settings, voice) as device:
            if device.device != "cpu":
                yield device
                return
        why = device.fallback.reason if device.fallback is not None else ""
    fallback = Fallback(asked="gpu", used="cpu", reason=why) if why else None
    # One more than cores: nobody computes all the time, files are read and arrays written.
    with _place(settings, "cpu", settings.extraction_cpu_workers or _cores() + 1, voice):
        yield Device("gpu" if why else "cpu", CpuSpectra(), fallback)


@contextmanager
def _on_gpu(order: Order, settings: StageSettings, voice: Voice) -> Iterator[Device]:
    """The GPU, or a device that says why not."""
    try:
        from processors.extraction.torch_spectra import best_device

        name = best_device()
    except ImportError:
        name = "cpu"
    if name == "cpu":
        said = Fallback(asked="gpu", used="cpu", reason="there is no GPU here that torch can use")
        yield Device("gpu", CpuSpectra(), said if order.device == "gpu" else None)
        return
    clap = "clap" in order.names
    total = gpu.total_mib(settings.gpu_memory_limit)
    windows = gpu_plan.windows_within(total, clap=clap)
    if not windows:
        reason = f"the GPU's {total} MiB (GPU_MEMORY_LIMIT) are too few"
        yield Device("gpu", CpuSpectra(), Fallback(asked="gpu", used="cpu", reason=reason))
        return
    mib = gpu_plan.needed_mib(windows, clap=clap)
    waiting = partial(voice.waits, what="waiting for the GPU")
    with (
        _place(settings, "gpu", settings.max_gpu_workers, voice),
        gpu.shared(settings).reserved(mib, waiting),
    ):
        gpu.capped(mib)
        try:
            yield chosen_device(name, at_once=windows)
        finally:
            _give_back()


def _give_back() -> None:
    """Hold nothing of the GPU's memory while there is nothing to do."""
    import gc

    import torch

    from processors.extraction import clap

    clap.rest()
    gc.collect()  # the device's tables
    torch.cuda.empty_cache()


@contextmanager
def _place(settings: StageSettings, name: str, count: int, voice: Voice) -> Iterator[None]:
    waiting = partial(voice.waits, what=f"waiting for a {name.upper()} worker")
    with places(settings.scratch_dir, name, count).reserved(
        1, waiting, lambda _: time.sleep(_PLACE_LOOK_S)
    ):
        yield


def _cores() -> int:
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
