"""Histories of extractions as the gateway, admission and the stage would write them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from schemas.events import (
    Extraction,
    ExtractionAdmitted,
    ExtractionRequested,
    ExtractorOutcome,
    FeaturesExtracted,
    JobCanceled,
    Work,
)
from schemas.work import extend
from tests.gateway.projection.histories import START_MS, TENANT, Track, artifact

BATCH = "bat_1"


@dataclass
class Extractions(Track):
    """Writes the events of one batch, or of a single file where ``count`` is 0."""

    track_id: str = BATCH
    count: int = 3

    def item(self, index: int = 0) -> Work:
        job_id = f"itm_{index}" if self.count else self.track_id
        work = self.work(job_id, 0, lyrics=False)
        return replace(
            work, artifacts=(), language="", title="", artist="", from_stage="extraction"
        )

    def wanted(self, work: Work) -> Extraction:
        index = int(work.job_id.partition("_")[2]) if self.count else 0
        return Extraction(
            task_id=self.track_id,
            index=index,
            count=self.count or 1,
            concurrency=2,
            input_uri=f"asset:ast_{index}",
            video_id=f"clip {index}",
            client="web-1",
            requested_ms=START_MS,
        )

    def ask(self, work: Work, kind: str = "request") -> Work:
        self.states[work.job_id], self.attempts[work.job_id] = "queued", 1
        self.write(ExtractionRequested(work=work, extraction=self.wanted(work), reason=kind))
        return work

    def ask_all(self) -> list[Work]:
        return [self.ask(self.item(index)) for index in range(self.count or 1)]

    def admit(self, work: Work) -> None:
        self.write(ExtractionAdmitted(work=work, extraction=self.wanted(work)), "admission")

    def make(self, work: Work, stage: str = "extraction", seconds: float = 2.0) -> Work:
        work = extend(work, artifact("manifest"))
        if work.attempt == self.attempts[work.job_id]:
            self.states[work.job_id] = "succeeded"
        self._write_features(work, "completed", seconds)
        return work

    def find_nothing(self, work: Work) -> Work:
        """Every extractor failed; the manifest says how."""
        work = extend(work, artifact("manifest"))
        self._end(work, "failed")
        self._write_features(work, "failed", 1.0)
        return work

    def cancel_all(self) -> None:
        """The gateway's one word, and admission's for each item that is open."""
        whole = JobCanceled(
            job_id=self.track_id, track_id=self.track_id, tenant=TENANT, reason="enough"
        )
        self.write(whole)
        for job_id, state in list(self.states.items()):
            if state in ("queued", "running"):
                self.states[job_id] = "canceled"
                self.write(
                    replace(whole, job_id=job_id, attempt=self.attempts[job_id]), "admission"
                )

    def retry(self, work: Work, stage: str = "extraction") -> Work:
        work = self.try_again(work, stage)
        self.write(ExtractionRequested(work=work, extraction=self.wanted(work), reason="retry"))
        return work

    def _write_features(self, work: Work, status: str, seconds: float) -> None:
        failed = status == "failed"
        self.write(
            FeaturesExtracted(
                work=work,
                extraction=self.wanted(work),
                status=status,
                extractors=(
                    ExtractorOutcome(name="loudness", status="failed" if failed else "ok",
                                     code="raised" if failed else "", message=""),
                    ExtractorOutcome(name="nosuch", status="failed", code="unknown_extractor"),
                ),
                code="no_features" if failed else "",
                message="No extractor has a result." if failed else "",
                duration_seconds=3.0,
                seconds=seconds,
            ),
            "extraction",
        )  # fmt: skip
