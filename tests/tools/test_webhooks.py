"""`melisma webhooks listen`: what is genuine is taken, what is not is refused."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner

from tools.cli import app
from tools.webhooks import receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_message_of_the_reference_is_genuine_and_a_forged_one_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = receiver(0, secret=SECRET, status=202)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/"
        now = datetime.now(UTC)
        body = '{"type":"track.ready"}'
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(time.time())),
            "webhook-signature": Webhook(SECRET).sign("msg_1", now, body),
        }
        with httpx.Client(trust_env=False) as client:
            assert client.post(url, content=body, headers=headers).status_code == 202
            assert client.post(url, content=body + " ", headers=headers).status_code == 400
            assert client.post(url, content=body).status_code == 400
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    first, *others = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["signature"], first["body"]) == ("genuine", {"type": "track.ready"})
    assert [each["signature"].partition(":")[0] for each in others] == ["REFUSED"] * 2


def test_a_secret_that_is_none_is_refused() -> None:
    result = CliRunner().invoke(app, ["webhooks", "listen", "--secret", "whsec_äö"])
    assert result.exit_code == 2
