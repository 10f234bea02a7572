"""A whole gateway over the real embedded parts, with a clock that tests can move."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from httpx import Response
from pydantic_settings import BaseSettings

from gateway.app import create_app
from gateway.projection.fold import fold
from gateway.projection.job import Job
from gateway.projection.sqlite import SqliteStore
from gateway.projection.sqlite_reservations import SqliteReservations
from gateway.services import Services
from gateway.settings import GatewaySettings
from schemas.documents.karaoke import Flag, Karaoke, KaraokeDocument, Line, Quality, Word
from schemas.documents.lyrics import LyricsDocument, Singer
from schemas.documents.pitch import Pitch, WordNote
from schemas.events import (
    Aligned,
    Artifact,
    Backend,
    Checked,
    Event,
    JobFailed,
    Published,
    Separated,
    StepProgressed,
    Work,
)
from schemas.work import extend, find
from tests import planted
from tests.gateway.calls import Calls
from topics.artifacts.local import LocalStore
from topics.artifacts.protocol import ArtifactStore
from topics.catalog import CATALOG, partitions
from topics.codec import Envelope
from topics.inputs import InputSettings
from topics.log.embedded import EmbeddedLog

BASE_URL = "http://gateway.test"
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
CLIENT = {"X-Client-Id": "tests"}

WAV = (
    b"RIFF"
    + (36 + 2000).to_bytes(4, "little")
    + b"WAVEfmt "
    + (16).to_bytes(4, "little")
    + (1).to_bytes(2, "little")
    + (1).to_bytes(2, "little")
    + (8000).to_bytes(4, "little")
    + (16000).to_bytes(4, "little")
    + (2).to_bytes(2, "little")
    + (16).to_bytes(2, "little")
    + b"data"
    + (2000).to_bytes(4, "little")
    + bytes(2000)
)


class Clock:
    """Unix time that stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms

    def now_s(self) -> float:
        return self.ms / 1000

    def forward(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)


