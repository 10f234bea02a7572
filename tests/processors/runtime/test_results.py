"""Content-addressed results and the leases on them, on the local store."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from processors.runtime.lease import Holder, Leases
from processors.runtime.results import Identity, Made, MadeFile, Result, Results
from schemas.events import Backend
from tests.processors.runtime.rig import settings_in, until
from topics.artifacts.protocol import ArtifactStore

IDENTITY = Identity(
    tenant="default",
    stage="trial",
    revision=1,
    inputs=("ab" * 32,),
    backend=Backend(name="light", model="m/1", device="cpu"),
    decoder="d/1",
    parameters={"hop": 10},
)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return settings_in(tmp_path).bus.open_artifacts()


class Maker:
    """Makes a result and counts how often."""

    def __init__(self, content: bytes = b"result") -> None:
        self.content = content
        self.times = 0

    def __call__(self, folder: Path) -> Made:
        self.times += 1
        path = folder / "out.bin"
        path.write_bytes(self.content)
        return Made((MadeFile("out", path, "text/plain"),), {"peak": 0.5})


def results(store: ArtifactStore, token: str = "f00d", **changes: object) -> Results:
    holder = replace(Holder.this_process(token), **changes)  # type: ignore[arg-type]
    return Results(store, holder=lambda: holder, lease_s=15.0)


def obtain(
    store: ArtifactStore,
    tmp_path: Path,
    make: Callable[[Path], Made],
    identity: Identity = IDENTITY,
    token: str = "f00d",
) -> Result:
    scratch = tmp_path / "scratch" / token
    scratch.mkdir(parents=True, exist_ok=True)
    return results(store, token).obtain(identity, make, scratch, waiting=lambda begins: None)


def test_made_once_then_adopted(store: ArtifactStore, tmp_path: Path) -> None:
    make = Maker()
    first = obtain(store, tmp_path, make)
    second = obtain(store, tmp_path, make, token="beef")
    assert make.times == 1
    assert (first.reused, second.reused) == (False, True)
    assert first.artifacts == second.artifacts
    assert first["out"].media_type == "text/plain"
    assert store.read(first["out"].uri) == b"result"
    assert second.facts == {"peak": 0.5}
    with pytest.raises(KeyError):
        first["other"]


@pytest.mark.parametrize(
    "changed",
    [
        {"tenant": "other"},
        {"revision": 2},
        {"inputs": ("cd" * 32,)},
        {"inputs": ("ab" * 32, "ab" * 32)},
        {"backend": Backend(name="light", model="m/2", device="cpu")},
        {"backend": Backend(name="light", model="m/1", device="cuda")},
        {"decoder": "d/2"},
        {"parameters": {"hop": 20}},
        {"force": "job 1"},
    ],
)
def test_whatever_decides_the_bytes_is_in_the_address(
    store: ArtifactStore, tmp_path: Path, changed: dict[str, object]
) -> None:
    make = Maker()
    first = obtain(store, tmp_path, make)
    other = obtain(store, tmp_path, make, replace(IDENTITY, **changed))  # type: ignore[arg-type]
    assert make.times == 2
    assert not other.reused
    assert first["out"].uri != other["out"].uri
    assert store.read(first["out"].uri) == b"result"


def test_results_of_one_task_may_name_their_files_alike(
    store: ArtifactStore, tmp_path: Path
) -> None:
    contents = {"ab" * 32: b"first", "cd" * 32: b"second"}
    made = [
        obtain(store, tmp_path, Maker(content), replace(IDENTITY, inputs=(digest,)))
        for digest, content in contents.items()
    ]
    assert [store.read(each["out"].uri) for each in made] == [b"first", b"second"]


def test_only_what_was_made_in_the_folder_is_given_away(
    store: ArtifactStore, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.bin"
    kept.write_bytes(b"an input")
    made = obtain(store, tmp_path, lambda _: Made((MadeFile("out", kept, "text/plain"),)))
    assert kept.read_bytes() == store.read(made["out"].uri) == b"an input"


def test_no_manifest_no_result(store: ArtifactStore, tmp_path: Path) -> None:
    def dies(folder: Path) -> Made:
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        obtain(store, tmp_path, dies)
    make = Maker()
    assert not obtain(store, tmp_path, make).reused  # and the lease was given up
    assert make.times == 1


@pytest.mark.parametrize("damage", ["bytes", "missing", "manifest"])
def test_a_damaged_result_is_made_again_elsewhere(
    store: ArtifactStore, tmp_path: Path, damage: str
) -> None:
    make = Maker()
    first = obtain(store, tmp_path, make)
    key = next(key for key in store.keys("results/") if key.endswith("/out.bin"))
    manifest = f"results/trial/{IDENTITY.digest(0)}/manifest.json"
    if damage == "bytes":
        store.put(key, b"other!", "text/plain")
    elif damage == "missing":
        store.delete(first["out"].uri)
    else:
        store.put(manifest, b"{", "application/json")
    before = store.read(store.uri(manifest))
    second = obtain(store, tmp_path, make)
    assert make.times == 2
    assert store.read(second["out"].uri) == b"result"
    assert second["out"].uri != first["out"].uri
    assert store.read(store.uri(manifest)) == before  # nothing published is written again
    assert obtain(store, tmp_path, make).reused


def test_who_comes_second_adopts_and_takes_its_own_away(
    store: ArtifactStore, tmp_path: Path
) -> None:
    """A zombie, whose lease was taken over, ends its work after the new holder."""

    def slow(folder: Path) -> Made:
        # Meanwhile another worker finds the lease dead, makes the result and publishes it.
        key = f"results/trial/{IDENTITY.digest(0)}/lease-0000.json"
        said = json.loads(store.read(store.uri(key)))
        store.put(key, json.dumps({**said, "released": True}).encode(), "application/json")
        obtain(store, tmp_path, Maker(b"winner"), token="beef")
        return Maker(b"loser")(folder)

    result = obtain(store, tmp_path, slow)
    assert result.reused
    assert store.read(result["out"].uri) == b"winner"
    assert len([key for key in store.keys("results/") if key.endswith("/out.bin")]) == 1


def test_racing_workers_make_it_once(store: ArtifactStore, tmp_path: Path) -> None:
    make = Maker()
    gate = threading.Barrier(6)
    found: list[Result] = []

    def work(token: str) -> None:
        gate.wait()
        found.append(obtain(store, tmp_path, make, token=token))

    threads = [threading.Thread(target=work, args=(f"{n:04x}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert make.times == 1
    assert len({result.artifacts for result in found}) == 1
    assert [result.reused for result in found].count(False) == 1


@pytest.mark.parametrize("facts", [{"peak": float("nan")}, {"a": [{"b": float("inf")}]}])
def test_facts_that_json_cannot_say_are_named(
    store: ArtifactStore, tmp_path: Path, facts: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"facts\.(peak|a\[0\]\.b) is"):
        obtain(store, tmp_path, lambda folder: Made((), facts))  # type: ignore[arg-type]


def test_inputs_are_named_by_their_digest() -> None:
    with pytest.raises(ValueError, match="sha256"):
        replace(IDENTITY, inputs=("",))


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def leases(store: ArtifactStore, holder: Holder, clock: Time) -> Leases:
    return Leases(store, "results/trial/x", holder, lease_s=15.0, monotonic_s=clock)


def test_a_lease_that_stands_still_is_taken_over(store: ArtifactStore) -> None:
    """The holder is on another machine: only the standstill tells that it is dead."""
    here, clock = Holder.this_process("here"), Time()
    there = replace(here, place="another machine", pid=1, token="there")
    assert leases(store, there, clock).take() is not None  # and never beats
    mine = leases(store, here, clock)
    assert mine.take() is None
    clock.now = 14.9
    assert mine.take() is None
    clock.now = 15.1
    assert mine.take() is not None
    assert leases(store, replace(here, token="third"), clock).take() is None


def test_a_lease_that_beats_is_respected(store: ArtifactStore) -> None:
    here, clock = Holder.this_process("here"), Time()
    there = replace(here, place="another machine", pid=1, token="there")
    held = leases(store, there, clock).take()
    assert held is not None
    held._beat_s = 0.01
    mine = leases(store, here, clock)
    uri = store.uri("results/trial/x/lease-0000.json")
    with held:
        for _ in range(5):
            seen = [store.read(uri)]
            assert mine.take() is None
            clock.now += 14
            until(lambda: store.read(uri) not in seen, "a beat")  # noqa: B023  (called at once)
    assert mine.take() is not None  # given up


def test_a_dead_process_of_this_machine_is_replaced_at_once(store: ArtifactStore) -> None:
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "from processors.runtime.lease import Holder; import dataclasses, json;"
            "print(json.dumps(dataclasses.asdict(Holder.this_process('dead'))))",
        ],
        check=True,
        capture_output=True,
    )
    dead, me, clock = Holder(**json.loads(child.stdout)), Holder.this_process("me"), Time()
    assert dead.is_dead(me)
    assert not me.is_dead(me)
    assert replace(me, started=me.started + 1).is_dead(me)  # the pid was used again
    assert not replace(dead, place="another machine").is_dead(me)
    assert leases(store, dead, clock).take() is not None
    assert leases(store, me, clock).take() is not None
    assert me.pid == os.getpid()
