"""What every projection store keeps, whichever database it lives in."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.projection.cells import Cell, Document, Key, to_json
from gateway.projection.fold import fold, join
from gateway.projection.projector import apply_now
from gateway.projection.store import BadCursor, ProjectionStore
from tests.gateway.projection.extractions import BATCH, Extractions
from tests.gateway.projection.histories import START_MS, TENANT, Track
from topics.codec import Envelope


def published(track_id: str = "trk_1", job_id: str = "job_1") -> Track:
    """A track with one import that went well."""
    history = Track(track_id)
    history.run(history.ask(history.work(job_id)))
    return history


def counted(number: int) -> Document:
    """A change to one of ten cells of one document."""
    cell = Cell(number, "", number)
    return Document(Key("job", TENANT, "job_1"), {f"cell-{number % 10}": cell})


class ProjectionStoreContract:
    """Inherit and give a fixture ``store``: an empty one."""

    def test_keeps_what_the_fold_says(self, store: ProjectionStore) -> None:
        history = published()
        apply_now(store, history.envelopes)
        job = store.job(TENANT, "job_1")
        track = store.track(TENANT, "trk_1")
        assert job is not None
        assert track is not None
        assert (job.state, job.version, job.track_id) == ("succeeded", 1, "trk_1")
        assert track.current is not None
        assert track.current.artifacts["karaoke"].uri == "local:karaoke"

    def test_another_tenant_sees_nothing(self, store: ProjectionStore) -> None:
        apply_now(store, published().envelopes)
        assert store.job("other", "job_1") is None
        assert store.track("other", "trk_1") is None
        assert not store.jobs("other").items
        assert not store.tracks("other").items
        assert store.job(TENANT, "trk_1") is None

    def test_says_what_changed_and_only_that(self, store: ProjectionStore) -> None:
        history = published()
        first = apply_now(store, history.envelopes[:1])
        assert {(a.key.kind, a.key.id) for a in first} == {("job", "job_1"), ("track", "trk_1")}
        assert all(a.before is None for a in first)
        assert [a.sequence for a in first] == [1, 2]
        second = apply_now(store, history.envelopes[:2])
        assert [a.key.kind for a in second] == ["job"]
        before = {a.key: a.after for a in first}[second[0].key]
        assert second[0].before is not None
        assert to_json(second[0].before) == to_json(before)
        assert apply_now(store, history.envelopes[:2]) == ()
        assert store.sequence() == 3

    def test_any_batching_in_any_order_gives_the_same_bytes(self, store: ProjectionStore) -> None:
        envelopes = [*published("trk_1", "job_1").envelopes, *published("trk_2", "job_2").envelopes]
        apply_now(store, envelopes)
        whole = store.dump()
        assert whole.count(b"\n") == 4
        chance = random.Random(7)
        for _ in range(3):
            store.clear()
            assert store.dump() == b""
            shuffled = [*envelopes, *chance.sample(envelopes, 10)]
            chance.shuffle(shuffled)
            while shuffled:
                size = chance.randint(1, 9)
                apply_now(store, shuffled[:size])
                del shuffled[:size]
            assert store.dump() == whole

    def test_an_emptied_store_answers_as_a_new_one_but_counts_on(
        self, store: ProjectionStore
    ) -> None:
        apply_now(store, published().envelopes)
        counted = store.sequence()
        store.clear()
        assert store.job(TENANT, "job_1") is None
        assert store.sequence() >= counted
        apply_now(store, published().envelopes)
        assert store.sequence() > counted

    def test_lists_the_newest_first_in_pages(self, store: ProjectionStore) -> None:
        wanted = self._seven(store)
        seen: list[str] = []
        cursor = None
        for _ in range(4):
            page = store.jobs(TENANT, cursor=cursor, limit=3)
            seen += [job.job_id for job in page.items]
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == wanted
        assert [job.job_id for job in store.jobs(TENANT, limit=7).items] == wanted
        assert store.jobs(TENANT, limit=7).cursor is None

    def test_pages_stay_put_while_newer_jobs_come_in(self, store: ProjectionStore) -> None:
        wanted = self._seven(store)
        page = store.jobs(TENANT, limit=3)
        later = Track("trk_9", skew_ms=lambda: 10**9)
        later.ask(later.work("job_9"))
        apply_now(store, later.envelopes)
        assert [j.job_id for j in store.jobs(TENANT, cursor=page.cursor).items] == wanted[3:]

    def test_filters_by_state_stage_and_age(self, store: ProjectionStore) -> None:
        self._seven(store)
        history = published("trk_8", "job_8")
        apply_now(store, history.envelopes)
        assert [j.job_id for j in store.jobs(TENANT, state="succeeded").items] == ["job_8"]
        assert len(store.jobs(TENANT, state="queued").items) == 7
        assert [j.job_id for j in store.jobs(TENANT, stage="publishing").items] == ["job_8"]
        assert len(store.jobs(TENANT, stage="separation", state="queued").items) == 7
        assert [j.job_id for j in store.jobs(TENANT, since_ms=START_MS + 6000).items] == ["job_6"]
        assert [t.track_id for t in store.tracks(TENANT, since_ms=START_MS + 6000).items] == [
            "trk_6"
        ]
        first = store.jobs(TENANT, state="queued", limit=5)
        rest = store.jobs(TENANT, state="queued", limit=5, cursor=first.cursor)
        assert (len(first.items), len(rest.items), rest.cursor) == (5, 2, None)

    def test_lists_tracks(self, store: ProjectionStore) -> None:
        self._seven(store)
        first = store.tracks(TENANT, limit=4)
        rest = store.tracks(TENANT, limit=4, cursor=first.cursor)
        assert [t.track_id for t in [*first.items, *rest.items]] == [
            f"trk_{n}" for n in reversed(range(7))
        ]
        assert rest.cursor is None

    @pytest.mark.parametrize(
        "cursor",
        [
            "",
            "x",
            "!!!",
            "bnVsbA==",  # null
            "WzEsImEiXQ==x",  # [1,"a"] and something more
            "WyJhIiwiYSJd",  # ["a","a"]
            "Wzk5OTk5OTk5OTk5OTk5OTk5OTksImEiXQ==",  # [9999999999999999999,"a"]
            "{}",
            "ÿ",
        ],
    )
    def test_a_made_up_cursor_is_refused(self, store: ProjectionStore, cursor: str) -> None:
        with pytest.raises(BadCursor):
            store.jobs(TENANT, cursor=cursor)
        with pytest.raises(BadCursor):
            store.tracks(TENANT, cursor=cursor)
        with pytest.raises(BadCursor):
            store.items(TENANT, BATCH, cursor=cursor)

    def test_counts_and_lists_the_items_of_a_batch(self, store: ProjectionStore) -> None:
        history = Extractions(count=7)
        works = history.ask_all()
        apply_now(store, history.envelopes)
        batch = store.batch(TENANT, BATCH)
        assert batch is not None
        assert batch.count == 7
        assert dict(store.tally(TENANT, BATCH)) == {"queued": 7}
        history.make(works[1])
        history.find_nothing(works[2])
        history.sign(works[3], "extraction", 1, 0, "started", 0.0)
        apply_now(store, history.envelopes)
        assert dict(store.tally(TENANT, BATCH)) == {
            "queued": 4, "running": 1, "failed": 1, "succeeded": 1,
        }  # fmt: skip
        first = store.items(TENANT, BATCH, limit=5)
        rest = store.items(TENANT, BATCH, limit=5, cursor=first.cursor)
        shown = [item.job_id for item in [*first.items, *rest.items]]
        assert shown == [f"itm_{number}" for number in range(7)]
        assert rest.cursor is None
        assert [j.job_id for j in store.items(TENANT, BATCH, state="failed").items] == ["itm_2"]
        queued = store.items(TENANT, BATCH, state="queued", limit=3)
        assert [j.job_id for j in queued.items] == ["itm_0", "itm_4", "itm_5"]
        queued = store.items(TENANT, BATCH, state="queued", limit=3, cursor=queued.cursor)
        assert ([j.job_id for j in queued.items], queued.cursor) == (["itm_6"], None)
        item = store.job(TENANT, "itm_1")
        assert item is not None
        assert item.state == "succeeded"

    def test_items_are_no_jobs_in_lists_and_another_tenant_has_none(
        self, store: ProjectionStore
    ) -> None:
        history = Extractions(count=2)
        history.ask_all()
        apply_now(store, history.envelopes)
        assert not store.jobs(TENANT).items
        assert store.batch("other", BATCH) is None
        assert store.batch(TENANT, "bat_9") is None
        assert not store.items("other", BATCH).items
        assert not store.tally("other", BATCH)
        assert store.job("other", "itm_0") is None
        before = store.dump()
        assert before.count(b"\n") == 3
        store.clear()
        assert not store.tally(TENANT, BATCH)
        apply_now(store, [*reversed(history.envelopes)])
        assert store.dump() == before
        assert dict(store.tally(TENANT, BATCH)) == {"queued": 2}

    def test_an_item_is_listed_once_it_is_known_to_be_asked_for(
        self, store: ProjectionStore
    ) -> None:
        history = Extractions(count=1)
        (work,) = history.ask_all()
        history.make(work)
        apply_now(store, history.envelopes[1:])
        assert not store.tally(TENANT, BATCH)
        assert not store.items(TENANT, BATCH).items
        apply_now(store, history.envelopes[:1])
        assert dict(store.tally(TENANT, BATCH)) == {"succeeded": 1}
        assert [each.job_id for each in store.items(TENANT, BATCH).items] == ["itm_0"]

    def test_wait_returns_at_a_change(self, store: ProjectionStore) -> None:
        after = store.sequence()
        writer = threading.Timer(0.05, apply_now, (store, published().envelopes[:1]))
        writer.start()
        assert store.wait(after, 30) == after + 2
        writer.join()
        assert store.wait(after, 0) == after + 2

    def test_wait_returns_when_the_time_is_over(self, store: ProjectionStore) -> None:
        began = time.monotonic()
        assert store.wait(store.sequence(), 0.05) == store.sequence()
        assert time.monotonic() - began >= 0.05

    def test_racing_writers_lose_nothing(self, store: ProjectionStore) -> None:
        changes = [counted(number) for number in range(120)]
        shares: list[Sequence[Document]] = [changes[n::4] for n in range(4)]

        def write(share: Sequence[Document]) -> None:
            for change in share:
                store.apply([change])

        threads = [threading.Thread(target=write, args=(share,)) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        dumped = store.dump()
        store.clear()
        store.apply(join(changes).values())
        assert dumped == store.dump()

    def test_check_passes_and_changes_nothing(self, store: ProjectionStore) -> None:
        apply_now(store, published().envelopes)
        before = (store.sequence(), store.dump())
        store.check()
        assert (store.sequence(), store.dump()) == before

    def _seven(self, store: ProjectionStore) -> list[str]:
        """Seven queued jobs on seven tracks, a second apart; ids, the newest first."""
        envelopes: list[Envelope] = []
        for number in range(7):
            history = Track(f"trk_{number}", skew_ms=lambda number=number: 1000 * number)  # type: ignore[misc]
            history.ask(history.work(f"job_{number}"))
            envelopes += [replace(e, id=f"{number}") for e in history.envelopes]
        store.apply(change for envelope in envelopes for change in fold(envelope))
        return [f"job_{number}" for number in reversed(range(7))]