@dataclass
class House:
    """The parts, and what the rest of the product would do to them."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    settings: GatewaySettings = field(default_factory=lambda: settings())
    elsewhere: ArtifactStore | None = None  # instead of a folder
    inputs: InputSettings | None = None

    def __post_init__(self) -> None:
        self.settings = self.settings.model_copy(update={"data_dir": self.folder / "data"})
        self.base_url = BASE_URL  # signed URLs begin with it
        self.log = EmbeddedLog(self.folder / "log.db")
        self.log.provision(partitions(()))
        self.artifacts: ArtifactStore = self.elsewhere or LocalStore(
            self.folder / "artifacts",
            secret=b"0123456789abcdef0123456789abcdef",
            base_url=lambda: self.base_url,
            ip_binding=self.settings.ip_binding,
            clock=self.clock.now_s,
        )
        self.store = SqliteStore(self.folder / "projection.db")
        self.reservations = SqliteReservations(self.folder / "gateway.db")
        self.codec = self.settings.codec()
        seeds = itertools.count(1)
        self.services = Services.assemble(
            self.settings,
            log=self.log,
            artifacts=self.artifacts,
            store=self.store,
            reservations=self.reservations,
            codec=self.codec,
            clock_ms=self.clock.now_ms,
            seeds=lambda: f"seed-{next(seeds)}",
            inputs=self.inputs or NoInputs(),
        )
        self.app = create_app(self.services)
        self._clients: list[Calls] = []
        self.http = self.client(headers=CLIENT | planted.HEADERS)
        self._causes = itertools.count(1)

    def client(self, address: str = "127.0.0.1", headers: dict[str, str] = CLIENT) -> Calls:
        """A client at an address."""
        made = Calls(self.app, base_url=BASE_URL, address=address, headers=headers)
        self._clients.append(made)
        return made

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.services.close()
        for probe in self.app.state.probes.values():
            probe.close()
        self.store.close()
        self.reservations.close()
        self.log.close()

    # -- what clients do -----------------------------------------------------------------------

    def upload(self, data: bytes = WAV, filename: str = "song.wav", **more: Any) -> str:
        """A finished upload; its asset."""
        made = self.http.post(
            "/v1/uploads",
            json={
                "filename": filename,
                "contentType": "audio/wav",
                "sizeBytes": len(data),
                **more,
            },
        )
        assert made.status_code == 201, made.text
        body = made.json()
        etags = []
        for part in body["parts"]:
            begin = (part["partNumber"] - 1) * body["partSizeBytes"]
            put = self.http.put(part["url"], content=data[begin : begin + body["partSizeBytes"]])
            assert put.status_code == 200, put.text
            etags.append({"partNumber": part["partNumber"], "etag": put.headers["ETag"]})
        done = self.http.post(f"/v1/uploads/{body['uploadId']}/complete", json={"parts": etags})
        assert done.status_code == 200, done.text
        asset: str = done.json()["assetId"]
        return asset

    def imported(self, **more: Any) -> Mapping[str, Any]:
        """An accepted import: its jobId, trackId and version."""
        body = {"lyrics": "Twinkle twinkle\nlittle star", "language": "en"} | more
        answer = self.http.post("/v1/tracks/import", json={"assetId": self.upload(), **body})
        assert answer.status_code == 202, answer.text
        accepted: Mapping[str, Any] = answer.json()
        return accepted

    def published(self, **more: Any) -> Mapping[str, Any]:
        """A track with version 1 published."""
        accepted = self.imported(**more)
        self.publish(accepted["jobId"])
        return accepted

    # -- what the pipeline does ----------------------------------------------------------------

    def happens(self, *events: Event, source: str = "stage") -> None:
        """Events on the log and in the projection, as stages and the projector would do it."""
        for event in events:
            envelope = Envelope.caused(
                event,
                by=f"test-{next(self._causes)}",
                source=source,
                time_ms=self.clock.ms,
                traceparent="",
            )
            producer = self.log.producer("test")
            producer.send([self.codec.encode(envelope)])
            producer.close()
            self.store.apply(fold(envelope))

    def job(self, job_id: str) -> Job:
        found = self.store.job("default", job_id)
        assert found is not None
        return found

    def work(self, job_id: str) -> Work:
        found = self.job(job_id).work
        assert found is not None
        return found

    def artifact(self, name: str, data: bytes, media_type: str) -> Artifact:
        stored = self.artifacts.put(f"results/test/{next(self._causes)}/{name}", data, media_type)
        return Artifact(
            name=name,
            uri=stored.uri,
            sha256=stored.sha256 or "",
            bytes=stored.bytes,
            media_type=media_type,
        )

    def separate(self, job_id: str) -> Work:
        """The job's song is split."""
        stems = (
            self.artifact(name, name.encode() * 100, "audio/flac")
            for name in ("vocals", "minus", "mix")
        )
        work = extend(
            self.work(job_id),
            *stems,
            duration_ms=60_000,
            backends={"separation": Backend(name="light", model="mask-1")},
        )
        self.happens(Separated(work=work, seconds=1.0), source="separation")
        return work

    def pitch_of(self, content: Karaoke) -> Artifact:
        """Notes of a content's words: C4 but for the second word, which has none."""
        notes = tuple(
            WordNote(word_id=word.id, voiced=0.9, midi=60, cents=0.0)
            if number != 1
            else WordNote(word_id=word.id, voiced=0.0, reason="whispered")
            for number, word in enumerate(content.words())
        )
        return self.artifact(
            "pitch", Pitch(method="test", notes=notes).to_json(), "application/json"
        )

    def publish(self, job_id: str) -> Work:
        """The rest of the pipeline, from where the job begins."""
        work = self.work(job_id)
        if work.from_stage == "separation":
            work = self.separate(job_id)
        aligned, checked = find(work, "alignment"), find(work, "checked")
        if aligned is None and checked is None:
            assert work.lyrics is not None
            lyrics = LyricsDocument.from_json(self.artifacts.read(work.lyrics.uri))
            aligned = self.artifact("alignment", karaoke_of(lyrics).to_json(), "application/json")
            work = extend(
                work, aligned, self.artifact("heard", b"by the model", "application/x-npz")
            )
            self.happens(Aligned(work=work, words=4, placed=4), source="alignment")
        if checked is None:
            assert aligned is not None
            checked = replace(aligned, name="checked")
            content = Karaoke.from_json(self.artifacts.read(checked.uri))
            listened = self.artifact("listened", b"by the check", "application/x-npz")
            work = extend(work, checked, self.pitch_of(content), listened)
            self.happens(Checked(work=work, score=0.9), source="quality")
        document = KaraokeDocument.stamp(
            Karaoke.from_json(self.artifacts.read(checked.uri)),
            track_id=work.track_id,
            version=work.version,
            parent=work.parent or None,
        )
        made = self.artifact("karaoke", document.to_json(), "application/json")
        work = extend(work, made)
        self.happens(Published(work=work, score=0.9), source="publishing")
        return work

    def progress(self, job_id: str, share: float, stage: str = "separation") -> None:
        """A life sign of a step."""
        job = self.job(job_id)
        self.happens(
            StepProgressed(
                job_id=job_id,
                track_id=job.track_id,
                attempt=job.attempt,
                stage=stage,
                sequence=round(share * 100),
                state="progress",
                progress=share,
                elapsed_seconds=5.0,
                sla_seconds=60.0,
            )
        )

    def fail(self, job_id: str, stage: str = "alignment") -> None:
        """The job's tries at a stage are spent."""
        job = self.job(job_id)
        self.happens(
            JobFailed(
                job_id=job_id,
                track_id=job.track_id,
                attempt=job.attempt,
                stage=stage,
                code="no_vocals",
                message="no singing was found in the song",
            ),
            source=stage,
        )

    def events(self, topic: str) -> list[Envelope]:
        """Every event of a topic on the log, in order."""
        reader = self.log.reader([self.codec.on_log(topic)])
        found: list[Envelope] = []
        try:
            while not reader.caught_up():
                found += [self.codec.decode(record) for record in reader.poll(0.05)]
        finally:
            reader.close()
        return found

    def count_events(self) -> int:
        """How many records the log has in all."""
        names = [self.codec.on_log(name) for name in CATALOG]
        return sum(self.log.end_offsets(names).values())


