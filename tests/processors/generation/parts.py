"""A store in memory, and the fake provider behind httpx, for tests that keep their own time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal

import httpx

from processors.generation.fetching import NotFetched, judged
from schemas.events import Generation, GenerationRequested, Work
from schemas.providers import SUNOAPI, Profile
from schemas.work import callback_token_key, token_owner_key
from tools.provider.core import FakeProvider
from topics.artifacts.protocol import ArtifactMissing, ArtifactStore, New, Stored
from topics.outbound.provider import ProviderSettings
from topics.sniffing import SoundFormat

SECRET = "sk-live-0123456789abcdef"
BASE_URL = "http://provider.test"
PUBLIC_URL = "https://melisma.test"
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00" + (b"\xff\xfb\x90\x00" + bytes(413)) * 8
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


class MemoryStore:
    """What of an `ArtifactStore` the generation works with. ``touch`` is called around every act:
    it may raise, as a process may die."""

    def __init__(self, touch: Callable[[], None] = lambda: None) -> None:
        self.objects: dict[str, bytes] = {}
        self.touch = touch

    def uri(self, key: str) -> str:
        return f"store:{key}"

    def put_if_absent(self, key: str, data: bytes, media_type: str) -> bool:
        self.touch()
        if key in self.objects:
            return False
        self.objects[key] = data
        self.touch()
        return True

    def put(self, key: str, source: Path | bytes | BinaryIO, media_type: str) -> Stored:
        self.touch()
        assert isinstance(source, Path)
        data = source.read_bytes()
        self.objects[key] = data
        self.touch()
        return Stored(self.uri(key), len(data), media_type, hashlib.sha256(data).hexdigest())

    def put_all(self, new: Sequence[New]) -> Sequence[Stored]:
        return [self.put(each.key, each.source, each.media_type) for each in new]

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        self.touch()
        try:
            return self.objects[uri.removeprefix("store:")]
        except KeyError:
            raise ArtifactMissing(uri) from None

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))

    def delete(self, uri: str) -> None:
        self.objects.pop(uri.removeprefix("store:"), None)

    def as_store(self) -> ArtifactStore:
        """The same, as what it stands for."""
        found: Any = self
        store: ArtifactStore = found
        return store


class FakeTransport(httpx.BaseTransport):
    """Requests to the fake provider without a socket; time passes by ``sleep``."""

    def __init__(
        self,
        provider: FakeProvider,
        sleep: Callable[[float], None],
        touch: Callable[[], None] = lambda: None,
        timeout_s: float = 15.0,
    ) -> None:
        self._provider = provider
        self._sleep = sleep
        self._touch = touch
        self._timeout_s = timeout_s

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._touch()
        answer = self._provider.handle(
            request.method,
            request.url.path,
            dict(request.url.params),
            request.headers.get("authorization", ""),
            request.read(),
        )
        self._sleep(min(answer.hangs_s, self._timeout_s))
        self._touch()  # dying here loses an answer
        if answer.unreachable:
            raise httpx.ConnectError("refused", request=request)
        if answer.hangs_s > self._timeout_s:
            raise httpx.ReadTimeout("hangs", request=request)
        if answer.cut:
            raise httpx.RemoteProtocolError("cut", request=request)
        return httpx.Response(
            answer.status, headers={"content-type": answer.media_type}, content=answer.body
        )


class FakeFetcher:
    """Sound and pictures without a network, by address."""

    def __init__(self, answers: dict[str, bytes | NotFetched] | None = None) -> None:
        self.answers = answers or {}

    def __call__(self, url: str, target: Path, what: Literal["sound", "picture"]) -> SoundFormat:
        answer = self.answers.get(url, MP3 if what == "sound" else PNG)
        if isinstance(answer, NotFetched):
            raise answer
        target.write_bytes(answer)
        return judged(answer[:65_536], what)


def provider_settings(**more: Any) -> ProviderSettings:
    """Settings that no environment reaches."""
    no_file: dict[str, Any] = {"_env_file": None}
    return ProviderSettings(
        **no_file, **({"suno_api_key": SECRET, "suno_base_url": BASE_URL} | more)
    )


def requested(number: int, at_ms: int, **wanted: Any) -> GenerationRequested:
    """A channel's wish."""
    job_id = f"job_{at_ms}_{number:06d}"
    work = Work(
        job_id=job_id, track_id=f"clp_{number}", from_stage="submission", title="Harbour Lights"
    )
    about: dict[str, Any] = {
        "channel_id": "channel_xyz",
        "user_id": "user_123",
        "prompt": f"harbour lights, number {number}",
        "style": "folk",
        "title": "Harbour Lights",
        "requested_ms": at_ms,
    }
    return GenerationRequested(work=work, generation=Generation(**about | wanted))


def keep_token(store: MemoryStore, event: GenerationRequested) -> str:
    """What the gateway does before the event is written; the token."""
    work = event.work
    token = hashlib.sha256(work.job_id.encode()).hexdigest()[:40]
    kept = {"token": token, "url": f"{PUBLIC_URL}/api/webhooks/suno/music/{token}"}
    store.objects[callback_token_key(work.tenant, work.job_id)] = json.dumps(kept).encode()
    store.objects[token_owner_key(token)] = b"{}"
    return token


def fake(now_s: Callable[[], float], profile: Profile = SUNOAPI, **more: Any) -> FakeProvider:
    """A provider with the key of `provider_settings`."""
    return FakeProvider(profile=profile, now_s=now_s, base_url=BASE_URL, key=SECRET, **more)
