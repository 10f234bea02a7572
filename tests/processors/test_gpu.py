"""GPU memory among real processes; no GPU is needed to say who may use one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processors import gpu
from processors.gpu import GpuMemory
from processors.runtime import Sla, stage
from processors.runtime.conversation import Progress, Waiting
from processors.runtime.declaration import Stage, Uses
from processors.runtime.task import Task
from processors.runtime.testing import StageEnvironment
from schemas.events import ImportRequested, Separated, Work

_HOLDS = """
import sys
from pathlib import Path
from processors.gpu import GpuMemory
file, total, wanted = sys.argv[1:]
def waiting(begins):
    print("waits" if begins else "waits no longer", flush=True)
with GpuMemory(Path(file), int(total)).reserved(int(wanted), waiting):
    print("holds", flush=True)
    sys.stdin.readline()
print("done", flush=True)
"""

_MANY = """
import fcntl, random, sys, time
from pathlib import Path
from processors.gpu import GpuMemory
file, ledger, total, seed = sys.argv[1:]
total, chance = int(total), random.Random(int(seed))
def book(change):
    with open(ledger, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        held = int(file.read() or "0") + change
        assert 0 <= held <= total, f"{held} MiB of {total} are in use"
        file.seek(0)
        file.truncate()
        file.write(str(held))
memory = GpuMemory(Path(file), total)
for _ in range(8):
    wanted = chance.randint(1, total)
    with memory.reserved(wanted, lambda begins: None, lambda s: time.sleep(s / 50)):
        book(wanted)
        time.sleep(chance.random() / 100)
        book(-wanted)
"""


class Holder:
    """A process that reserves memory and holds it until it is told otherwise."""

    def __init__(self, memory: GpuMemory, mib: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HOLDS, str(memory.file), str(memory.total_mib), str(mib)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def let_go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def holding(memory: GpuMemory, mib: int) -> Iterator[Holder]:
    holder = Holder(memory, mib)
    try:
        yield holder
    finally:
        holder.close()


@pytest.fixture
def memory(tmp_path: Path) -> GpuMemory:
    return GpuMemory(tmp_path / "locks" / "gpu", 100)


def test_what_fits_is_held_at_once_and_the_rest_waits(memory: GpuMemory) -> None:
    with holding(memory, 60) as first:
        assert first.says() == "holds"  # one after the other: whose turn it is waits a moment
        with holding(memory, 40) as second:
            assert second.says() == "holds"
            with holding(memory, 1) as third:
                assert third.says() == "waits"
                second.let_go()
                assert second.says() == "done"
                assert third.says() == "waits no longer"
                assert third.says() == "holds"


def test_memory_that_is_free_in_pieces_is_given_as_one(memory: GpuMemory) -> None:
    with holding(memory, 30) as first:
        assert first.says() == "holds"
        with holding(memory, 30) as second:
            assert second.says() == "holds"
            with holding(memory, 30) as third:
                assert third.says() == "holds"
                first.let_go()
                assert first.says() == "done"
                third.let_go()
                assert third.says() == "done"
                with holding(memory, 70) as fourth:
                    assert fourth.says() == "holds"


def test_a_killed_process_holds_nothing(memory: GpuMemory) -> None:
    with holding(memory, 100) as first:
        assert first.says() == "holds"
        with holding(memory, 100) as second:
            assert second.says() == "waits"
            os.kill(first.process.pid, signal.SIGKILL)
            assert [second.says(), second.says()] == ["waits no longer", "holds"]


def test_one_that_is_killed_while_it_waits_blocks_nobody(memory: GpuMemory) -> None:
    with holding(memory, 60) as first:
        assert first.says() == "holds"
        with holding(memory, 100) as second:
            assert second.says() == "waits"
            with holding(memory, 40) as third:
                assert third.says() == "waits"  # would fit, but a large one must not starve
                second.close()
                assert [third.says(), third.says()] == ["waits no longer", "holds"]


def test_a_program_that_is_started_meanwhile_holds_nothing(memory: GpuMemory) -> None:
    with memory.reserved(100, lambda _: None):
        program = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with holding(memory, 100) as after:
            assert after.says() == "holds"
    finally:
        program.kill()
        program.wait()


def test_threads_do_not_share_a_reservation(memory: GpuMemory) -> None:
    waits, held = threading.Event(), threading.Event()

    def reserve() -> None:
        with memory.reserved(60, lambda begins: waits.set() if begins else None):
            held.set()

    with memory.reserved(60, lambda _: None):
        thread = threading.Thread(target=reserve)
        thread.start()
        assert waits.wait(30)
        assert not held.is_set()
    thread.join(30)
    assert held.is_set()


def test_many_processes_never_take_more_than_there_is(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ledger.touch()
    seeds = random.Random(5)
    arguments = [sys.executable, "-c", _MANY, str(tmp_path / "gpu"), str(ledger), "100"]
    running = [subprocess.Popen([*arguments, str(seeds.randrange(1000))]) for _ in range(6)]
    assert [process.wait(120) for process in running] == [0] * 6
    assert ledger.read_text() == "0"


@pytest.mark.parametrize("mib", [0, -1, 101])
def test_what_can_never_be_had_is_refused(memory: GpuMemory, mib: int) -> None:
    with (
        pytest.raises(ValueError, match="of a GPU's 100 MiB"),
        memory.reserved(mib, lambda _: None),
    ):
        raise AssertionError("held")


def _stage(uses: Uses, mib: int) -> Stage:
    def handler(event: ImportRequested, task: Task) -> Separated:
        with task.gpu(mib):
            task.progress(0.5, "at work")
        return Separated(work=event.work)

    declared: Stage = stage(
        name="trial",
        revision=1,
        consumes=(ImportRequested,),
        produces=(Separated,),
        sla=Sla(base_s=1),
        uses=uses,
    )(handler)
    return declared


EVENT = ImportRequested(work=Work(job_id="job_1", track_id="trk_1"))


def test_a_stage_waits_for_the_gpu_and_says_so(
    tmp_path: Path, memory: GpuMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    caps: list[int] = []
    monkeypatch.setattr(gpu, "shared", lambda settings: memory)
    monkeypatch.setattr(gpu, "capped", caps.append)
    with holding(memory, 80) as other:
        assert other.says() == "holds"
        env = StageEnvironment(tmp_path, sleep=lambda _: other.close())
        ran = env.run(_stage("gpu", 50), EVENT)
    assert caps == [50]
    told = [sign for sign in ran.signs if isinstance(sign, Waiting | Progress)]
    assert told == [
        Waiting(True),
        Progress(0.0, "waiting for the GPU"),
        Waiting(False),
        Progress(0.5, "at work"),
    ]


def test_what_computes_on_the_cpu_asks_nobody(tmp_path: Path) -> None:
    ran = StageEnvironment(tmp_path).run(_stage("gpu", 0), EVENT)
    assert not ran.waited


def test_the_gpu_is_for_stages_that_are_declared_with_it(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match='declared with uses="gpu"'):
        StageEnvironment(tmp_path).run(_stage("cpu", 50), EVENT)


STICKY = (
    "CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle)`",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "cuFFT error: CUFFT_EXEC_FAILED",
    "CUDA driver error: unspecified launch failure",
)
WITHOUT_MEMORY = (
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
)


@pytest.mark.parametrize("said", STICKY)
def test_an_error_that_stays_with_its_process_is_told_from_others(said: str) -> None:
    with pytest.raises(gpu.GpuFailed) as failed, gpu.watched():
        raise RuntimeError(said)
    assert str(failed.value) == said.splitlines()[0]
    assert not gpu.ran_out(RuntimeError(said))


@pytest.mark.parametrize("said", WITHOUT_MEMORY)
def test_memory_that_libraries_of_cuda_lack_is_memory(said: str) -> None:
    assert gpu.ran_out(RuntimeError(said))
    with pytest.raises(RuntimeError, match="error"), gpu.watched():
        raise RuntimeError(said)


def test_errors_of_others_are_left_alone() -> None:
    with pytest.raises(RuntimeError, match="sizes of tensors"), gpu.watched():
        raise RuntimeError("The sizes of tensors must match")
    assert not gpu.ran_out(RuntimeError("DefaultCPUAllocator: not enough memory"))
