"""Signatures against the published vector and the reference verifier."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from processors.delivery.signing import NotGenuine, headers, key_of, signature, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_vector() -> None:
    assert signature(key_of(SECRET), ID, TIMESTAMP, BODY) == SIGNATURE
    sent = headers([key_of(SECRET)], ID, TIMESTAMP, BODY)
    assert sent["webhook-signature"] == SIGNATURE
    verify(SECRET, sent, BODY, TIMESTAMP)


def test_we_sign_as_the_reference_does() -> None:
    moment = datetime.fromtimestamp(TIMESTAMP, UTC)
    assert Webhook(SECRET).sign(ID, moment, BODY.decode()) == SIGNATURE


@given(
    key=st.binary(min_size=24, max_size=64),
    other=st.binary(min_size=24, max_size=64),
    text=st.text(max_size=200),
    number=st.uuids(),
)
def test_the_reference_verifies_what_we_send(
    key: bytes, other: bytes, text: str, number: object
) -> None:
    import json

    body = json.dumps({"text": text}).encode()
    sent = headers([other, key], f"msg_{number}", int(time.time()), body)
    secret = "whsec_" + base64.b64encode(key).decode()
    assert Webhook(secret).verify(body.decode(), sent) == {"text": text}
    verify(secret, sent, body, time.time())
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.decode() + " ", sent)
    with pytest.raises(NotGenuine):
        verify(secret, sent, body + b" ", time.time())


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": str(TIMESTAMP + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": ""},
        {"webhook-signature": SIGNATURE.replace("v1,", "v2,")},
        {"webhook-signature": None},
        {"webhook-id": None},
    ],
)
def test_what_was_tampered_with_is_refused(change: dict[str, str | None]) -> None:
    sent = headers([key_of(SECRET)], ID, TIMESTAMP, BODY)
    given = {name: value for name, value in (sent | change).items() if value is not None}
    with pytest.raises(NotGenuine):
        verify(SECRET, given, BODY, TIMESTAMP)


@pytest.mark.parametrize("seconds", [-301, 301])
def test_what_is_too_old_or_of_the_future_is_refused(seconds: int) -> None:
    sent = headers([key_of(SECRET)], ID, TIMESTAMP, BODY)
    with pytest.raises(NotGenuine):
        verify(SECRET, sent, BODY, TIMESTAMP + seconds)
