"""Each trap of a provider's answers means what it means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.generation.provider import (
    Accepted,
    Failing,
    Generating,
    Made,
    Refusal,
    Undecided,
    Unread,
)
from processors.generation.provider.answers import (
    Outcome,
    callback_of,
    instant_ms,
    outcome_of,
    reading_of,
)
from schemas.providers import AGAIN, PROFILES, RESELLER, SUNOAPI, Profile

HTML = b"<html><body>502 Bad Gateway</body></html>"
SONG = {"id": "s", "audioUrl": "https://cdn.test/a.mp3", "duration": 198.44}


def body(code: int, data: object = None, msg: str = "words") -> bytes:
    return json.dumps({"code": code, "msg": msg, "data": data}).encode()


def record(status: str, **more: Any) -> bytes:
    return body(200, {"taskId": "t", "status": status, "response": None, **more})


@pytest.mark.parametrize(
    ("profile", "status", "said", "outcome"),
    [
        (SUNOAPI, 200, body(200, {"taskId": "t1"}), Accepted("t1")),
        (SUNOAPI, 200, body(429), Refusal("no_credits", "words")),
        (RESELLER, 200, body(429), Refusal("too_frequent", "words")),
        (RESELLER, 200, body(402), Refusal("no_credits", "words")),
        (SUNOAPI, 200, body(430), Refusal("too_frequent", "words")),
        (SUNOAPI, 200, body(455), Refusal("maintenance", "words")),
        (SUNOAPI, 200, body(413), Refusal("too_long", "words")),
        (SUNOAPI, 200, body(500), Refusal("server_error", "words")),
        (SUNOAPI, 401, body(401), Refusal("unauthorized", "words")),
        (SUNOAPI, 200, body(599), Refusal("server_error", "words")),
        (SUNOAPI, 502, HTML, Undecided("HTTP 502: an HTML page")),
        (SUNOAPI, 200, HTML, Undecided("HTTP 200: an HTML page")),
        (SUNOAPI, 504, b"", Undecided("HTTP 504:")),
        (SUNOAPI, 503, HTML, Refusal("server_error", "HTTP 503: an HTML page")),
        (SUNOAPI, 429, b"", Refusal("no_credits", "HTTP 429:")),
    ],
)
def test_requests(profile: Profile, status: int, said: bytes, outcome: Outcome) -> None:
    assert outcome_of(status, said, profile) == outcome


def test_taken_without_a_task_is_undecided() -> None:
    assert isinstance(outcome_of(200, body(200, None), SUNOAPI), Undecided)


def test_what_needs_a_person_is_never_tried_again() -> None:
    assert not AGAIN & {"no_credits", "sensitive_words", "too_long", "unauthorized", "bad_request"}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (record("PENDING"), Generating),
        (record("TEXT_SUCCESS"), Generating),
        (record("FIRST_SUCCESS", response={"sunoData": [SONG]}), Generating),
        (record("SUCCESS"), Generating),  # response: null
        (record("SUCCESS", response={"sunoData": []}), Generating),
        (record("SUCCESS", response={"sunoData": [{"id": "s", "audioUrl": ""}]}), Generating),
        (record("SUCCESS", response={"sunoData": [SONG]}), Made),
        (record("CALLBACK_EXCEPTION"), Generating),
        (record("CALLBACK_EXCEPTION", response={"sunoData": [SONG]}), Made),
        (record("CREATE_TASK_FAILED"), Failing),
        (record("GENERATE_AUDIO_FAILED", errorMessage="Insufficient credits"), Failing),
        (record("SENSITIVE_WORD_ERROR"), Failing),
        (record("SOMETHING_NEW"), Generating),
        (body(200, None), Unread),
        (body(455), Unread),
        (HTML, Unread),
        (b"", Unread),
    ],
)
def test_records(said: bytes, kind: type) -> None:
    assert isinstance(reading_of(200, said, SUNOAPI), kind)


@pytest.mark.parametrize(
    "value",
    [1735689600000, "1735689600000", 1735689600, "2025-01-01 00:00:00", "2025-01-01T00:00Z"],
)
def test_both_time_formats(value: object) -> None:
    assert instant_ms(value) == 1735689600000


@pytest.mark.parametrize("value", [None, True, "", "yesterday", -5, float("nan"), [], 1e300])
def test_no_time_is_no_time(value: object) -> None:
    assert instant_ms(value) == 0


def test_a_secret_in_the_providers_words_is_not_passed_on() -> None:
    outcome = outcome_of(200, body(500, msg="Bearer sk-live-0123456789abcdef failed"), SUNOAPI)
    assert isinstance(outcome, Refusal)
    assert "sk-live" not in outcome.detail


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
names = st.sampled_from(
    ["code", "data", "msg", "status", "response", "sunoData", "taskId", "param"]
)
shaped = st.recursive(json_values, lambda inner: st.dictionaries(names, inner), max_leaves=12)


@given(
    st.binary() | shaped.map(lambda value: json.dumps(value).encode()),
    st.integers(100, 599),
    st.sampled_from(sorted(PROFILES)),
)
def test_nothing_that_comes_crashes(said: bytes, status: int, profile: str) -> None:
    outcome_of(status, said, PROFILES[profile])
    reading_of(status, said, PROFILES[profile])
    callback_of(said)
