"""Batches from the request to the last manifest, on a log with real workers."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from processors.admission.service import Admission
from processors.extraction.stage import extraction
from schemas.events import (
    Extraction,
    ExtractionRequested,
    FeaturesExtracted,
    JobCanceled,
    JobFailed,
    StepProgressed,
    Work,
)
from tests.processors.extraction.process import inputs
from tests.processors.runtime.rig import Rig, until

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]

DONE = FeaturesExtracted.topic


class Studio(Rig):
    """A bus with admission and extraction on it, and files."""

    def __init__(self, folder: Path) -> None:
        self.media = folder / "media"
        self.media.mkdir()
        super().__init__(
            folder, extraction, inputs=inputs(self.media), use_gpu=False, lease_seconds=2.0
        )

    def song(self, number: int, seconds: float = 1.0) -> str:
        """A file; its name."""
        name = f"{number}.wav"
        times = np.arange(round(seconds * 22050)) / 22050
        wave = 0.2 * np.sin(2 * np.pi * (200 + number) * times)
        soundfile.write(self.media / name, wave, 22050)
        return name

    def batch(self, task: str, names: list[str], **wanted: Any) -> None:
        """Ask for a batch, as the gateway does."""
        for index, name in enumerate(names):
            chosen: dict[str, Any] = {
                "task_id": task,
                "index": index,
                "count": len(names),
                "concurrency": 2,
                "input_uri": name,
                "video_id": name,
                "extractors": ("loudness",),
            }
            event = ExtractionRequested(
                work=Work(job_id=f"{task}-{index}", track_id=task, from_stage="extraction"),
                extraction=Extraction(**(chosen | wanted)),
            )
            self.write(event, f"{task} {index}")

    @contextmanager
    def working(self) -> Iterator[None]:
        """Both parts, in this process."""
        with Admission(self.settings, log=self.log), self.host(extraction):
            yield

    def ended(self) -> dict[str, str]:
        """How items ended."""
        found = {}
        for envelope in self.events(DONE, JobFailed.topic, JobCanceled.topic):
            match envelope.event:
                case FeaturesExtracted() as event:
                    found[event.work.job_id] = event.status
                case JobFailed() as failed:
                    found[failed.job_id] = failed.code
                case JobCanceled() as canceled:
                    found[canceled.job_id] = "canceled"
        return found


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    built = Studio(tmp_path)
    yield built
    built.log.close()


def test_a_batch_with_a_broken_item(studio: Studio) -> None:
    names = [studio.song(n) for n in range(5)]
    (studio.media / "broken.wav").write_bytes(b"RIFF but nothing of the kind" * 10)
    names[2:2] = ["broken.wav", "nothing.wav"]
    studio.batch("t", names)
    with studio.working():
        until(lambda: len(studio.ended()) == len(names), "every item ends")
    ended = studio.ended()
    assert Counter(ended.values())["completed"] == 5
    assert (ended["t-2"], ended["t-3"]) == ("not_audio", "input_missing")
    told = [each.event for each in studio.events(StepProgressed.topic)]
    assert {each.job_id for each in told if isinstance(each, StepProgressed)} <= {*ended}


def test_a_canceled_batch_stops(studio: Studio) -> None:
    names = [studio.song(n, 240.0) for n in range(6)]
    studio.batch("t", names, extractors=("pitch_extractor", "tempo_extractor", "structure"))
    with studio.working():
        until(lambda: studio.events(StepProgressed.topic), "one is at work")
        studio.write(JobCanceled(job_id="t", track_id="t", attempt=1), "cancel")
        until(lambda: set(studio.ended()) >= {f"t-{n}" for n in range(6)}, "every item ends")
        after = studio.song(99)
        studio.batch("after", [after])
        until(lambda: studio.ended().get("after-0") == "completed", "others go on")
    assert Counter(studio.ended().values())["canceled"] >= 5


def test_killed_half_way_in_a_batch_loses_nothing(studio: Studio, tmp_path: Path) -> None:
    names = [studio.song(n) for n in range(24)]
    studio.batch("t", names, concurrency=4)
    for goal in (3, 10, 16):
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.processors.extraction.process",
                str(tmp_path),
                str(studio.media),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: len(studio.records(DONE)) >= goal, "some are done")  # noqa: B023
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    with studio.working():
        until(lambda: len(studio.ended()) == len(names), "every item ends")
    assert set(studio.ended().values()) == {"completed"}
    done = Counter(each.event.work.job_id for each in studio.events(DONE))  # type: ignore[union-attr]
    assert done == {f"t-{n}": 1 for n in range(len(names))}
    admitted = [each.id for each in studio.events("extraction-admitted")]
    assert len(admitted) == len(set(admitted)) == len(names)
