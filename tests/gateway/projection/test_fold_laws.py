"""The property that holds the fold together: no order, duplicate, replay or clock changes it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.projection.cells import Cell, Document, Key, merge, order, to_json
from gateway.projection.fold import join
from gateway.projection.job import job_of
from gateway.projection.track import track_of
from tests.gateway.projection.folding import (
    SHORT_LIVED,
    assert_order_changes_nothing,
    assert_progress_never_falls,
    folded,
    property_test,
    standing,
)
from tests.gateway.projection.histories import TENANT, Track, tracks


class TestAnyOrder:
    @property_test
    @given(tracks(), st.randoms(use_true_random=False))
    def test_order_duplicates_and_replays_change_nothing(
        self, history: Track, chance: random.Random
    ) -> None:
        assert_order_changes_nothing(history.envelopes, chance)

    @property_test
    @given(tracks(), st.randoms(use_true_random=False))
    def test_no_clock_decides(self, history: Track, chance: random.Random) -> None:
        """Machines whose clocks are hours off tell the same story: only the times shown differ."""
        odd = [
            replace(each, time_ms=each.time_ms + chance.randint(-7_200_000, 7_200_000))
            for each in history.envelopes
        ]
        straight, shifted = folded(history.envelopes), folded(odd)
        assert straight.keys() == shifted.keys()
        for key, document in straight.items():
            assert standing(document) == standing(shifted[key])

    @property_test
    @given(tracks())
    def test_the_states_are_those_that_the_history_amounts_to(self, history: Track) -> None:
        documents = folded(history.envelopes)
        for job_id, state in history.states.items():
            seen = job_of(documents[Key("job", TENANT, job_id)])
            assert (seen.state, seen.attempt) == (state, history.attempts[job_id])
        view = track_of(documents[Key("track", TENANT, history.track_id)])
        published = [v.number for v in view.versions if v.state == "published"]
        assert published == sorted(history.published)
        assert {v.number for v in view.versions} == set(history.published) | history.drafts
        assert (view.current.number if view.current else None) == max(published, default=None)
        open_jobs = {j.job_id for j in view.jobs if j.state == "open"}
        expected = {j for j, state in history.states.items() if state in ("queued", "running")}
        assert open_jobs == expected

    @property_test
    @given(tracks())
    def test_states_survive_the_loss_of_what_is_not_kept_for_ever(self, history: Track) -> None:
        whole = folded(history.envelopes)
        kept = folded(e for e in history.envelopes if e.event.topic not in SHORT_LIVED)
        for key, document in whole.items():
            if key.kind == "track":
                assert to_json(document) == to_json(kept[key])
                continue
            before, after = job_of(document), job_of(kept[key])
            begun = any(step.state == "succeeded" for step in before.steps) and any(
                name.endswith("/made") for name in document.cells
            )
            if before.ended or before.attempt > 1 or begun:
                assert after.state == before.state
            else:
                assert after.state == "queued"
            assert (after.attempt, after.version, after.work) == (
                before.attempt,
                before.version,
                before.work,
            )
            assert after.error == before.error

    @property_test
    @given(tracks())
    def test_progress_never_falls_within_an_attempt(self, history: Track) -> None:
        assert_progress_never_falls(history.envelopes)


_CELLS = st.builds(
    Cell,
    st.integers(-3, 3),
    st.sampled_from(["", "a", "b"]),
    st.one_of(st.none(), st.integers(0, 3), st.lists(st.integers(0, 2), max_size=2)),
)
_DOCUMENTS = st.builds(
    lambda cells: Document(Key("job", TENANT, "job_1"), cells),
    st.dictionaries(st.sampled_from("xyz"), _CELLS),
)


class TestMerge:
    @given(_DOCUMENTS, _DOCUMENTS)
    def test_commutes(self, a: Document, b: Document) -> None:
        assert to_json(merge(a, b)) == to_json(merge(b, a))

    @given(_DOCUMENTS, _DOCUMENTS, _DOCUMENTS)
    def test_associates(self, a: Document, b: Document, c: Document) -> None:
        assert to_json(merge(merge(a, b), c)) == to_json(merge(a, merge(b, c)))

    @given(_DOCUMENTS, _DOCUMENTS)
    def test_is_idempotent_and_says_so(self, a: Document, b: Document) -> None:
        assert merge(a, a) is a
        ab = merge(a, b)
        assert merge(ab, b) is ab

    @given(st.lists(_DOCUMENTS, max_size=6), st.randoms(use_true_random=False))
    def test_a_batch_joins_to_what_merging_gives(
        self, changes: list[Document], chance: random.Random
    ) -> None:
        key = Key("job", TENANT, "job_1")
        merged = Document(key, {})
        for change in changes:
            merged = merge(merged, change)
        chance.shuffle(changes)
        joined = join(changes).get(key, Document(key, {}))
        assert to_json(joined) == to_json(merged)

    def test_refuses_another_document(self) -> None:
        with pytest.raises(ValueError, match="cannot be merged"):
            merge(Document(Key("job", TENANT, "a"), {}), Document(Key("job", TENANT, "b"), {}))

    @given(*[st.tuples(*[st.integers(-1, 1 << 35)] * 4)] * 2)
    def test_orders_fit_a_cassandra_timestamp_and_follow_the_tuple(
        self, a: tuple[int, int, int, int], b: tuple[int, int, int, int]
    ) -> None:
        assert 0 <= order(*a) < 1 << 63
        limits = ((1 << 16) - 1, (1 << 12) - 1, 7, (1 << 31) - 1)
        x, y = (
            tuple(min(max(n, 0), top) for n, top in zip(t, limits, strict=True)) for t in (a, b)
        )
        assert (order(*a) < order(*b)) == (x < y)