class Isolated(GatewaySettings):
    """Settings that no environment or file reaches."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, *others: Any, **named: Any
    ) -> tuple[Any, ...]:
        """Only what the test says."""
        return (init_settings,)


class NoInputs(InputSettings):
    """Where inputs may come from, as the test alone says: nowhere but uploads."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, *others: Any, **named: Any
    ) -> tuple[Any, ...]:
        """Only what the test says."""
        return (init_settings,)


def settings(**changes: Any) -> GatewaySettings:
    """The defaults, with changes."""
    return Isolated(public_base_url=BASE_URL, **changes)


def karaoke_of(lyrics: LyricsDocument) -> Karaoke:
    """The lyrics with each word a second apart; locked words stay where they are."""
    lines, at = [], 1_000
    for line in lyrics.lines:
        words = []
        for word in line.words:
            start = word.start_ms if word.locked and word.start_ms is not None else at
            end = word.end_ms if word.locked and word.end_ms is not None else start + 500
            words.append(
                Word(
                    id=word.id,
                    text=word.text,
                    sep=word.sep,
                    start_ms=start,
                    end_ms=end,
                    confidence=0.8,
                    src="manual" if word.locked else "aligned",
                    locked=word.locked,
                )
            )
            at = max(at, end) + 500
        lines.append(Line.of(line.id, line.singer, words))
    return Karaoke(
        language=lyrics.language,
        duration_ms=3_600_000,
        singers=lyrics.singers or (Singer(id="s1", name=""),),
        lines=tuple(lines),
        qc=Quality(score=0.9, flags=(Flag(code="test", message="made by a test"),)),
    )


def problem(response: Response, status: int, code: str) -> dict[str, Any]:
    """The problem of a refusal, after checking what every problem promises."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"] == f"{BASE_URL}/problems/{code}"
    assert body["title"]
    assert body["detail"]
    assert body["help"]
    assert body["instance"].startswith("/")
    assert "?" not in body["instance"]
    assert body["traceId"] == response.headers["traceparent"].split("-")[1]
    assert "Traceback" not in response.text
    assert "/gateway/" not in response.text
    return body
