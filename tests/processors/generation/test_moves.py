"""What single moves towards the provider come to, trap by trap."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from processors.generation import following, sending
from processors.generation.desk import Desk
from processors.generation.fetching import HttpFetcher, NotFetched
from processors.generation.provider import HttpProvider
from processors.generation.tickets import Tickets
from processors.runtime import Later
from schemas.events import Generated, GenerationDue, GenerationHinted, GenerationUpdated
from schemas.providers import SUNOAPI
from tests.processors.generation.parts import (
    FakeFetcher,
    FakeTransport,
    MemoryStore,
    fake,
    keep_token,
    provider_settings,
    requested,
)
from tools.provider.faults import Plan, SendFault

START_MS = 1_800_000_000_000


class Office:
    """One worker, one provider, time by hand."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = START_MS
        self.store = MemoryStore()
        self.provider = fake(lambda: self.now_ms / 1000)
        self.fetcher = FakeFetcher()
        settings = provider_settings()
        transport = FakeTransport(self.provider, self.sleep)
        store = self.store.as_store()
        self.desk = Desk(
            provider=HttpProvider(settings, transport=transport),
            account=settings.account,
            store=store,
            tickets=Tickets(store, settings.account, SUNOAPI, lambda: self.now_ms, self.sleep),
            fetcher=self.fetcher,
            folder=folder,
            now_ms=lambda: self.now_ms,
            rng=random.Random(1),
            default_model="V4_5",
        )
        self.request = requested(1, START_MS)
        self.token = keep_token(self.store, self.request)

    def sleep(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)

    def due(self) -> GenerationDue:
        _, due = sending.intend(self.request, self.now_ms)
        assert isinstance(due, GenerationDue)
        return due

    def send(self) -> sending.Moves:
        return sending.send(self.due(), self.desk)

    def hint(self, task_id: str) -> following.Moves:
        work, wanted = self.request.work, self.request.generation
        hint = GenerationHinted(work=work, generation=wanted, hint_id="h", task_id=task_id)
        return following.hinted(hint, self.desk)

    def sent(self) -> GenerationDue:
        """The first look of a request that was taken."""
        *_, look = self.send()
        assert isinstance(look, GenerationDue)
        return look


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def last_update(moves: sending.Moves) -> GenerationUpdated:
    return [each for each in moves if isinstance(each, GenerationUpdated)][-1]


@pytest.mark.parametrize(
    ("fault", "stage", "code", "again"),
    [
        ("no_credits", 90, "no_credits", False),
        ("sensitive", 90, "too_long", False),
        ("too_frequent", 20, "too_frequent", True),
        ("maintenance", 20, "maintenance", True),
        ("server_error", 20, "server_error", True),
        ("refused_connection", 20, "server_error", True),
        ("html", 20, "undecided", False),
        ("taken_then_hang", 20, "undecided", False),
        ("taken_then_cut", 20, "undecided", False),
    ],
)
def test_what_a_request_may_come_to(
    office: Office, fault: SendFault, stage: int, code: str, again: bool
) -> None:
    office.provider.send_faults.append(fault)
    moves = office.send()
    shown = last_update(moves)
    assert (shown.stage, shown.code) == (stage, code)
    resent = [each for each in moves if isinstance(each, Later)]
    assert bool(resent) == again
    if resent:
        assert isinstance(resent[0].event, GenerationDue)
        assert (resent[0].event.step, resent[0].event.number) == ("send", 2)


def test_a_request_that_is_handled_again_is_not_sent_again(office: Office) -> None:
    first = office.send()
    assert office.send() == first
    assert sum(office.provider.paid.values()) == 1
    assert last_update(first).stage == 30


def test_who_died_before_the_answer_leaves_an_undecided_job(office: Office) -> None:
    marks = office.desk.marks(office.request.work)
    assert marks.take("send-1", {"atMs": START_MS})
    shown = last_update(office.send())
    assert (shown.stage, shown.code, shown.sends) == (20, "undecided", 1)
    assert not office.provider.generate_calls_s


