"""Webhook endpoints through the API."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import Notified, WebhookAttempted, WebhookEndpointChanged, WebhookEndpointJudged
from schemas.webhooks import TYPES, owed
from tests.gateway.house import House, problem

URL = "https://example.com/hook?token=hook-secret"


def make(house: House, **more: Any) -> dict[str, Any]:
    answer = house.http.post("/v1/webhook-endpoints", json={"url": URL} | more)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/webhook-endpoints/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"
    return made


def attempted(house: House, endpoint: str, number: int, **more: Any) -> None:
    fields: dict[str, Any] = {
        "endpoint_id": endpoint,
        "notification_id": f"msg_{number}",
        "track_id": f"trk_{number}",
        "type": "track.ready",
        "sequence": 1,
        "body": f'{{"number":{number}}}',
    }
    house.happens(WebhookAttempted(**fields | more))


def test_an_endpoint_is_made_listed_changed_and_deleted(house: House) -> None:
    made = make(house, types=["track.ready"], description="production")
    assert made["secret"].startswith("whsec_")
    assert made["status"] == "active"
    listed = house.http.get("/v1/webhook-endpoints").json()["endpoints"]
    assert [each["id"] for each in listed] == [made["id"]]
    assert "secret" not in listed[0]
    path = f"/v1/webhook-endpoints/{made['id']}"
    assert house.http.get(path).json() == listed[0]

    other = "https://example.com/other"
    changed = house.http.patch(path, json={"url": other, "types": ["job.failed"]}).json()
    assert (changed["url"], changed["types"]) == (other, ["job.failed"])
    assert changed["description"] == "production"
    assert house.http.get(f"{path}/secret").json()["secret"] == made["secret"]

    assert house.http.delete(path).status_code == 204
    problem(house.http.get(path), 404, "webhook_endpoint_not_found")
    assert house.http.get("/v1/webhook-endpoints").json() == {"endpoints": []}


def test_the_same_key_makes_one_endpoint_and_shows_its_secret_again(house: House) -> None:
    key = {"Idempotency-Key": "once"}
    first = house.http.post("/v1/webhook-endpoints", json={"url": URL}, headers=key)
    again = house.http.post("/v1/webhook-endpoints", json={"url": URL}, headers=key)
    assert again.json() == first.json()
    assert len(house.http.get("/v1/webhook-endpoints").json()["endpoints"]) == 1


def test_no_secret_and_no_url_reaches_a_topic_or_a_row(house: House) -> None:
    made = make(house)
    house.http.post(f"/v1/webhook-endpoints/{made['id']}/rotate-secret")
    house.http.post(f"/v1/webhook-endpoints/{made['id']}/test")
    house.imported(callbackUrl=URL)
    house.http.get(f"/v1/webhook-endpoints/{made['id']}/attempts")
    kept = b"".join(
        path.read_bytes()
        for path in house.folder.rglob("*")
        if path.is_file() and "artifacts" not in path.parts
    )
    assert made["id"].encode() in kept
    assert made["secret"].removeprefix("whsec_").encode() not in kept
    assert b"hook-secret" not in kept


def test_a_rotation_gives_another_secret_and_the_old_one_still_signs(house: House) -> None:
    made = make(house)
    path = f"/v1/webhook-endpoints/{made['id']}"
    rotated = house.http.post(f"{path}/rotate-secret", json={"overlapSeconds": 60}).json()
    assert rotated["secret"] != made["secret"]
    assert rotated["secretNumber"] == 2
    endpoint = house.services.webhooks.directory.endpoint("default", made["id"])
    assert endpoint is not None
    assert endpoint.generations(house.clock.ms) == (2, 1)
    assert endpoint.generations(house.clock.ms + 60_000) == (2,)
    keys = house.services.webhooks.keys.signing(endpoint, house.clock.ms)
    assert len(keys) == 2


def test_the_secret_of_callbacks_is_read_and_rotated(house: House) -> None:
    path = "/v1/webhook-endpoints/callbacks"
    first = house.http.get(f"{path}/secret").json()
    second = house.http.post(f"{path}/rotate-secret").json()
    assert second["secretNumber"] == first["secretNumber"] + 1
    assert house.http.get(f"{path}/secret").json() == second
    job = house.imported(callbackUrl=URL)
    callback = house.work(job["jobId"]).callback_id
    endpoint = house.services.webhooks.directory.endpoint("default", callback)
    assert endpoint is not None
    keys = house.services.webhooks.keys
    newest, before = keys.signing(endpoint, house.clock.ms)
    assert newest == keys.key("default", "callbacks", 2)
    assert before == keys.key("default", "callbacks", 1)


def test_pause_and_resume(house: House) -> None:
    path = f"/v1/webhook-endpoints/{make(house)['id']}"
    assert house.http.post(f"{path}/pause").json()["status"] == "paused"
    assert house.http.post(f"{path}/resume").json()["status"] == "active"


def test_a_disabled_endpoint_says_why_and_is_resumed(house: House) -> None:
    made = make(house)
    verdict = WebhookEndpointJudged(
        endpoint_id=made["id"], verdict="disabled", reason="gone", number=1
    )
    house.happens(verdict)
    path = f"/v1/webhook-endpoints/{made['id']}"
    shown = house.http.get(path).json()
    assert (shown["status"], shown["disabledReason"]) == ("disabled", "gone")
    assert house.http.post(f"{path}/resume").json()["status"] == "active"
    house.happens(verdict)  # again, of the time before: void
    assert house.http.get(path).json()["status"] == "active"


def test_one_url_has_one_callback_that_can_be_looked_at(house: House) -> None:
    first, second = (house.imported(callbackUrl=URL)["jobId"] for _ in range(2))
    callback = house.work(first).callback_id
    assert house.work(second).callback_id == callback
    shown = house.http.get(f"/v1/webhook-endpoints/{callback}")
    assert shown.json()["url"] == URL
    unknown = "cbk_" + "0" * 32
    problem(house.http.get(f"/v1/webhook-endpoints/{unknown}"), 404, "webhook_endpoint_not_found")
    problem(house.http.get("/v1/webhook-endpoints/cbk_.."), 404, "webhook_endpoint_not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": 5},
        {"url": URL, "types": ["track.exploded"]},
        {"url": URL, "types": "track.ready"},
        {"url": URL, "secret": "whsec_mine"},
        {"url": "https://example.com/" + "x" * 2048},
        {"url": URL, "description": "x" * 501},
    ],
)
def test_fields_are_checked(house: House, body: dict[str, Any]) -> None:
    answer = house.http.post("/v1/webhook-endpoints", json=body)
    assert problem(answer, 422, "validation_failed")["errors"]


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://127.0.0.1/", "https://[::1]/", "https://me:pw@example.com/"],
)
def test_urls_are_checked_and_never_repeated(house: House, url: str) -> None:
    answer = house.http.post("/v1/webhook-endpoints", json={"url": url})
    refused = problem(answer, 422, "callback_refused")
    assert refused["errors"][0]["pointer"] == "#/url"
    assert url not in answer.text


def test_a_tenant_has_a_hundred_endpoints_at_most(house: House) -> None:
    house.happens(
        *(WebhookEndpointChanged(endpoint_id=f"whk_{n}", callback_id="cbk_0") for n in range(100))
    )
    answer = house.http.post("/v1/webhook-endpoints", json={"url": URL})
    problem(answer, 409, "too_many_webhook_endpoints")


def test_a_test_is_owed_at_once(house: House) -> None:
    made = make(house)
    answer = house.http.post(f"/v1/webhook-endpoints/{made['id']}/test")
    assert answer.status_code == 202
    [owe] = [each.event for each in house.events("webhook-attempted")]
    assert isinstance(owe, WebhookAttempted)
    assert (owe.notification_id, owe.type) == (answer.json()["messageId"], "webhook.test")
    assert (owe.endpoint_id, owe.outcome) == (made["id"], "owed")


def test_attempts_and_deliveries_are_listed_in_pages(house: House) -> None:
    made = make(house)
    for number in range(5):
        attempted(house, made["id"], number)
        house.clock.forward(1)
        attempted(
            house,
            made["id"],
            number,
            attempt=1,
            outcome="exhausted" if number == 3 else "delivered",
            status=500 if number == 3 else 204,
            error="status" if number == 3 else "",
            body="",
        )
    path = f"/v1/webhook-endpoints/{made['id']}"
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = house.http.get(f"{path}/attempts", params=query).json()
        seen += [each["messageId"] for each in page["attempts"]]
        cursor = page.get("cursor")
        if not cursor:
            break
    assert seen == [f"msg_{number}" for number in (4, 3, 2, 1, 0)]
    [failed] = house.http.get(f"{path}/deliveries?outcome=exhausted").json()["deliveries"]
    assert (failed["messageId"], failed["error"], failed["attempts"]) == ("msg_3", "status", 1)
    assert len(house.http.get(f"{path}/deliveries").json()["deliveries"]) == 5
    [one] = house.http.get(f"{path}/attempts?messageId=msg_3").json()["attempts"]
    assert one["status"] == 500
    for list_ in ("attempts", "deliveries"):
        answer = house.http.get(f"{path}/{list_}?cursor=bm9uZQ==")
        problem(answer, 422, "validation_failed")


def test_the_history_begins_anew_with_another_log(house: House) -> None:
    made = make(house)
    attempted(house, made["id"], 1, attempt=1, outcome="delivered")
    path = f"/v1/webhook-endpoints/{made['id']}/attempts"
    assert len(house.http.get(path).json()["attempts"]) == 1
    history = house.services.webhooks.history
    with history._file().write() as db:
        db.execute("UPDATE positions SET next = next + 1000")
    assert len(house.http.get(path).json()["attempts"]) == 1


def test_a_message_is_sent_again_under_its_id_and_with_its_bytes(house: House) -> None:
    made = make(house)
    attempted(house, made["id"], 1)
    attempted(house, made["id"], 1, attempt=8, outcome="exhausted", body="")
    path = f"/v1/webhook-endpoints/{made['id']}/deliveries"
    answer = house.http.post(f"{path}/msg_1/redeliver")
    assert (answer.status_code, answer.json()) == (202, {"messageId": "msg_1"})
    newest = house.events("webhook-attempted")[-1].event
    assert isinstance(newest, WebhookAttempted)
    assert (newest.round, newest.attempt, newest.outcome) == (1, 0, "owed")
    assert newest.body == '{"number":1}'
    problem(house.http.post(f"{path}/msg_9/redeliver"), 404, "webhook_message_not_found")


def test_what_failed_and_what_was_missed_is_recovered(house: House) -> None:
    made = make(house, types=["track.ready"])
    begin = house.clock.ms
    for number, outcome in enumerate(("exhausted", "delivered", "exhausted")):
        attempted(house, made["id"], number)
        attempted(house, made["id"], number, attempt=1, outcome=outcome, body="")
        house.clock.forward(60)
    for number, kind in enumerate(("track.ready", "job.failed", "track.ready"), start=10):
        house.happens(
            Notified(
                notification_id=f"msg_{number}",
                track_id="trk_1",
                job_id="",
                type=kind,
                occurred_ms=house.clock.ms,
                callback_id="",
            )
        )
    path = f"/v1/webhook-endpoints/{made['id']}/recover"

    def ask(what: str, since: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
        answer = house.http.post(path, json={"since": since, "what": what})
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    assert begin == 1_767_225_600_000
    assert ask("failed", "2026-01-01T00:01:30Z") == {"count": 1, "more": False}
    assert ask("all") == {"count": 3, "more": False}  # one failed, two missed
    assert ask("all") == {"count": 0, "more": False}


def test_the_event_types_are_listed(house: House) -> None:
    assert house.http.get("/v1/webhooks/event-types").json() == {"types": dict(TYPES)}


def test_owed_bodies_are_the_same_every_time(house: House) -> None:
    told = Notified(
        notification_id="msg_1", track_id="trk_1", job_id="job_1", type="track.ready",
        version=2, sequence=3, occurred_ms=1_767_225_600_123, callback_id="",
    )  # fmt: skip
    assert (
        owed(told, "whk_1", 1).body
        == owed(told, "whk_2", 9).body
        == (
            '{"type":"track.ready","timestamp":"2026-01-01T00:00:00.123Z","data":{"schema":"webhook/1",'
            '"trackId":"trk_1","jobId":"job_1","version":2,"sequence":3,'
            '"href":"/v1/tracks/trk_1/ready"}}'
        )
    )


def test_endpoints_are_listed_in_pages(house: House) -> None:
    made = []
    for _ in range(3):
        made.append(make(house)["id"])
        house.clock.forward(1)
    first = house.http.get("/v1/webhook-endpoints", params={"limit": 2}).json()
    more = {"limit": 2, "cursor": first["cursor"]}
    last = house.http.get("/v1/webhook-endpoints", params=more).json()
    assert [each["id"] for each in first["endpoints"] + last["endpoints"]] == made
    assert "cursor" not in last
    unknown = house.http.get("/v1/webhook-endpoints", params={"cursor": "x"})
    problem(unknown, 422, "validation_failed")
