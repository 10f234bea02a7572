"""The first service's document, example by example, and what it asks of bad input."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.clips.credits import Credits
from gateway.clips.texts import codes, error_text, language_of, stage_text
from schemas.events import Generated, GenerationUpdated, JobFailed, Song
from schemas.work import callback_token_key
from tests.gateway.house import House, settings
from tests.processors.generation.parts import PUBLIC_URL, provider_settings

SEED = Path(__file__).with_name("data") / "music_clips.json"
EXAMPLES: dict[str, Any] = json.loads(SEED.read_text("utf-8"))
"""The JSON examples of the document as they stand there."""

CHANNEL = "channel_xyz"
START_MS = 1_735_246_800_000  # 2024-12-26T21:00:00Z, as in the examples
SONG = Song(song_id="s1", audio_url="https://cdn.suno.ai/audio/xyz789.mp3")


class Account:
    """What the provider says of its credits."""

    def __init__(self) -> None:
        self.answer: Callable[[], httpx.Response] = lambda: said(1000)
        self.asked = 0

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        return self.answer()


def said(data: object, code: int = 200) -> httpx.Response:
    return httpx.Response(200, json={"code": code, "msg": "", "data": data})


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def house(tmp_path: Path, account: Account) -> Iterator[House]:
    house = House(tmp_path, settings=settings().model_copy(update={"public_base_url": PUBLIC_URL}))
    house.clock.ms = START_MS
    house.app.state.provider = provider_settings(suno_base_url="https://api.provider.test")
    house.app.state.credits = Credits(
        house.app.state.provider, transport=httpx.MockTransport(account.handle)
    )
    house.bare = house.client(headers={})  # type: ignore[attr-defined]
    made = bare(house).put(
        f"/api/music-clips/channels/{CHANNEL}",
        json={"prompt": "harbour lights", "style": "folk", "title": "Harbour Lights"},
    )
    assert made.status_code == 200, made.text
    yield house
    house.close()


def bare(house: House) -> Any:
    """A client without X-Client-Id: the document knows none."""
    return house.bare  # type: ignore[attr-defined]


def run_once(house: House, **options: Any) -> httpx.Response:
    answer: httpx.Response = bare(house).request(
        "POST", f"/api/music-clips/channels/{CHANNEL}/runOnce", **options
    )
    return answer


def started(house: House) -> str:
    answer = run_once(house, json={"userId": "user_123"})
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["jobId"]
    return job_id


def update(house: House, job_id: str, stage: int, after_s: float, **more: Any) -> None:
    """An event of a stage, so many seconds behind the request."""
    house.clock.ms = START_MS + round(after_s * 1000)
    job = house.job(job_id)
    wire = {"task_id": "", "channel_id": CHANNEL, **more}
    house.happens(GenerationUpdated(job_id=job_id, track_id=job.track_id, stage=stage, **wire))


def made(house: House, job_id: str, after_s: float, *, late: bool = False) -> None:
    house.clock.ms = START_MS + round(after_s * 1000)
    job = house.job(job_id)
    assert job.work is not None
    assert job.generation is not None
    house.happens(
        Generated(
            work=job.work,
            generation=job.generation,
            task_id="suno_task_xyz789",
            songs=(SONG,),
            late=late,
        )
    )


def seen(house: House, job_id: str, **headers: str) -> dict[str, Any]:
    answer = bare(house).get(f"/api/music-clips/jobs/{job_id}", headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def golden(name: str, body: dict[str, Any]) -> None:
    """The body is the example, member for member and in its order, with ids of its own."""
    example = copy.deepcopy(EXAMPLES[name])
    assert re.fullmatch(
        r"req_\d{13}_[a-z0-9]{6,}", body.get("requestId", "req_0000000000000_aaaaaa")
    )
    if "jobId" in example:
        assert re.fullmatch(r"job_\d{13}_[a-z0-9]{6,}", body["jobId"])
        example["jobId"] = body["jobId"]
    if "requestId" in example:
        example["requestId"] = body["requestId"]
    if name == "404":
        example["message"] = body["message"]
    extra = {"requestId", "traceId"} - example.keys()
    kept = {key: value for key, value in body.items() if key not in extra}
    assert list(kept) == list(example)
    assert json.dumps(kept, ensure_ascii=False) == json.dumps(example, ensure_ascii=False)


def test_accepted(house: House) -> None:
    answer = run_once(house, json={"userId": "user_123"})
    assert answer.status_code == 202
    golden("202", answer.json())
    assert answer.headers["Location"] == f"/api/music-clips/jobs/{answer.json()['jobId']}"
    job = house.job(answer.json()["jobId"])
    assert job.generation is not None
    assert (job.generation.user_id, job.generation.prompt) == ("user_123", "harbour lights")


def test_the_user_may_be_named_in_a_header(house: House) -> None:
    job = house.job(run_once(house, headers={"x-user-id": "user_7"}).json()["jobId"])
    assert job.generation is not None
    assert job.generation.user_id == "user_7"


def test_no_callback_url(tmp_path: Path, house: House) -> None:
    closed = house.services.settings.model_copy(update={"public_base_url": "http://127.0.0.1:8080"})
    object.__setattr__(house.services, "settings", closed)
    answer = run_once(house)
    assert answer.status_code == 400
    golden("400", answer.json())
    assert_traced(answer)
    job_id = answer.headers["Location"].rpartition("/")[2]
    assert seen(house, job_id)["stage"] == "STAGE_90_FAILED"


def test_no_credits_and_the_job_is_there_all_the_same(house: House, account: Account) -> None:
    account.answer = lambda: said(0)
    answer = run_once(house)
    assert answer.status_code == 402
    golden("402", answer.json())
    assert_traced(answer)
    job_id = answer.headers["Location"].rpartition("/")[2]
    body = seen(house, job_id)
    assert (body["stage"], body["error"]) == ("STAGE_90_FAILED", EXAMPLES["402"]["message"])
    (request,) = house.events("generation-requested")
    assert request.event.generation.refusal == "no_credits"  # type: ignore[union-attr]


def test_a_credit_check_that_nobody_answers_holds_nothing_up(
    house: House, account: Account
) -> None:
    def hang() -> httpx.Response:
        raise httpx.ReadTimeout("hangs")

    account.answer = hang
    assert run_once(house).status_code == 202
    assert run_once(house).status_code == 202
    assert account.asked == 1  # that nobody knows is remembered, too


@pytest.mark.parametrize(
    ("name", "stage", "after_s", "more"),
    [
        ("STAGE_30_SUNO_TASK_CREATED", 30, 5.2, {"task_id": "suno_task_xyz789"}),
        ("STAGE_40_SUNO_PENDING", 40, 30.5, {"task_id": "suno_task_xyz789"}),
        (
            "STAGE_90_FAILED",
            90,
            80.3,
            {
                "task_id": "suno_task_xyz789",
                "code": "generate_audio_failed",
                "detail": "Insufficient credits",
            },
        ),
        ("STAGE_99_TIMEOUT", 99, 600.0, {"task_id": "suno_task_xyz789", "code": "timeout"}),
    ],
)
def test_stages(house: House, name: str, stage: int, after_s: float, more: dict[str, Any]) -> None:
    job_id = started(house)
    update(house, job_id, stage, after_s, **more)
    since = EXAMPLES[name]["heartbeat"]["secondsSinceUpdate"]
    house.clock.forward(since)
    golden(name, seen(house, job_id))


def test_stage_10(house: House) -> None:
    job_id = started(house)
    body = seen(house, job_id)
    body["updatedAt"] = EXAMPLES["STAGE_10_REQUEST_ACCEPTED"]["updatedAt"]  # its write took 100 ms
    golden("STAGE_10_REQUEST_ACCEPTED", body)


def test_stage_50(house: House) -> None:
    job_id = started(house)
    made(house, job_id, 135.8)
    golden("STAGE_50_SUNO_SUCCESS", seen(house, job_id))


def test_stale(house: House) -> None:
    job_id = started(house)
    next_ms = START_MS + 60_500
    update(house, job_id, 40, 30.5, task_id="suno_task_xyz789", next_ms=next_ms)
    house.clock.forward(75)
    golden("stale", seen(house, job_id))
    told = bare(house).get(f"/api/music-clips/jobs/{job_id}/details").json()
    assert told["stale"] == {
        "isStale": True,
        "reasons": ["worker_gone", "provider_pending", "no_callback"],
    }
    assert told["provider"]["taskId"] == "suno_task_xyz789"
    assert "просрочена" in told["waitingFor"][0]["text"]


def test_an_unknown_job(house: House) -> None:
    answer = bare(house).get("/api/music-clips/jobs/job_1703616000000_abc123")
    assert answer.status_code == 404
    golden("404", answer.json())
    assert answer.json()["message"] == EXAMPLES["404"]["message"]
    assert_traced(answer)


def assert_traced(answer: httpx.Response) -> None:
    assert answer.json()["traceId"] == answer.headers["traceparent"].split("-")[1]
    assert re.fullmatch(r"req_\d{13}_[a-z0-9]{6}", answer.json()["requestId"])


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "channels/nobody/runOnce", b"{}", 404, "CHANNEL_NOT_FOUND"),
        ("GET", "channels/nobody", None, 404, "CHANNEL_NOT_FOUND"),
        ("GET", "channels/nobody/jobs", None, 404, "CHANNEL_NOT_FOUND"),
        ("DELETE", "channels/nobody", None, 404, "CHANNEL_NOT_FOUND"),
        ("POST", f"channels/{CHANNEL}/runOnce", b"{", 400, "MALFORMED_JSON"),
        ("POST", f"channels/{CHANNEL}/runOnce", b"[]", 400, "MALFORMED_JSON"),
        ("PUT", "channels/c", b'{"prompt": 5}', 422, "VALIDATION_FAILED"),
        ("PUT", "channels/c", b'{"colour": "red"}', 422, "VALIDATION_FAILED"),
        ("PUT", "channels/a.b", b"{}", 422, "CHANNEL_ID_INVALID"),
        ("GET", f"channels/{CHANNEL}/jobs?limit=0", None, 422, "VALIDATION_FAILED"),
        ("GET", f"channels/{CHANNEL}/jobs?cursor=x", None, 422, "VALIDATION_FAILED"),
    ],
)
def test_bad_input(
    house: House, method: str, path: str, body: bytes | None, status: int, error: str
) -> None:
    headers = {"content-type": "application/json"}
    answer = bare(house).request(method, f"/api/music-clips/{path}", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.json()["success"] is False
    assert_traced(answer)


def test_a_prompt_of_5000_characters_is_taken_and_one_more_is_not(house: House) -> None:
    path = "/api/music-clips/channels/long"
    custom = {"style": "folk", "title": "Long"}
    assert bare(house).put(path, json={"prompt": "я" * 5000, **custom}).status_code == 200
    assert bare(house).post(f"{path}/runOnce").status_code == 202
    refused = bare(house).put(path, json={"prompt": "я" * 5001, **custom})
    assert (refused.status_code, refused.json()["error"]) == (422, "PROMPT_TOO_LONG")
    assert_traced(refused)
    short = bare(house).put(path, json={"prompt": "я" * 5000})
    assert (short.status_code, short.json()["error"]) == (422, "PROMPT_TOO_LONG")


def test_channels_are_made_changed_listed_and_removed(house: House) -> None:
    made = bare(house).post("/api/music-clips/channels", json={"prompt": "sea", "chain": "karaoke"})
    assert made.status_code == 201
    channel_id = made.json()["channelId"]
    again = bare(house).post("/api/music-clips/channels", json={"channelId": channel_id})
    assert (again.status_code, again.json()["error"]) == (409, "CHANNEL_EXISTS")
    changed = bare(house).patch(made.headers["Location"], json={"dailyLimit": 3})
    assert (changed.json()["prompt"], changed.json()["dailyLimit"]) == ("sea", 3)
    listed = bare(house).get("/api/music-clips/channels").json()["channels"]
    assert [each["channelId"] for each in listed] == sorted([channel_id, CHANNEL])
    assert bare(house).delete(made.headers["Location"]).status_code == 200
    assert bare(house).get(made.headers["Location"]).status_code == 404


def test_a_daily_limit(house: House) -> None:
    bare(house).patch(f"/api/music-clips/channels/{CHANNEL}", json={"dailyLimit": 2})
    answers = [run_once(house) for _ in range(3)]
    assert [each.status_code for each in answers] == [202, 202, 429]
    assert answers[2].json()["error"] == "DAILY_LIMIT_REACHED"
    assert answers[2].headers["Retry-After"] == str(3 * 3600)
    house.clock.forward(3 * 3600)
    assert run_once(house).status_code == 202


def test_the_same_key_is_the_same_job(house: House) -> None:
    key = {"Idempotency-Key": "once"}
    first = run_once(house, headers=key)
    house.clock.forward(5)
    second = run_once(house, headers=key)
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(house.events("generation-requested")) == 1


def test_jobs_of_a_channel(house: House) -> None:
    first = started(house)
    house.clock.forward(1)
    second = started(house)
    house.imported()
    body = bare(house).get(f"/api/music-clips/channels/{CHANNEL}/jobs").json()
    assert [each["jobId"] for each in body["jobs"]] == [second, first]
    assert body["cursor"] is None


def test_the_channel_shows_its_newest_song_and_a_late_one_does_not_replace_it(house: House) -> None:
    first = started(house)
    house.clock.forward(10)
    second = started(house)
    made(house, second, 100)
    made(house, first, 900, late=True)
    last = bare(house).get(f"/api/music-clips/channels/{CHANNEL}").json()["lastResult"]
    assert (last["jobId"], last["audioUrl"]) == (second, SONG.audio_url)
    listed = house.http.get(f"/v1/tracks/chn_{CHANNEL}/versions")
    assert listed.status_code == 404


def test_late_success_after_the_time_is_over(house: House) -> None:
    job_id = started(house)
    update(house, job_id, 99, 600, task_id="t", code="timeout")
    made(house, job_id, 660, late=True)
    body = seen(house, job_id)
    assert (body["stage"], body["error"]) == ("STAGE_50_SUNO_SUCCESS", None)
    assert bare(house).get(f"/api/music-clips/jobs/{job_id}/details").json()["late"] is True


def test_a_job_that_a_worker_gave_up_on_has_failed(house: House) -> None:
    job_id = started(house)
    job = house.job(job_id)
    house.happens(
        JobFailed(
            job_id=job_id, track_id=job.track_id, stage="generation", code="crashed", message="oh"
        )
    )
    body = seen(house, job_id)
    assert (body["stage"], body["error"]) == ("STAGE_90_FAILED", "Генерация не удалась: oh")


def test_a_retry_asks_anew_but_not_for_a_song_that_is_there(house: House) -> None:
    job_id = started(house)
    update(house, job_id, 90, 20, code="sensitive_words")
    house.clock.forward(3600)
    answer = house.http.post(f"/v1/jobs/{job_id}/retry")
    assert answer.status_code == 202, answer.text
    again: Any = house.events("generation-requested")[-1].event
    assert (again.work.attempt, again.generation.requested_ms) == (2, house.clock.ms)
    assert seen(house, job_id)["stage"] == "STAGE_10_REQUEST_ACCEPTED"
    made(house, job_id, 4000)
    job = house.job(job_id)
    crashed: dict[str, Any] = {"stage": "clip", "code": "crashed", "message": "oh", "attempt": 2}
    house.happens(JobFailed(job_id=job_id, track_id=job.track_id, **crashed))
    assert house.http.post(f"/v1/jobs/{job_id}/retry").status_code == 202
    assert len(house.events("generation-requested")) == 2
    third: Any = house.events("generated")[-1].event
    assert (third.work.attempt, third.songs) == (3, (SONG,))
    assert seen(house, job_id)["stage"] == "STAGE_50_SUNO_SUCCESS"


def token_of(house: House, job_id: str) -> str:
    key = callback_token_key("default", job_id)
    token: str = json.loads(house.artifacts.read(house.artifacts.uri(key)))["token"]
    return token


CALLBACK = {
    "code": 200,
    "msg": "All generated successfully.",
    "data": {
        "callbackType": "complete",
        "task_id": "suno_task_xyz789",
        "data": [{"id": "s1", "audio_url": "https://evil.test/x.mp3"}],
    },
}


def test_a_callback_has_the_record_read_and_is_believed_in_nothing(house: House) -> None:
    job_id = started(house)
    before = seen(house, job_id)
    path = f"/api/webhooks/suno/music/{token_of(house, job_id)}"
    assert bare(house).post(path, json=CALLBACK).status_code == 200
    (hint,) = house.events("generation-hinted")
    event: Any = hint.event
    assert (event.work.job_id, event.task_id, event.callback_type) == (
        job_id,
        "suno_task_xyz789",
        "complete",
    )
    after = seen(house, job_id)
    del before["requestId"], after["requestId"]
    assert before == after
    assert "evil.test" not in json.dumps(event.to_wire())


@pytest.mark.parametrize("token", ["", "/forged", "/" + "a" * 40, "/../../x", "/" + "a" * 500])
def test_a_forged_callback_changes_nothing(house: House, token: str) -> None:
    started(house)
    count = house.count_events()
    answer = bare(house).post(f"/api/webhooks/suno/music{token}", json=CALLBACK)
    assert answer.status_code == 404
    assert house.count_events() == count


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {"task_id": 5}}, {"data": []}])
def test_callbacks_of_any_shape_are_taken_for_a_hint(house: House, body: dict[str, Any]) -> None:
    job_id = started(house)
    path = f"/api/webhooks/suno/music/{token_of(house, job_id)}"
    assert bare(house).post(path, json=body).status_code == 200
    (hint,) = house.events("generation-hinted")
    assert hint.event.task_id == ""  # type: ignore[union-attr]


def test_no_event_carries_the_callback_address(house: House) -> None:
    job_id = started(house)
    token = token_of(house, job_id)
    (request,) = house.events("generation-requested")
    assert token not in json.dumps(request.event.to_wire())


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "ru"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("ru,en;q=0.8", "ru"),
        ("de", "ru"),
        ("*", "ru"),
        ("en;q=0.2,ru;q=0.1", "en"),
        ("en;q=x", "ru"),
    ],
)
def test_languages(accept: str, language: str) -> None:
    assert language_of(accept) == language


def test_every_trap_has_words_in_both_languages(house: House) -> None:
    for code in codes():
        russian, english = (error_text(code, "some words", each) for each in ("ru", "en"))
        assert russian
        assert english
        assert "{" not in russian + english
    job_id = started(house)
    update(house, job_id, 20, 1, code="undecided", detail="no answer")
    assert "не отправляем" in seen(house, job_id)["progressText"]
    english = seen(house, job_id, **{"accept-language": "en"})["progressText"]
    assert english == stage_text(20, "undecided", "en")
    assert "not sent again" in english


def test_channels_are_listed_in_pages(house: House) -> None:
    path = "/api/music-clips/channels"
    for name in ("c", "a", "b"):
        assert bare(house).put(f"{path}/{name}", json={"prompt": "sea"}).status_code == 200
    first = bare(house).get(path, params={"limit": 2}).json()
    last = bare(house).get(path, params={"limit": 2, "cursor": first["cursor"]}).json()
    listed = [each["channelId"] for each in first["channels"] + last["channels"]]
    assert listed == sorted(["a", "b", "c", CHANNEL])
    assert first["cursor"] is not None
    assert last["cursor"] is None
    assert bare(house).get(path, params={"cursor": "x"}).status_code == 422
