"""A Python client of the REST API: what the command line and the tests drive the gateway with.

Every call that creates something carries an Idempotency-Key and is sent again with growing pauses
while the gateway is away, so a restart in between loses nothing and doubles nothing.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import httpx

from gateway.client_calls import Backoff, Calls, Json, Refused, Unreachable, members
from gateway.client_webhooks import Webhooks

UploadProgress = Callable[[int, int], None]
"""Called with bytes sent so far and bytes in all."""

JobProgress = Callable[[Json], None]
"""Called with the job (as `GET /v1/jobs/{id}` shows it) whenever it is looked at."""

ENDED = frozenset({"succeeded", "failed", "canceled"})

_CHUNK = 1024 * 1024


class NotInTime(Exception):
    """The job did not end within the time it was given."""


class Client:
    """One client of one gateway. Not for several threads at once."""

    def __init__(
        self,
        base_url: str,
        *,
        client_id: str = "melisma-client",
        api_key: str = "",
        backoff: Backoff | None = None,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        new_key: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._calls = Calls(
            httpx.Client(
                base_url=base_url.rstrip("/"),
                headers=_identified(client_id, api_key),
                timeout=timeout_s,
                trust_env=False,  # a proxy of the environment would change the client's address
            ),
            backoff or Backoff(),
            sleep=sleep,
            clock=clock,
            jitter=jitter,
        )
        self.webhooks = Webhooks(self._calls, new_key)
        self._sleep = sleep
        self._clock = clock
        self._jitter = jitter
        self._new_key = new_key

    # -- songs in ------------------------------------------------------------------------------

    def upload(
        self,
        song: Path,
        *,
        content_type: str = "",
        purpose: str = "karaoke",
        progress: UploadProgress | None = None,
    ) -> str:
        """Upload a file in parts; its asset id. Expired part URLs are signed again."""
        size = song.stat().st_size
        with song.open("rb") as file:
            upload = self._post(
                "/v1/uploads",
                {
                    "filename": song.name,
                    "contentType": content_type or "application/octet-stream",
                    "sizeBytes": size,
                    "purpose": purpose,
                    "sha256": _sha256(file),
                },
            )
            etags = self._send_parts(file, upload, size, progress or (lambda sent, total: None))
        completed = self._post(f"/v1/uploads/{upload['uploadId']}/complete", {"parts": etags})
        return str(completed["assetId"])

    def import_track(
        self,
        asset_id: str,
        *,
        lyrics: str | None = None,
        language: str | None = None,
        title: str | None = None,
        artist: str | None = None,
        callback_url: str | None = None,
    ) -> Json:
        """Ask for a track: ``{jobId, trackId, version}``."""
        wanted = {
            "assetId": asset_id,
            "lyrics": lyrics,
            "language": language,
            "title": title,
            "artist": artist,
            "callbackUrl": callback_url,
        }
        return self._post(
            "/v1/tracks/import",
            {name: value for name, value in wanted.items() if value is not None},
        )

    def master(self, wanted: Json) -> Json:
        """Ask for a master, in the words of the API: ``{jobId, masterId, version}``."""
        return self._post("/v1/mastering/jobs", wanted)

    def mastering_job(self, job_id: str) -> Json:
        """Where a mastering job stands, with links to what it has made."""
        return self._get(f"/v1/mastering/jobs/{job_id}")

    def change_decision(self, job_id: str, changes: Sequence[Mapping[str, Any]]) -> Json:
        """Change moves of a finished master: ``{jobId, masterId, version}`` of the new version."""
        answer = self._calls.ask(
            "PATCH",
            f"/v1/mastering/jobs/{job_id}/decision",
            json={"changes": list(changes)},
            headers={"Idempotency-Key": self._new_key()},
        )
        return _json(answer)

    # -- waiting -------------------------------------------------------------------------------

    def job(self, job_id: str) -> Json:
        """Where a job stands."""
        return self._get(f"/v1/jobs/{job_id}")

    def wait_for_job(
        self, job_id: str, *, timeout_s: float, progress: JobProgress | None = None
    ) -> Json:
        """Look at a job until it has ended, however it ended. Raises `NotInTime`."""
        deadline = self._clock() + timeout_s
        for pause in self._looks():
            job = self.job(job_id)
            if progress is not None:
                progress(job)
            if job["state"] in ENDED:
                return job
            if self._clock() + pause > deadline:
                raise NotInTime(f"job {job_id} is {job['state']} after {timeout_s:.0f} s")
            self._sleep(pause)
        raise AssertionError("pauses never end")

    def wait_until_ready(
        self, track_id: str, *, timeout_s: float, progress: JobProgress | None = None
    ) -> Json:
        """Poll ``/ready`` with growing pauses until the first version is published.

        ``progress`` gets the 425's ``{jobId, state, stage, progress}``. Raises `Refused` when no
        version will come, `NotInTime` when none has.
        """
        deadline = self._clock() + timeout_s
        for pause in self._looks():
            try:
                return self.ready(track_id)
            except Refused as refused:
                if refused.code != "track_not_ready":
                    raise
                if progress is not None:
                    progress(dict(refused.problem))
                if self._clock() + pause > deadline:
                    raise NotInTime(f"track {track_id} is not ready: {refused}") from None
            self._sleep(pause)
        raise AssertionError("pauses never end")

    def ready(self, track_id: str) -> Json:
        """The published version. Raises `Refused` (425, code ``track_not_ready``) before."""
        return self._get(f"/v1/tracks/{track_id}/ready")

    # -- tracks --------------------------------------------------------------------------------

    def track(self, track_id: str) -> Json:
        """A track with its versions and its job."""
        return self._get(f"/v1/tracks/{track_id}")

    def tracks(self, **query: str | int) -> Json:
        """Tracks, newest first; ``published``, ``since``, ``cursor``, ``limit`` narrow them."""
        return _json(self._calls.ask("GET", "/v1/tracks", params=query))

    def versions(self, track_id: str) -> Json:
        """All versions; ``newest`` is what `edit_lyrics` needs."""
        return self._get(f"/v1/tracks/{track_id}/versions")

    def version(self, track_id: str, number: int) -> Json:
        """One version with its words."""
        return self._get(f"/v1/tracks/{track_id}/versions/{number}")

    def lyrics(self, track_id: str, *, format: str = "karaoke", version: int | None = None) -> str:  # noqa: A002
        """The lyrics as text in a format of the API."""
        query: dict[str, str | int] = {"format": format}
        if version is not None:
            query["version"] = version
        return self._calls.ask("GET", f"/v1/tracks/{track_id}/lyrics", params=query).text

    def edit_lyrics(
        self,
        track_id: str,
        *,
        version: int,
        lyrics: str | None = None,
        edits: Sequence[Mapping[str, Any]] | None = None,
        align: bool = False,
    ) -> Json:
        """Edit the newest ``version`` into a draft; with ``align`` its alignment starts at once."""
        body: Json = {"lyrics": lyrics} if lyrics is not None else {"edits": list(edits or ())}
        answer = self._calls.ask(
            "PATCH",
            f"/v1/tracks/{track_id}/lyrics",
            json=body,
            params={"reprocess": "auto"} if align else None,
            headers={"If-Match": f'"{version}"', "Idempotency-Key": self._new_key()},
        )
        return _json(answer)

    def reprocess(
        self, track_id: str, steps: Sequence[str], *, replace_lyrics: bool = False
    ) -> Json:
        """Run steps again: ``{jobId, trackId, version}``."""
        body: Json = {"steps": list(steps)}
        if replace_lyrics:
            body["replaceLyrics"] = True
        return self._post(f"/v1/tracks/{track_id}/reprocess", body)

    def roll_back(self, track_id: str, version: int) -> Json:
        """Publish an older version's content as a new version."""
        return self._post(f"/v1/tracks/{track_id}/versions/{version}/publish")

    def assets(self, track_id: str) -> Json:
        """Links to minus, vocals and mix."""
        return self._get(f"/v1/tracks/{track_id}/assets")

    def video(self, track_id: str, **wanted: Any) -> Json:
        """Ask for a video, in the words of the API: ``{jobId, trackId, version, videoId}``."""
        return self._post(f"/v1/tracks/{track_id}/video", wanted)

    def video_ready(self, track_id: str, video_id: str) -> Json:
        """A rendered video with its url. Raises `Refused` (425) before it is."""
        return self._get(f"/v1/tracks/{track_id}/video/{video_id}")

    # -- jobs ----------------------------------------------------------------------------------

    def jobs(self, **query: str | int) -> Json:
        """Jobs, newest first; ``state``, ``step``, ``since``, ``cursor``, ``limit`` narrow them."""
        return _json(self._calls.ask("GET", "/v1/jobs", params=query))

    def cancel(self, job_id: str, reason: str = "") -> Json:
        """Stop a job. Raises `Refused` (409) when it has ended."""
        return self._post(f"/v1/jobs/{job_id}/cancel", {"reason": reason})

    def retry(self, job_id: str) -> Json:
        """Start a failed job again. Raises `Refused` (409) when it has not failed."""
        return self._post(f"/v1/jobs/{job_id}/retry")

    # -- media out -----------------------------------------------------------------------------

    def download(self, url: str, target: Path, *, progress: UploadProgress | None = None) -> None:
        """Save a media link, whole or not at all; a broken connection is resumed by Range."""
        draft = target.with_name(target.name + ".part")
        draft.unlink(missing_ok=True)
        began = self._clock()
        for pause in self._calls.backoff.pauses(self._jitter):
            try:
                self._receive(url, draft, progress or (lambda got, total: None))
                draft.replace(target)
                return
            except httpx.TransportError as error:
                if self._clock() - began + pause > self._calls.backoff.give_up_after_s:
                    raise Unreachable(f"the download of {target.name} broke off") from error
            self._sleep(pause)

    def close(self) -> None:
        """Close the connections."""
        self._calls.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- how -----------------------------------------------------------------------------------

    def _get(self, path: str) -> Json:
        return _json(self._calls.ask("GET", path))

    def _post(self, path: str, body: Json | None = None) -> Json:
        return _json(
            self._calls.ask("POST", path, json=body, headers={"Idempotency-Key": self._new_key()})
        )

    def _send_parts(
        self, file: BinaryIO, upload: Json, size: int, progress: UploadProgress
    ) -> list[Json]:
        part_size = upload["partSizeBytes"]
        urls = {part["partNumber"]: part["url"] for part in upload["parts"]}
        etags: list[Json] = []
        sent = 0
        for number in range(1, math.ceil(size / part_size) + 1):
            file.seek((number - 1) * part_size)
            data = file.read(part_size)
            etag = self._send_part(upload["uploadId"], number, urls.get(number), data)
            etags.append({"partNumber": number, "etag": etag})
            sent += len(data)
            progress(sent, size)
        return etags

    def _send_part(self, upload_id: str, number: int, url: str | None, data: bytes) -> str:
        for attempt in range(3):
            if url is None or attempt:
                signed = self._post(f"/v1/uploads/{upload_id}/parts", {"partNumbers": [number]})
                url = str(signed["parts"][0]["url"])
            try:
                return self._calls.ask("PUT", url, content=data).headers["ETag"]
            except Refused as refused:
                if refused.code not in ("url_expired", "url_other_address") or attempt == 2:
                    raise
        raise AssertionError("the last try returns or raises")

    def _receive(self, url: str, draft: Path, progress: UploadProgress) -> None:
        have = draft.stat().st_size if draft.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._calls.http.stream("GET", url, headers=headers) as answer:
            if not answer.is_success:
                answer.read()
                raise Refused(answer.status_code, members(answer))
            resumed = answer.status_code == 206
            have = have if resumed else 0
            total = have + int(answer.headers.get("Content-Length", 0))
            with draft.open("ab" if resumed else "wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
                    have += len(chunk)
                    progress(have, total)

    def _looks(self) -> Iterator[float]:
        """Pauses between looks at a job: not longer than a person minds, however long it takes."""
        return Backoff(0.1, 1.5, 2.0).pauses(self._jitter)


def _identified(client_id: str, api_key: str) -> dict[str, str]:
    headers = {"X-Client-Id": client_id}
    return headers | {"Authorization": f"Bearer {api_key}"} if api_key else headers


def _json(answer: httpx.Response) -> Json:
    body = answer.json()
    assert isinstance(body, dict)
    return body


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


__all__ = ["Backoff", "Client", "NotInTime", "Refused", "Unreachable"]
