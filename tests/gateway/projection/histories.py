"""Histories of a track as the gateway and the stages would write them, with what they amount to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from schemas.events import (
    Aligned,
    Artifact,
    Backend,
    Checked,
    Event,
    ImportRequested,
    JobCanceled,
    JobFailed,
    JobRetried,
    LyricsEdited,
    Published,
    ReprocessRequested,
    Separated,
    StepFailed,
    StepProgressed,
    Transcribed,
    Work,
)
from schemas.work import STAGES, extend, pipeline_of
from topics.codec import Envelope, event_id

TENANT = "studio"
START_MS = 1_800_000_000_000

PRODUCTS: dict[str, str] = {
    "separation": "vocals",
    "transcription": "transcript",
    "alignment": "aligned",
    "quality": "report",
    "publishing": "karaoke",
}


@dataclass
class Track:
    """Writes the events of one track, in the order in which they come about."""

    track_id: str = "trk_1"
    envelopes: list[Envelope] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)  # job -> the state it must end in
    attempts: dict[str, int] = field(default_factory=dict)
    published: dict[int, str] = field(default_factory=dict)  # version -> the job that made it
    drafts: set[int] = field(default_factory=set)
    skew_ms: Callable[[], int] = lambda: 0  # clocks of different machines disagree

    def write(self, event: Event, source: str = "gateway") -> Envelope:
        count = len(self.envelopes)
        envelope = Envelope(
            event,
            id=event_id(f"{self.track_id} {count}", source, event.topic),
            source=source,
            time_ms=START_MS + 1000 * count + self.skew_ms(),
            traceparent="",
        )
        self.envelopes.append(envelope)
        return envelope

    def work(self, job_id: str, version: int = 1, *, lyrics: bool = True) -> Work:
        return Work(
            job_id=job_id,
            track_id=self.track_id,
            tenant=TENANT,
            version=version,
            language="ru",
            title="Полюшко",
            artist="Хор",
            lyrics=artifact("lyrics") if lyrics else None,
            artifacts=(artifact("source"),),
        )

    def ask(self, work: Work, kind: str = "import") -> Work:
        self.states[work.job_id], self.attempts[work.job_id] = "queued", 1
        if kind == "import":
            self.write(ImportRequested(work=work, asset_id="ast_1"))
        else:
            self.write(ReprocessRequested(work=work, reason=kind, steps=("align",)))
        return work

    def sign(
        self, work: Work, stage: str, number: int, sequence: int, state: str, share: float
    ) -> None:
        self._ran(work)
        self.write(
            StepProgressed(
                job_id=work.job_id,
                track_id=work.track_id,
                tenant=work.tenant,
                attempt=work.attempt,
                stage=stage,
                try_number=number,
                sequence=sequence,
                state=state,
                progress=share,
                note=f"{stage} {state}",
                elapsed_seconds=float(sequence),
                sla_seconds=60.0,
                hard_seconds=240.0,
                worker=f"host-{number}",
            ),
            stage,
        )

    def fail_try(self, work: Work, stage: str, number: int, retry_after_ms: int = 5000) -> None:
        self._ran(work)
        self.write(
            StepFailed(
                job_id=work.job_id,
                track_id=work.track_id,
                tenant=work.tenant,
                attempt=work.attempt,
                stage=stage,
                try_number=number,
                code="crashed",
                message="The worker stopped in the middle of the song.",
                retry_after_ms=retry_after_ms,
            ),
            stage,
        )

    def make(self, work: Work, stage: str, seconds: float = 2.0) -> Work:
        """The stage's own event, and the context as it goes on from here."""
        backends = {**work.backends, stage: Backend(name="light", model=f"{stage}/1", device="cpu")}
        work = extend(work, artifact(PRODUCTS[stage]), backends=backends)
        if stage == "transcription":
            work = replace(work, lyrics=artifact("transcript"))
        if stage == "publishing":
            self.write(Published(work=work, score=0.9, seconds=seconds), stage)
            if work.attempt == self.attempts[work.job_id]:
                self.states[work.job_id] = "succeeded"
            self.published.setdefault(work.version, work.job_id)
            return work
        kind = {
            "separation": Separated,
            "transcription": Transcribed,
            "alignment": Aligned,
            "quality": Checked,
        }[stage]
        self._ran(work)
        self.write(kind(work=work, seconds=seconds), stage)
        return work

    def fail(self, work: Work, stage: str, number: int = 1) -> None:
        self._end(work, "failed")
        self.write(
            JobFailed(
                job_id=work.job_id,
                track_id=work.track_id,
                tenant=work.tenant,
                attempt=work.attempt,
                stage=stage,
                try_number=number,
                code="no_audio",
                message="The file holds no audio.",
            ),
            stage,
        )

    def cancel(self, work: Work) -> None:
        self._end(work, "canceled")
        self.write(
            JobCanceled(
                job_id=work.job_id,
                track_id=work.track_id,
                tenant=work.tenant,
                attempt=work.attempt,
                reason="Wrong song.",
            )
        )

    def try_again(self, work: Work, stage: str) -> Work:
        """The gateway's word that an ended job is tried again from there; the next attempt."""
        work = replace(work, attempt=work.attempt + 1, from_stage=stage)
        self.states[work.job_id], self.attempts[work.job_id] = "running", work.attempt
        self.write(
            JobRetried(
                job_id=work.job_id,
                track_id=work.track_id,
                tenant=work.tenant,
                attempt=work.attempt,
                from_stage=stage,
            )
        )
        return work

    def retry(self, work: Work, stage: str) -> Work:
        work = self.try_again(work, stage)
        self.write(ReprocessRequested(work=work, reason="retry"))
        return work

    def edit(self, version: int, parent: int) -> None:
        self.drafts.add(version)
        self.write(
            LyricsEdited(
                track_id=self.track_id,
                tenant=TENANT,
                version=version,
                parent=parent,
                language="ru",
                lyrics=artifact(f"draft-{version}"),
            )
        )

    def run_stage(self, work: Work, stage: str) -> Work:
        """One stage without incident."""
        self.sign(work, stage, 1, 0, "started", 0.0)
        self.sign(work, stage, 1, 1, "progress", 0.5)
        self.sign(work, stage, 1, 2, "done", 1.0)
        return self.make(work, stage)

    def run(self, work: Work) -> Work:
        """Everything from the work's first stage to the publish, without incident."""
        for stage in plan(work):
            work = self.run_stage(work, stage)
        return work

    def _ran(self, work: Work) -> None:
        current = work.attempt == self.attempts[work.job_id]
        if current and self.states[work.job_id] == "queued":
            self.states[work.job_id] = "running"

    def _end(self, work: Work, state: str) -> None:
        rank = ["queued", "running", "failed", "canceled", "succeeded"]
        current = work.attempt == self.attempts[work.job_id]
        if current and rank.index(state) > rank.index(self.states[work.job_id]):
            self.states[work.job_id] = state


