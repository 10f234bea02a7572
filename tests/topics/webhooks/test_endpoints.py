"""Endpoints fold from their events in any order; secrets are derived, and never alike."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from schemas.events import Event, WebhookEndpointChanged, WebhookEndpointJudged
from topics.webhooks import Endpoint, Endpoints, SigningKeys

FIRST = WebhookEndpointChanged(endpoint_id="whk_1", callback_id="cbk_1", created_ms=5)
KEYS = SigningKeys(b"0123456789abcdef0123456789abcdef")


def folded(*events: Event) -> Endpoint:
    endpoints = Endpoints()
    for event in events:
        endpoints.add(event, 7)
    found = endpoints.endpoint("default", "whk_1", signs_as="callbacks")
    assert found is not None
    return found


def test_the_greatest_revision_holds_in_any_order() -> None:
    events: list[Event] = [FIRST]
    for revision in range(2, 6):
        state = "paused" if revision % 2 else "active"
        events.append(replace(FIRST, revision=revision, state=state, enabled=revision))
    events.append(WebhookEndpointJudged(endpoint_id="whk_1", enabled=5, number=2, reason="gone"))
    events.append(WebhookEndpointJudged(endpoint_id="whk_1", enabled=4, number=1, reason="failing"))
    wanted = folded(*events)
    assert (wanted.revision, wanted.status, wanted.disabled) == (5, "paused", "gone")
    for seed in range(20):
        random.Random(seed).shuffle(events)
        assert folded(*events, *events) == wanted


def test_a_verdict_on_an_earlier_time_is_void() -> None:
    verdict = WebhookEndpointJudged(endpoint_id="whk_1", enabled=0, number=1, reason="failing")
    assert folded(FIRST, verdict).status == "disabled"
    assert folded(replace(FIRST, revision=2, enabled=1), verdict).status == "active"
    assert folded(FIRST, verdict, replace(verdict, number=2, verdict="enabled")).status == "active"


def test_another_tenant_sees_nothing() -> None:
    endpoints = Endpoints()
    endpoints.add(FIRST, 1)
    assert endpoints.endpoint("other", "whk_1", signs_as="callbacks") is None
    assert list(endpoints.of("other")) == []


def test_secrets_overlap_as_long_as_was_said() -> None:
    endpoint = folded(replace(FIRST, generation=3, previous_until_ms=(200, 100)))
    assert endpoint.generations(50) == (3, 2, 1)
    assert endpoint.generations(150) == (3, 2)
    assert endpoint.generations(250) == (3,)


def test_secrets_differ_by_everything_they_belong_to() -> None:
    made = {
        KEYS.secret(tenant, endpoint, number)
        for tenant in ("a", "b")
        for endpoint in ("whk_1", "whk_2")
        for number in (1, 2)
    }
    assert len(made) == 8
    assert SigningKeys(b"x" * 32).secret("a", "whk_1", 1) not in made
    assert all(each.startswith("whsec_") for each in made)


def test_one_url_of_a_tenant_has_one_id_that_says_nothing_of_it() -> None:
    first = KEYS.destination_id("a", "https://example.com/")
    assert first == KEYS.destination_id("a", "https://example.com/")
    assert first != KEYS.destination_id("b", "https://example.com/")
    assert SigningKeys(b"x" * 32).destination_id("a", "https://example.com/") != first


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter than 32 bytes"):
        SigningKeys(b"short")
