"""Extractions under the fold: the laws that hold for tracks hold for batches and their items."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.projection.cells import Document, Key, from_json, job_key, merge, to_json
from gateway.projection.extraction import batch_of, place_of
from gateway.projection.fold import fold
from gateway.projection.job import job_of
from schemas.events import ExtractionRequested, Work
from tests.gateway.projection.extractions import BATCH, Extractions
from tests.gateway.projection.folding import folded, property_test, text
from tests.gateway.projection.histories import TENANT


@st.composite
def batches(draw: st.DrawFn) -> Extractions:
    """Items that succeed, fail, are refused, are retried or canceled, in any mixture."""
    history = Extractions(
        count=draw(st.integers(1, 4)), skew_ms=lambda: draw(st.integers(-5000, 5000))
    )
    for work in history.ask_all():
        fate = draw(st.sampled_from(["waits", "runs", "made", "nothing", "refused", "again"]))
        if fate == "waits":
            continue
        history.admit(work)
        history.sign(work, "extraction", 1, 0, "started", 0.0)
        history.sign(work, "extraction", 1, 1, "progress", 0.4)
        if fate == "made":
            history.make(work)
        elif fate == "nothing":
            history.find_nothing(work)
        elif fate in ("refused", "again"):
            history.fail(work, "extraction")
        if fate == "again":
            again = history.retry(work)
            if draw(st.booleans()):
                history.make(again)
    if draw(st.booleans()):
        history.cancel_all()
    return history


@property_test
@given(history=batches(), seed=st.integers(0, 2**32))
def test_any_order_and_repetition_gives_the_same_state(history: Extractions, seed: int) -> None:
    chance = random.Random(seed)
    wanted = text(folded(history.envelopes))
    shuffled = [*history.envelopes, *chance.choices(history.envelopes, k=10)]
    chance.shuffle(shuffled)
    documents = folded(shuffled)
    assert text(documents) == wanted
    for job_id, state in history.states.items():
        job = job_of(documents[job_key(TENANT, job_id)])
        assert (job.state, job.track_id) == (state, BATCH)
        assert job.extraction is not None
        assert job.extraction.video_id == f"clip {job_id[4:]}"


def test_a_batch_holds_nothing_of_its_items() -> None:
    history = Extractions(count=3)
    for work in history.ask_all():
        history.make(work)
    documents = folded(history.envelopes)
    assert {key.kind for key in documents} == {"item", "track"}
    whole = documents[Key("track", TENANT, BATCH)]
    assert set(whole.cells) == {"batch", "first"}
    batch = batch_of(whole)
    assert batch is not None
    assert (batch.count, batch.concurrency, batch.client, batch.canceled) == (3, 2, "web-1", None)


def test_a_canceled_batch_says_so_and_its_items_too() -> None:
    history = Extractions(count=3)
    done, *rest = history.ask_all()
    history.make(done)
    history.cancel_all()
    documents = folded(history.envelopes)
    batch = batch_of(documents[Key("track", TENANT, BATCH)])
    assert batch is not None
    assert batch.canceled is not None
    assert batch.canceled.message == "enough"
    states = [job_of(documents[job_key(TENANT, f"itm_{n}")]).state for n in range(3)]
    assert states == ["succeeded", "canceled", "canceled"]
    assert len(rest) == 2


def test_an_item_that_is_tried_again_outlives_the_cancel_of_its_batch() -> None:
    history = Extractions(count=2)
    first, _ = history.ask_all()
    history.cancel_all()
    again = history.retry(first)
    batch = batch_of(folded(history.envelopes)[Key("track", TENANT, BATCH)])
    assert batch is not None
    assert (batch.attempt, batch.canceled) == (2, None)
    history.make(again)
    states = [job_of(folded(history.envelopes)[job_key(TENANT, f"itm_{n}")]).state for n in (0, 1)]
    assert states == ["succeeded", "canceled"]


def test_a_single_file_is_a_job_of_its_own() -> None:
    history = Extractions(track_id="ext_1", count=0)
    (work,) = history.ask_all()
    history.sign(work, "extraction", 1, 0, "started", 0.0)
    history.sign(work, "extraction", 1, 1, "progress", 0.4)
    documents = folded(history.envelopes)
    assert set(documents) == {Key("job", TENANT, "ext_1")}
    job = job_of(documents[Key("job", TENANT, "ext_1")])
    assert (job.kind, job.state, job.progress) == ("extraction", "running", 0.4)
    history.find_nothing(work)
    job = job_of(folded(history.envelopes)[Key("job", TENANT, "ext_1")])
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.stage) == ("no_features", "extraction")
    assert job.refused == {"loudness": "raised", "nosuch": "unknown_extractor"}
    assert job.work is not None
    assert [each.name for each in job.work.artifacts] == ["manifest"]


def test_a_late_life_sign_makes_no_batch() -> None:
    history = Extractions(count=1)
    work = history.item(0)
    history.states[work.job_id], history.attempts[work.job_id] = "queued", 1
    history.sign(work, "extraction", 1, 0, "started", 0.0)
    (document,) = folded(history.envelopes).values()
    assert document.key.kind == "item"
    assert place_of(document) is None
    asked = fold(Extractions(count=1).write(_request(history, work)))
    merged = merge(document, next(each for each in asked if each.key == document.key))
    assert place_of(merged) == 0
    assert from_json(merged.key, to_json(merged)) == Document(merged.key, dict(merged.cells))


def _request(history: Extractions, work: Work) -> ExtractionRequested:
    return ExtractionRequested(work=work, extraction=history.wanted(work))
