"""A MinIO for tests: ``python -m tests.topics.artifacts.minio`` builds it (`make minio`).

It is AGPL: a process of its own that only tests start, no part of the product.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.topics.artifacts import servers
from topics.artifacts.s3_setup import make_bucket

MINIO = "v0.0.0-20260212201848-7aac2a2c5b7c"
"""The release that `make minio` builds. It hands out STS sessions and keeps to their policies."""


def path() -> Path:
    """Where `make minio` leaves the server; ``MELISMA_MINIO`` names another."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("MELISMA_MINIO") or root / "melisma" / "minio" / MINIO / "minio")


@contextmanager
def running(folder: Path) -> Iterator[Mapping[str, str]]:
    """A MinIO with an empty bucket; the settings that name it and its STS."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    user, password = secrets.token_hex(8), secrets.token_hex(16)
    with (folder / "minio.log").open("wb") as log:
        server = subprocess.Popen(
            [path(), "server", "--quiet", "--address", address, folder / "data"],
            stdout=log,
            stderr=log,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "MINIO_ROOT_USER": user,
                "MINIO_ROOT_PASSWORD": password,
                "MINIO_BROWSER": "off",
                "MINIO_UPDATE": "off",
                "GOMAXPROCS": "2",
            },
        )
    try:
        for _ in range(300):
            with suppress(httpx.TransportError):
                if httpx.get(f"http://{address}/minio/health/ready").status_code == 200:
                    break
            assert server.poll() is None, (folder / "minio.log").read_text()
            time.sleep(0.1)
        else:
            pytest.fail(f"MinIO is not ready: {(folder / 'minio.log').read_text()}")
        named = {
            "S3_ENDPOINT": f"http://{address}",
            "S3_STS_ENDPOINT": f"http://{address}",
            "S3_ACCESS_KEY": user,
            "S3_SECRET_KEY": password,
            "S3_BUCKET": "melisma",
        }
        make_bucket(servers.store(named))
        yield named
    finally:
        server.kill()
        server.wait()


def build() -> int:
    """Build the server into the cache, unless it is there; an exit status."""
    target = path()
    if target.exists():
        print(f"MinIO is built: {target}")
        return 0
    go = shutil.which("go")
    if go is None:
        print("MinIO cannot be built without Go: apt-get install golang, or see https://go.dev/dl")
        return 1
    print(f"building MinIO {MINIO}; this takes some minutes ...", flush=True)
    draft = target.parent / f"draft-{os.getpid()}"
    draft.mkdir(parents=True)
    try:
        made = subprocess.run(
            [go, "install", f"github.com/minio/minio@{MINIO}"],
            env={**os.environ, "GOBIN": str(draft)},
            check=False,
        )
        if made.returncode == 0:
            (draft / "minio").replace(target)  # whole or not at all
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return made.returncode


if __name__ == "__main__":
    sys.exit(build())
