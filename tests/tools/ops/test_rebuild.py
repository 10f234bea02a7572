"""A projection made anew takes the old one's place at once, and nothing is lost."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.projection.cells import Document, Key
from gateway.projection.fold import fold
from gateway.projection.sqlite import SqliteStore
from gateway.projection.sqlite_swap import Swapped, swap
from gateway.projection.store import StoreError
from tests.gateway.projection.histories import TENANT, Track
from tools.ops.rebuild import NAME, build, fold_over, replace
from topics.catalog import CATALOG, PARTITIONS
from topics.codec import Codec, Envelope
from topics.log import Log, Outgoing
from topics.log.embedded import EmbeddedLog

CODEC = Codec()


def silent(read: int) -> None:
    pass


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(EmbeddedLog(tmp_path / "log.db")) as made:
        made.provision(dict.fromkeys(CATALOG, PARTITIONS))
        yield made


@pytest.fixture
def live(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / NAME)) as made:
        yield made


def history(track_id: str) -> list[Envelope]:
    track = Track(track_id=track_id)
    track.run(track.ask(track.work(f"job_{track_id}")))
    return track.envelopes


def write(log: Log, envelopes: Sequence[Envelope]) -> None:
    with closing(log.producer("test")) as producer:
        producer.send([CODEC.encode(each) for each in envelopes])


def told(path: Path, after: int) -> list[str]:
    """Documents written behind a sequence."""
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT id FROM {} WHERE sequence > ?"
        rows = [row for of in ("jobs", "tracks") for row in db.execute(query.format(of), (after,))]
    return [document for (document,) in sorted(rows)]


def show(store: SqliteStore, envelopes: Sequence[Envelope]) -> None:
    store.apply([change for each in envelopes for change in fold(each)])


def test_a_sound_projection_is_not_touched(log: Log, live: SqliteStore, tmp_path: Path) -> None:
    write(log, history("trk_1"))
    show(live, history("trk_1"))
    before = live.dump(), live.sequence()
    made = replace(log, CODEC, tmp_path, silent)
    assert made.swapped == Swapped(same=2)
    assert made.events == len(history("trk_1"))
    assert (live.dump(), live.sequence()) == before


def test_what_was_lost_spoilt_or_made_up_is_put_right(
    log: Log, live: SqliteStore, tmp_path: Path
) -> None:
    for track in ("trk_1", "trk_2", "trk_3"):
        write(log, history(track))
    show(live, history("trk_1"))
    show(live, history("trk_2")[:3])
    show(live, history("trk_invented"))
    before = live.sequence()
    made = replace(log, CODEC, tmp_path, silent)
    assert made.swapped == Swapped(same=2, changed=2, added=2, removed=2)
    with closing(SqliteStore(tmp_path / "true.db")) as true:
        for track in ("trk_1", "trk_2", "trk_3"):
            show(true, history(track))
        assert live.dump() == true.dump()
    # readers that wait are told of the differences, and of nothing else
    assert live.sequence() == before + 6
    assert told(tmp_path / NAME, before) == ["job_trk_2", "job_trk_3", "trk_2", "trk_3"]
    assert live.track(TENANT, "trk_invented") is None
    assert sorted(path.name for path in tmp_path.glob("projection*.db*")) == sorted(
        {NAME, *(path.name for path in tmp_path.glob(f"{NAME}-*"))}
    )


def test_what_comes_during_the_rebuild_is_kept(log: Log, live: SqliteStore, tmp_path: Path) -> None:
    write(log, history("trk_1"))
    show(live, history("trk_1"))
    times = 0

    def meanwhile(read: int) -> None:
        """The product goes on beside: to the log, then to the live projection."""
        nonlocal times
        times += 1
        write(log, history(f"trk_late_{times}"))
        show(live, history(f"trk_late_{times}"))

    replace(log, CODEC, tmp_path, meanwhile)
    assert times == 2  # read on before the exchange, and under its lock
    for number in (1, 2):
        track = live.track(TENANT, f"trk_late_{number}")
        assert track is not None
        assert track.current is not None


def test_readers_see_the_old_or_the_new(live: SqliteStore, tmp_path: Path) -> None:
    show(live, history("trk_old"))
    beside = tmp_path / "beside.db"
    with closing(SqliteStore(beside)) as built:
        show(built, history("trk_new"))
        seen = []

        def last_look() -> None:
            seen.append(live.track(TENANT, "trk_old"))
            other = sqlite3.connect(tmp_path / NAME, timeout=0, isolation_level=None)
            with closing(other), pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            show(built, history("trk_newer"))

        swap(tmp_path / NAME, beside, last_look=last_look)
    assert seen[0] is not None
    assert live.track(TENANT, "trk_old") is None
    assert live.track(TENANT, "trk_new") is not None
    assert live.track(TENANT, "trk_newer") is not None


def test_a_swap_that_fails_changes_nothing(live: SqliteStore, tmp_path: Path) -> None:
    show(live, history("trk_1"))
    before = live.dump(), live.sequence()
    SqliteStore(tmp_path / "beside.db").close()

    def breaks() -> None:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="full"):
        swap(tmp_path / NAME, tmp_path / "beside.db", last_look=breaks)
    assert (live.dump(), live.sequence()) == before
    (tmp_path / "damaged.db").write_bytes(b"no database " * 500)
    with pytest.raises(StoreError, match="as it was"):
        swap(tmp_path / NAME, tmp_path / "damaged.db", last_look=lambda: None)
    assert (live.dump(), live.sequence()) == before
    show(live, history("trk_2"))  # and nobody holds it


def test_poison_is_counted(log: Log, tmp_path: Path) -> None:
    with closing(log.producer("test")) as producer:
        producer.send([Outgoing("separated", b"\x01")])
    write(log, history("trk_1"))
    made = replace(log, CODEC, tmp_path, silent)
    assert made.poisoned == 1
    assert made.swapped == Swapped(added=2)


def test_folding_over_gives_back_what_was_lost(log: Log, live: SqliteStore) -> None:
    write(log, history("trk_1"))
    show(live, history("trk_1")[:3])
    assert fold_over(log, CODEC, live, silent).events == len(history("trk_1"))
    track = live.track(TENANT, "trk_1")
    assert track is not None
    assert track.current is not None


def test_one_rebuild_at_a_time(log: Log, tmp_path: Path) -> None:
    with (tmp_path / "projection.rebuild.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another rebuild"):
            replace(log, CODEC, tmp_path, silent)
    assert replace(log, CODEC, tmp_path, silent).swapped == Swapped()


def test_a_rebuild_elsewhere_leaves_the_live_one(
    log: Log, live: SqliteStore, tmp_path: Path
) -> None:
    write(log, history("trk_1"))
    before = live.dump()
    made = build(log, CODEC, tmp_path / "other", silent)
    assert made.swapped is None
    assert live.dump() == before
    with closing(SqliteStore(tmp_path / "other" / NAME)) as other:
        assert other.track(TENANT, "trk_1") is not None
    with pytest.raises(StoreError, match="already"):
        build(log, CODEC, tmp_path / "other", silent)


subsets = st.sets(st.integers(0, 9))


@settings(deadline=None, max_examples=30)
@given(old=subsets, new=subsets, spoilt=subsets)
def test_a_swap_makes_the_live_file_equal(
    tmp_path_factory: pytest.TempPathFactory, old: set[int], new: set[int], spoilt: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("swap")

    def documents(numbers: set[int], title: str) -> list[Document]:
        found = []
        for number in sorted(numbers):
            for change in fold(history(f"trk_{number}")[0]):
                if number in spoilt and change.key.kind == "job":
                    change = Document(Key("job", TENANT, change.key.id), {**change.cells})
                    cell = change.cells["request"]
                    cells = {"request": cell._replace(value={**cell.value, "title": title})}
                    change = Document(change.key, {**change.cells, **cells})
                found.append(change)
        return found

    with (
        closing(SqliteStore(folder / NAME)) as live,
        closing(SqliteStore(folder / "new.db")) as built,
    ):
        live.apply(documents(old, "old"))
        built.apply(documents(new, "new"))
        before = live.sequence()
        made = swap(folder / NAME, folder / "new.db", last_look=lambda: None)
        assert live.dump() == built.dump()
        assert made.removed == 2 * len(old - new)
        assert made.added == 2 * len(new - old)
        assert made.changed == len(old & new & spoilt)
        assert made.documents == 2 * len(new)
        assert len(told(folder / NAME, before)) == made.added + made.changed
        assert live.sequence() == before + made.added + made.changed + made.removed
        again = swap(folder / NAME, folder / "new.db", last_look=lambda: None)
        assert again == Swapped(same=2 * len(new))
