"""The commands as a shell sees them: what they print, what they refuse, how they end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from gateway.server import Server, listen
from tests.gateway.house import House
from tools import cli
from topics.catalog import partitions
from topics.log import EmbeddedLog, Outgoing

Run = Callable[..., Result]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(House(tmp_path)) as made:
        made.log.provision(partitions(("alignment",)) | {"projector.dlq": 1})
        yield made


@pytest.fixture
def run(house: House, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``melisma``, over the house's folder where the command takes one."""
    monkeypatch.chdir(house.folder)  # no .env of the repository is read
    monkeypatch.setenv("COLUMNS", "100")

    def command(*arguments: str, data: bool = True) -> Result:
        where = ("--data", str(house.folder)) if data else ()
        return CliRunner().invoke(cli.app, [*arguments, *where])

    return command


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result) -> str:
    """One line on stderr, nothing of the insides, status 1."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("melisma: ")
    return lines[0]


def poisoned(house: House, *offsets: int) -> None:
    """Dead letters of alignment about poison in ``separated``."""
    with closing(house.log.producer("test")) as producer:
        for offset in offsets:
            producer.send([Outgoing("separated", b"\x01 bad", b"trk_1", partition=0)])
            about = {
                "code": "poison",
                "message": "separated: see https://store.example/a?X-Amz-Signature=5ec2e7",
                "topic": "separated",
                "partition": "0",
                "offset": str(offset),
            }
            headers = tuple((f"melisma.error.{k}", v.encode()) for k, v in about.items())
            producer.send([Outgoing("alignment.dlq", b"\x01 bad", b"trk_1", headers)])


# -- replay ------------------------------------------------------------------------------------


def test_replay_shows_asks_and_does(house: House, run: Run) -> None:
    track = house.published()["trackId"]
    base = ("replay", "separated", "--stage", "align")
    before = house.count_events()
    shown = json.loads(ok(run(*base, "--dry-run", "-o", "json")))
    assert shown["dryRun"] is True
    assert [each["trackId"] for each in shown["requested"]] == [track]
    assert "--yes" in refused(run(*base))
    assert house.count_events() == before
    done = json.loads(ok(run(*base, "--yes", "-o", "json", "--rate", "100/s")))
    [requested] = done["requested"]
    assert (requested["version"], requested["source"][:10]) == (2, "separated/")
    assert len(house.events("reprocess-requested")) == 1
    text = ok(run(*base, "--yes", "--id", done["replayId"]))
    assert "this replay asked for it already" in text
    assert len(house.events("reprocess-requested")) == 1


def test_replay_prints_a_table_that_fits(house: House, run: Run) -> None:
    house.published()
    text = ok(run("replay", "separated", "--stage", "alignment", "--dry-run"))
    assert "1 job would be requested from alignment on, 0 tracks left alone" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--stage", "alignment"), "--job or --track"),
        (("separated", "--stage", "mixing"), "the stages are separation"),
        (("step-progressed", "--stage", "alignment"), "holds no work"),
        (("separated", "--stage", "alignment", "--rate", "fast"), "5/s"),
        (("separated", "--stage", "alignment", "--from", "soon"), "15m"),
    ],
)
def test_replay_says_what_it_cannot_do(arguments: tuple[str, ...], said: str, run: Run) -> None:
    assert said in refused(run("replay", *arguments))


# -- rebuild -----------------------------------------------------------------------------------


def test_rebuild_says_what_it_changed(house: House, run: Run) -> None:
    house.published()
    house.store.clear()
    text = ok(run("rebuild"))
    assert "2 jobs and tracks: 0 as before, 0 changed, 2 added, 0 removed" in text
    again = json.loads(ok(run("rebuild", "-o", "json")))
    assert again["documents"] == {"same": 2, "changed": 0, "added": 0, "removed": 0}
    assert again["events"] > 0
    other = house.folder / "other"
    assert "projection is in" in ok(run("rebuild", "--to", str(other)))
    assert "already" in refused(run("rebuild", "--to", str(other)))


# -- dead letters ------------------------------------------------------------------------------


def test_dead_letters_are_listed_shown_and_compared(house: House, run: Run) -> None:
    assert ok(run("dlq", "ls")) == "no dead letters that nobody handled\n"
    poisoned(house, 0)
    listed = ok(run("dlq", "ls"))
    assert "alignment/0/0" in listed
    [summary] = json.loads(ok(run("dlq", "ls", "-o", "json", "--stage", "alignment")))
    assert (summary["code"], summary["origin"]) == ("poison", "separated/0/0")
    text = ok(run("dlq", "show", "alignment/0/0", "--diff"))
    assert "01 20 62 61 64" in text
    assert "golden example of separated" in text
    shown = json.loads(ok(run("dlq", "show", "alignment/0/0", "-o", "json")))
    assert bytes.fromhex(shown["valueHex"]) == b"\x01 bad"
    for output in (listed, text, json.dumps(summary), json.dumps(shown)):
        assert "5ec2e7" not in output
    assert "dlq ls --all" in refused(run("dlq", "show", "alignment/0/9"))


def test_dead_letters_are_replayed_and_dropped_for_a_reason(house: House, run: Run) -> None:
    poisoned(house, 0, 1, 2)
    replay = ("dlq", "replay", "alignment/0/0")
    assert "--reason" in refused(run(*replay, "--yes"))
    assert "--yes" in refused(run(*replay, "--reason", "fixed"))
    assert "--everything" in refused(run("dlq", "replay", "--reason", "fixed", "--yes"))
    before = house.log.end_offsets(["separated"])
    text = ok(run(*replay, "--dry-run"))
    assert "1 would be replayed, 0 left alone" in text
    assert house.log.end_offsets(["separated"]) == before
    done = json.loads(ok(run(*replay, "--reason", "fixed", "--yes", "-o", "json")))
    assert [each["letters"] for each in done["replayed"]] == [["alignment/0/0"]]
    assert sum(house.log.end_offsets(["separated"]).values()) == sum(before.values()) + 1
    assert "replayed already (fixed)" in ok(run(*replay, "--reason", "more", "--yes"))
    drop = ("dlq", "drop", "alignment/0/1", "--reason", "no song")
    assert json.loads(ok(run(*drop, "--yes", "-o", "json")))["dropped"] == ["alignment/0/1"]
    [left] = json.loads(ok(run("dlq", "ls", "-o", "json")))
    assert left["letter"] == "alignment/0/2"
    states = {
        each["letter"]: each["handled"] and each["handled"]["action"]
        for each in json.loads(ok(run("dlq", "ls", "--all", "-o", "json")))
    }
    assert states == {
        "alignment/0/0": "replayed",
        "alignment/0/1": "dropped",
        "alignment/0/2": None,
    }
    assert "has no dead letters" in refused(run("dlq", "ls", "--stage", "mixing"))
    rest = ("dlq", "replay", "--everything", "--reason", "all", "--yes", "--rate", "50/s")
    assert "1 replayed" in ok(run(*rest))


# -- topics ------------------------------------------------------------------------------------


def test_topics_are_provisioned_and_checked(house: House, run: Run) -> None:
    assert run("topics", "check").exit_code == 1
    different = json.loads(ok(run("topics", "diff", "-o", "json")))
    assert different["ok"] is False
    assert "separation.dlq" in {each["topic"] for each in different["different"]}
    assert "topics and 0 schemas made" in ok(run("topics", "apply"))
    assert "as the catalog has them" in ok(run("topics", "check"))
    assert json.loads(ok(run("topics", "apply", "-o", "json"))) == {"made": [], "left": []}


def test_more_partitions_are_said_and_left(tmp_path: Path, run: Run, house: House) -> None:
    folder = tmp_path / "narrow"
    folder.mkdir()
    with closing(House(folder)) as narrow:
        narrow.log.provision({"quality.dlq": 3})
    arguments = ("topics", "apply", "--data", str(folder))
    assert run(*arguments, data=False).exit_code == 0
    rows = json.loads(ok(run("topics", "diff", "-o", "json", "--data", str(folder), data=False)))
    assert [(row["topic"], row["verdict"]) for row in rows["different"]] == [
        ("quality.dlq", "more")
    ]


def test_fewer_partitions_are_refused(house: House, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "narrow"
    folder.mkdir()
    with closing(EmbeddedLog(folder / "log.db")) as log:
        log.provision({"separated": 1})
    for command in ("apply", "check"):
        result = run("topics", command, "--data", str(folder), data=False)
        assert result.exit_code == 1
        assert "at most 1 workers" in result.output
    with closing(EmbeddedLog(folder / "log.db")) as log:
        assert log.topics()["separated"] == 1
        assert log.topics()["aligned"] == 4


def test_topics_are_listed_and_followed(house: House, run: Run) -> None:
    accepted = house.published()
    text = ok(run("topics", "ls"))
    assert max(map(len, text.splitlines())) <= 100
    rows: list[dict[str, Any]] = json.loads(ok(run("topics", "ls", "--all", "-o", "json")))
    assert {row["topic"]: row["written"] for row in rows}["published"] == 1
    [line] = ok(run("topics", "tail", "published", "--decode", "-o", "json")).splitlines()
    assert json.loads(line)["event"]["work"]["jobId"] == accepted["jobId"]
    assert accepted["jobId"] in ok(run("topics", "tail", "published", "--decode"))
    assert "bytes" in ok(run("topics", "tail", "published", "--from-beginning"))
    assert "topics ls" in refused(run("topics", "tail", "unheard-of"))


# -- jobs --------------------------------------------------------------------------------------


@pytest.fixture
def url(house: House) -> Iterator[str]:
    listener = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    house.base_url = address
    with Server(house.services, listener).start():
        yield address
    listener.close()


def test_jobs_are_listed_shown_retried_and_canceled(house: House, run: Run, url: str) -> None:
    good, bad = house.published(title="Harbour Lights")["jobId"], house.imported()["jobId"]
    house.separate(bad)
    house.fail(bad)

    def jobs(*arguments: str) -> str:
        return ok(run("jobs", *arguments, "--url", url, data=False))

    assert {each["jobId"] for each in json.loads(jobs("ls", "-o", "json"))} == {good, bad}
    text = jobs("ls")
    assert good in text
    assert "Harbour Lights" in text
    assert max(map(len, text.splitlines())) <= 100
    [failed] = json.loads(jobs("ls", "--state", "failed", "--stage", "alignment", "-o", "json"))
    assert failed["jobId"] == bad
    assert len(json.loads(jobs("ls", "-n", "1", "-o", "json"))) == 1
    assert json.loads(jobs("ls", "--since", "2100-01-01", "-o", "json")) == []
    assert "no singing was found" in jobs("show", bad)
    [retried] = json.loads(jobs("retry", bad, "-o", "json"))
    assert retried["attempt"] == 2
    # one that is refused does not keep the others from it
    both = run("jobs", "cancel", good, bad, "--reason", "wrong song", "--url", url, data=False)
    assert good in refused(both)
    assert bad in both.stdout
    assert json.loads(jobs("show", bad, "-o", "json"))["state"] == "canceled"
    assert "wrong song" in jobs("show", bad)
    for words in (("retry", good), ("cancel", good), ("show", "job_unheard_of")):
        assert words[1] in refused(run("jobs", *words, "--url", url, data=False))
    assert "the states are" in refused(run("jobs", "ls", "--state", "lost", data=False))
    assert "the stages are" in refused(run("jobs", "ls", "--stage", "mixing", data=False))


def test_a_gateway_that_is_away_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    monkeypatch.setattr(httpx.Client, "request", away)
    monkeypatch.setattr("tools.ops.asking._PATIENCE_S", 0.0)
    text = refused(run("jobs", "ls", "--url", "http://127.0.0.1:9", data=False))
    assert "http://127.0.0.1:9" in text
    assert "--url" in text
    assert "no address" in refused(run("jobs", "ls", "--url", "localhost", data=False))


# -- everywhere --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "separated", "--stage", "alignment"),
        ("rebuild",),
        ("dlq", "ls"),
        ("topics", "ls"),
        ("topics", "tail", "separated"),
    ],
)
def test_a_folder_without_a_log_is_named_and_not_made(
    arguments: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    mistyped = tmp_path / "dat"
    assert "dat'" in refused(run(*arguments, "--data", str(mistyped), data=False))
    assert not mistyped.exists()


def test_a_damaged_log_is_named(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "log.db").write_bytes(b"This is not a database. " * 1000)
    assert "log.db" in refused(run("dlq", "ls", "--data", str(folder), data=False))


@pytest.mark.parametrize(
    ("name", "value"), [("DOWNLOAD_URL_TTL_SECONDS", "soon"), ("KAFKA_REPLICATION_FACTOR", "many")]
)
def test_a_wrong_setting_is_named(
    name: str, value: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    text = refused(run("dlq", "ls"))
    assert name in text
    assert f"'{value}'" not in text
