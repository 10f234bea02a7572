"""``melisma fake-provider``: the provider on a socket of this machine, with real callbacks."""

from __future__ import annotations

import asyncio
import struct
import sys
import threading
import time
import zlib
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.server import listen
from schemas.providers import PROFILES
from tools.provider.core import Callback, FakeProvider
from tools.provider.faults import Chance
from tools.serve import fail

_LOOK_S = 0.1
_MOST_HANG_S = 120.0
_COVER = 640  # pixels


def run_fake_provider(
    *,
    port: int,
    audio: Path | None,
    lyrics: Path | None,
    faults: float,
    seed: int,
    seconds: float,
    credits_: float,
    late: float,
    profile: str,
    key: str,
) -> None:
    """Until Ctrl-C or SIGTERM. Says its address on stdout, once it listens."""
    import uvicorn

    if profile not in PROFILES:
        fail(f"there is no profile '{profile}'; there are {', '.join(PROFILES)}")
    demo = files("tools.demo")
    try:
        sound = audio.read_bytes() if audio else demo.joinpath("song.mp3").read_bytes()
        words = lyrics.read_text("utf-8") if lyrics else ""
    except OSError as error:
        fail(f"'{error.filename}' cannot be read: {error.strerror}")
    if not audio and not lyrics:
        words = demo.joinpath("lyrics.txt").read_text("utf-8")
    try:
        listener = listen("127.0.0.1", port)
    except OSError as error:
        fail(f"port {port} cannot be listened on: {error.strerror}; take another with --port")
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    provider = FakeProvider(
        profile=PROFILES[profile],
        now_s=time.time,
        base_url=address,
        credits=credits_,
        seconds=seconds,
        late=late,
        key=key,
        chance=Chance(faults, seed),
        lyrics=words,
    )
    over = threading.Event()
    caller = threading.Thread(target=_call_back, args=(provider, over), daemon=True)
    caller.start()
    print(address, flush=True)
    print(f"try it: SUNO_BASE_URL={address} melisma up", file=sys.stderr, flush=True)
    config = uvicorn.Config(
        app_of(provider, sound), log_level="warning", access_log=False, lifespan="off"
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        over.set()
        caller.join()


def app_of(provider: FakeProvider, sound: bytes) -> Starlette:
    """The provider's paths, its songs and covers."""
    lock = threading.Lock()

    async def api(request: Request) -> Response:
        body = await request.body()

        def work() -> Response:
            with lock:
                answer = provider.handle(
                    request.method,
                    request.url.path,
                    dict(request.query_params),
                    request.headers.get("authorization", ""),
                    body,
                )
            if answer.unreachable:  # a socket that answers cannot refuse: the nearest to it
                return Response(status_code=503, content=b"<html>unavailable</html>")
            time.sleep(min(answer.hangs_s, _MOST_HANG_S))
            if answer.cut:
                return Response(status_code=502, content=b"<html>cut</html>")
            return Response(answer.body, answer.status, media_type=answer.media_type)

        return await run_in_threadpool(work)

    async def song(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(sound, media_type="audio/mpeg")

    async def cover(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(_COVER_PNG, media_type="image/png")

    async def counts(request: Request) -> Response:
        """What the provider has counted: for tests and the curious."""
        import json

        with lock:
            said = {
                "tasks": len(provider.tasks),
                "paid": sum(provider.paid.values()),
                "mostPaidForOneAddress": max(provider.paid.values(), default=0),
                "generateCalls": len(provider.generate_calls_s),
                "mostCallsInAWindow": provider.most_calls,
            }
        return Response(json.dumps(said), media_type="application/json")

    return Starlette(
        routes=[
            Route("/audio/{name}", song),
            Route("/image/{name}", cover),
            Route("/counts", counts),
            Route("/{path:path}", api, methods=["GET", "POST"]),
        ]
    )


def _call_back(provider: FakeProvider, over: threading.Event) -> None:
    """Call back what is due; nobody's answer matters to a provider."""
    with httpx.Client(timeout=5.0, trust_env=False) as client:
        while not over.wait(_LOOK_S):
            for callback in provider.due():
                _call(client, callback)


def _call(client: httpx.Client, callback: Callback) -> None:
    with suppress(httpx.HTTPError, httpx.InvalidURL):
        headers = {"content-type": "application/json"}
        client.post(callback.url, content=callback.body, headers=headers)


def _png(size: int) -> bytes:
    """A dark square that runs from blue to violet (PNG, RFC 2083)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    rows = b"".join(
        b"\0" + bytes((30 + 90 * y // size, 24, 70 + 60 * y // size)) * size for y in range(size)
    )
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


_COVER_PNG = _png(_COVER)
