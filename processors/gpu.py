"""One GPU for every process of the machine: its memory is reserved before it is used.

A reservation locks bytes of a file, one for each MiB, and the kernel keeps the locks: whoever dies,
however that happens, holds nothing any more, and nobody has to find out. The locks belong to the
open file and not to the process, so that two threads do not share theirs.

What is reserved is also the most that a process may take (`capped`): an estimate that was too low
ends in its owner's out-of-memory error, never in a neighbour's.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from processors.settings import StageSettings

MIB = 1 << 20

_SHARE = 0.8
"""Of a GPU's memory, where the settings don't say it: the rest is for what each process holds
beside its tensors (CUDA's context, 300 to 600 MiB) and for whoever else uses the GPU."""
_LOOK_S = 0.1  # between two looks for free memory; the work that is waited for takes seconds

_FLOCK = "hhqqi4x"  # struct flock of Linux on 64 bits: type, whence, start, length, pid
_TURN = 0  # this byte is held by the one who waits first; memory begins behind it


@dataclass(frozen=True, slots=True)
class Device:
    """Where torch computes; ``mib`` is what can be reserved of a GPU's memory at all."""

    name: Literal["cpu", "cuda"]
    mib: int = 0


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """``total_mib`` of one GPU, shared by all who name the same file."""

    file: Path
    total_mib: int

    @contextmanager
    def reserved(
        self,
        mib: int,
        waiting: Callable[[bool], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[None]:
        """Hold ``mib`` while the ``with`` block runs; wait for it in turn.

        ``waiting(True)`` says that it has to wait, ``waiting(False)`` that it waits no longer. Who
        comes first is served first, so that many small ones never starve a large one. Raises
        ``ValueError`` for more than there is at all.
        """
        if not 0 < mib <= self.total_mib:
            raise ValueError(f"{mib} MiB of a GPU's {self.total_mib} MiB cannot be reserved")
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # Closed on exec: a decoder that is started meanwhile takes no part in the reservation.
        fd = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        waited = False
        try:
            try:
                while not _taken(fd, _TURN, 1) or not self._take(fd, mib):
                    if not waited:
                        waiting(True)
                        waited = True
                    sleep(_LOOK_S)
            finally:
                if waited:
                    waiting(False)
            _set(fd, fcntl.F_UNLCK, _TURN, 1)
            yield
        finally:
            os.close(fd)

    def _take(self, fd: int, mib: int) -> bool:
        """Lock free bytes, wherever they are; with the turn held, so that nobody else does."""
        gaps: list[tuple[int, int]] = []
        at, end, wanted = _TURN + 1, _TURN + 1 + self.total_mib, mib
        while at < end and wanted:
            held = _holder(fd, at, end - at)
            stop, behind = held or (end, end)
            if at < stop:
                gaps.append((at, min(wanted, stop - at)))
                wanted -= gaps[-1][1]
            at = behind
        return not wanted and all(_taken(fd, start, length) for start, length in gaps)


def shared(settings: StageSettings) -> GpuMemory:
    """The memory of this machine's GPU. torch has to see one.

    Stages find each other by ``scratch_dir``, which those that share a GPU have to have in common.
    """
    import torch

    # By its own id: two processes may number two GPUs differently.
    name = f"gpu-{torch.cuda.get_device_properties(0).uuid}"
    return GpuMemory(settings.scratch_dir / name, total_mib(settings.gpu_memory_limit))


def total_mib(limit: int | None) -> int:
    """What can be reserved of the GPU's memory: the setting's, or the usual share of it."""
    import torch

    there = int(torch.cuda.get_device_properties(0).total_memory // MIB)
    return min(limit, there) if limit else int(_SHARE * there)


class GpuFailed(Exception):
    """CUDA failed, and not for want of memory: this process can use the GPU no more."""


def ran_out(error: BaseException) -> bool:
    """Whether an error says that the GPU's memory does not suffice: then the GPU is still usable.

    torch names only its own allocator's: cuBLAS, cuDNN and the driver ask for memory, too.
    """
    said = str(error)
    return type(error).__name__ == "OutOfMemoryError" or (  # torch's; not imported for a name
        _is_of_cuda(error) and any(words in said for words in _NO_MEMORY)
    )


_NO_MEMORY = ("out of memory", "ALLOC_FAILED")
_OF_CUDA = re.compile(r"(CUDA|cuDNN|cuFFT|cuBLAS)( \w+)? error")  # as torch words them


def _is_of_cuda(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and _OF_CUDA.match(str(error)) is not None


@contextmanager
def watched() -> Iterator[None]:
    """Raise `GpuFailed` for what CUDA raises in the ``with`` block, but for want of memory.

    Such an error stays with its process ("sticky", CUDA Runtime API, error handling): whatever is
    asked of the GPU afterwards fails, too, so that the process has to be replaced.
    """
    try:
        yield
    except RuntimeError as error:
        if _is_of_cuda(error) and not ran_out(error):
            raise GpuFailed(str(error).partition("\n")[0]) from error
        raise


def capped(mib: int) -> None:
    """Let torch allocate no more than that on the GPU, in this process."""
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, mib * MIB / total))


@contextmanager
def released(device: str, modules: Sequence[Any]) -> Iterator[None]:
    """Give a GPU's memory back behind the ``with`` block: these torch modules return to the CPU.

    An idle stage holds none of what others reserve.
    """
    try:
        yield
    finally:
        if device != "cpu":
            import torch

            for module in modules:
                module.to("cpu")
            torch.cuda.empty_cache()


def _taken(fd: int, start: int, length: int) -> bool:
    try:
        _set(fd, fcntl.F_WRLCK, start, length)
    except BlockingIOError:
        return False
    return True


def _set(fd: int, kind: int, start: int, length: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0))


def _holder(fd: int, start: int, length: int) -> tuple[int, int] | None:
    """A stretch ``[start, end)`` that somebody else holds, None where all of it is free."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    kind, _, at, count, _ = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else (at, at + count)