def test_a_callback_before_the_task_is_known_is_not_lost(office: Office) -> None:
    office.provider.plans.append(Plan(seconds=30))
    office.provider.send_faults.append("taken_then_cut")
    _, look = office.send()
    assert isinstance(look, GenerationDue)
    (task_id,) = office.provider.tasks
    found = last_update(office.hint(task_id))
    assert (found.stage, found.task_id, found.callback) == (40, task_id, True)
    office.sleep(60)
    made = following.look(look, office.desk)
    assert isinstance(made[0], Generated)
    assert made[0].task_id == task_id
    assert sum(office.provider.paid.values()) == 1


def test_a_look_says_what_a_worker_without_its_partition_found(office: Office) -> None:
    office.provider.plans.append(Plan(seconds=30))
    first = office.sent()
    *_, then = following.look(first, office.desk)  # committed: the record is done with
    office.sleep(60)
    (lost,) = following.look(first, office.desk)  # by who does not know that yet
    assert isinstance(then, Later)
    assert isinstance(then.event, GenerationDue)
    assert following.look(then.event, office.desk) == (lost,)


def test_a_callback_that_was_committed_as_not_yet_stays_that(office: Office) -> None:
    office.provider.plans.append(Plan(seconds=30))
    look = office.sent()
    (task_id,) = office.provider.tasks
    assert last_update(office.hint(task_id)).stage == 40  # committed: the record is done with
    office.sleep(60)
    assert office.hint(task_id) == ()  # by who does not know that yet
    (made,) = following.look(look, office.desk)
    assert isinstance(made, Generated)


def test_a_callback_that_found_the_songs_says_so_each_time_it_is_handled(office: Office) -> None:
    office.provider.plans.append(Plan(seconds=30))
    look = office.sent()
    (task_id,) = office.provider.tasks
    office.sleep(60)
    (made,) = office.hint(task_id)
    assert isinstance(made, Generated)
    office.provider.read_faults.append("maintenance")
    assert office.hint(task_id) == (made,)
    assert following.look(look, office.desk) == ()


@pytest.mark.parametrize("sent", [False, True])
def test_a_forged_task_is_not_taken_for_ones_own(office: Office, sent: bool) -> None:
    other = replace(office.request.generation, prompt="somebody else's song")
    stranger = sending.order(other, "https://melisma.test/other", "V4_5")
    office.desk.provider.generate(stranger)
    (task_id,) = office.provider.tasks
    if sent:
        office.provider.send_faults.append("html")  # undecided: a callback would be believed
        office.send()
    assert office.hint(task_id) == ()
    assert office.hint("no such task") == () or isinstance(office.hint("no such task")[0], Later)
    assert office.desk.marks(office.request.work).read("task") is None


def test_not_taken_for_ten_minutes_is_not_sent_any_more(office: Office) -> None:
    due = office.due()
    office.sleep(600)
    shown = last_update(sending.send(due, office.desk))
    assert (shown.stage, shown.code) == (99, "not_sent")
    assert not office.provider.generate_calls_s


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"<html>gone</html>", "not_audio"),
        (b"", "not_audio"),
        (NotFetched("address_refused", "private"), "address_refused"),
    ],
)
def test_sound_that_is_none_fails_the_job(
    office: Office, answer: bytes | NotFetched, code: str
) -> None:
    office.provider.plans.append(Plan(seconds=10))
    office.provider.audio_url = "https://cdn.test/x.mp3"
    office.fetcher.answers["https://cdn.test/x.mp3"] = answer
    look: Any = office.send()[-1]
    office.sleep(20)
    shown = last_update(following.look(look, office.desk))
    assert (shown.stage, shown.code) == (90, code)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x.mp3",
        "https://127.0.0.1/x.mp3",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x.mp3",
        "https://10.0.0.1:8443/x.mp3",
        "file:///etc/passwd",
        "https://user:word@cdn.test/x.mp3",
    ],
)
def test_private_addresses_are_not_dialled(tmp_path: Path, url: str) -> None:
    fetch = HttpFetcher(provider_settings(suno_base_url="https://api.provider.test"))
    with pytest.raises(NotFetched) as refused:
        fetch(url, tmp_path / "x", "sound")
    assert refused.value.code == "address_refused"
