"""Which backend a stage uses: one that needs no model, or one that has to be loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

from processors.gpu import Device, total_mib
from processors.runtime import Retry
from processors.settings import Choice, StageSettings
from topics import logs

Loaded = TypeVar("Loaded")

_AGAIN_S = 30.0  # a hub that is away for a moment answers then; a missing file is put there by hand

_log = logs.get(__name__)


class ModelUnavailable(Exception):
    """A model that cannot be loaded; the message says which, from where, and what to set."""


def choose(
    stage: str, choice: Choice, light: Callable[[], Loaded], full: Callable[[], Loaded]
) -> Loaded:
    """The backend itself, loaded. Raises `ModelUnavailable` where ``full`` was insisted on."""
    if not may_be_full(choice):
        return light()
    try:
        return full()
    except ModelUnavailable as error:
        if choice == "full":
            raise
        _log.warning("the light backend steps in", stage=stage, reason=str(error))
        return light()


def may_be_full(choice: Choice) -> bool:
    """Whether a model is going to be tried at all."""
    return choice == "full" or (choice == "auto" and find_spec("torch") is not None)


@contextmanager
def loading(load: Callable[[], Loaded]) -> Iterator[Callable[[], Loaded]]:
    """Load a model while the ``with`` block does something else; the callable waits for it.

    It raises `Retry` where the model is not to be had now.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="loading") as thread:
        future = thread.submit(load)

        def loaded() -> Loaded:
            try:
                return future.result()
            except ModelUnavailable as error:
                raise Retry(_AGAIN_S, "model_unavailable", str(error)) from error

        yield loaded


@dataclass(frozen=True, slots=True)
class Computing:
    """What the settings say about where models compute; the same for every model of a process."""

    use_gpu: bool
    threads: int
    gpu_limit_mib: int | None

    @classmethod
    def of(cls, settings: StageSettings) -> Computing:
        """As the settings have it."""
        return cls(settings.use_gpu, settings.model_threads, settings.gpu_memory_limit)

    def device(self) -> Device:
        """Where torch is to compute in this process; on the CPU with ``threads``, 0: every core.

        Children are started with one thread for everything else that computes (`runtime.slots`); a
        model is what such a child exists for, and it would be several times slower.
        """
        import torch

        torch.set_num_threads(self.threads or len(os.sched_getaffinity(0)))
        if self.use_gpu and torch.cuda.is_available():
            return Device("cuda", total_mib(self.gpu_limit_mib))
        return Device("cpu")
