"""The process of the extractors: what it is started with."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from processors.extraction.isolation import Laboratory
from tests.processors.runtime.rig import settings_in

_BLOCKS = """
import resource
import numpy as np
def block():
    return [np.ones(1_500_000) for _ in range(3)]
block()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    block()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc has other settings")
def test_memory_of_a_block_is_used_again_for_the_next(tmp_path: Path) -> None:
    laboratory = Laboratory(settings_in(tmp_path))
    laboratory.known()
    try:
        lines = Path(f"/proc/{laboratory.pid}/environ").read_bytes().split(b"\0")
    finally:
        laboratory.close()
    # Whole pages, so that a fault stands for the same everywhere.
    own = dict(line.split(b"=", 1) for line in lines if line) | {b"NUMPY_MADVISE_HUGEPAGE": b"0"}
    ran = subprocess.run([sys.executable, "-c", _BLOCKS], env=own, capture_output=True, check=True)
    a_block = 3 * 1_500_000 * 8 // 4096
    assert int(ran.stdout) < a_block, "each of 20 blocks was faulted in again"