def artifact(name: str) -> Artifact:
    return Artifact(
        name=name, uri=f"local:{name}", sha256="ab" * 32, bytes=9, media_type="audio/flac"
    )


def plan(work: Work) -> Sequence[str]:
    """The stages that run for a request."""
    stages = pipeline_of(work.from_stage)
    stages = stages[stages.index(work.from_stage) :]
    return [s for s in stages if s != "transcription" or work.lyrics is None]


@st.composite
def tracks(draw: st.DrawFn) -> Track:
    """A track's whole history: an import and up to two further jobs, with failed tries, retries,
    cancels that lose against a publish, late life signs of dead attempts, and edits between.
    """
    track = Track(skew_ms=lambda: draw(st.integers(-5000, 5000)))
    version = 1
    for number in range(draw(st.integers(1, 3))):
        job_id = f"job_{number}"
        if number == 0:
            work = track.ask(track.work(job_id, lyrics=draw(st.booleans())))
        else:
            kind = draw(st.sampled_from(["reprocess", "rollback", "replay"]))
            if draw(st.booleans()):
                version += 1
                track.edit(version, version - 1)
            elif draw(st.booleans()):
                version += 1  # otherwise two jobs race for one version
            work = track.work(job_id, version)
            stage = "publishing" if kind == "rollback" else draw(st.sampled_from(STAGES))
            work = track.ask(replace(work, from_stage=stage), kind)
        go_on(draw, track, work)
    if draw(st.booleans()):
        track.edit(version + 1, version)
    return track


def go_on(draw: st.DrawFn, track: Track, work: Work) -> None:
    """What becomes of a job that was asked for."""
    stale: list[tuple[Work, str]] = []
    for _ in range(draw(st.integers(1, 3))):
        stages = list(plan(work))
        ends_at = draw(st.sampled_from([*stages, "", ""]))
        for stage in stages:
            number = _tries(draw, track, work, stage)
            if stage == ends_at:
                break
            work = track.make(work, stage)
        else:
            if draw(st.booleans()):
                track.cancel(work)  # too late: the publish was committed
            return
        how = draw(st.sampled_from(["fail", "cancel", "hang", "lost race"]))
        if how == "lost race":
            track.cancel(work)
            for rest in stages[stages.index(stage) :]:
                work = track.make(work, rest)
            return
        if how != "fail":
            if how == "cancel":
                track.cancel(work)
            return
        track.fail(work, stage, number)
        stale.append((work, stage))
        if not draw(st.booleans()):
            return
        work = track.retry(work, draw(st.sampled_from(stages[: stages.index(stage) + 1])))
        for old, where in stale:
            if draw(st.booleans()):
                track.sign(old, where, 9, 99, "progress", 0.95)


def _tries(draw: st.DrawFn, track: Track, work: Work, stage: str) -> int:
    number = 0
    for number in range(1, draw(st.integers(1, 3)) + 1):
        signs = draw(st.integers(0, 3))
        for sequence in range(signs):
            state = "started" if sequence == 0 else draw(st.sampled_from(["progress", "heartbeat"]))
            track.sign(work, stage, number, sequence, state, sequence / 4)
        if draw(st.booleans()):
            track.fail_try(work, stage, number)
        elif draw(st.booleans()):
            track.sign(work, stage, number, signs, "done", 1.0)
    return max(number, 1)
