import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from topics import logs

SECRET = "5ec2e7Zx9"


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "text",
    [
        f"GET https://s3.example/a.wav?X-Amz-Credential=k&X-Amz-Signature={SECRET} 403",
        f"GET /files/uploads/u1?expires=17&signature={SECRET} HTTP/1.1",
        f"whsec_{SECRET}",
        f"POST /api/webhooks/suno/music/{SECRET} 200",
        f"Authorization: Bearer {SECRET}{SECRET}",
        f"api_key={SECRET}",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f'{{"password": "{SECRET}"}}',
        f"AKIA{'A' * 8}{SECRET.upper()}",
    ],
)
def test_secrets_do_not_get_through(text: str) -> None:
    assert SECRET.lower() not in logs.redacted(text).lower()
    assert "[redacted]" in logs.redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "separation: 'song.aiff' holds no audio stream (found: data); upload WAV",
        "s3://bucket/uploads/default/u1",
        "is it sharp? yes",
        "http://127.0.0.1:8080/v1/jobs/j1",
    ],
)
def test_what_people_search_for_stays(text: str) -> None:
    assert logs.redacted(text) == text


def test_entries_are_json_with_what_is_bound() -> None:
    out = io.StringIO()
    logs.configure("json", "INFO", out, service="worker")
    with structlog.contextvars.bound_contextvars(job_id="j1", trace_id="t1"):
        logs.get("a.module").info("done", url=f"https://x.example/a?sig={SECRET}", n=1)
    (line,) = out.getvalue().splitlines()
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "done",
        "url": "https://x.example/a?[redacted]",
        "n": 1,
        "job_id": "j1",
        "trace_id": "t1",
        "service": "worker",
        "level": "info",
        "logger": "a.module",
    }


def test_other_libraries_and_tracebacks_are_redacted_too() -> None:
    out = io.StringIO()
    logs.configure("json", "INFO", out)
    logging.getLogger("some.library").info("GET /f?%s", f"expires=1&signature={SECRET}")
    try:
        raise RuntimeError(f"no https://x.example/a?sig={SECRET}")
    except RuntimeError:
        logs.get("x").exception("failed", headers={"Authorization": SECRET})
    entries = [json.loads(line) for line in out.getvalue().splitlines()]
    assert entries[0]["logger"] == "some.library"
    assert "RuntimeError" in entries[1]["exception"]
    assert SECRET not in out.getvalue()


@given(
    st.recursive(
        st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_value_can_be_logged(value: object) -> None:
    json.dumps(logs.redact(None, "", {"value": value}))


def test_the_console_is_for_people() -> None:
    out = io.StringIO()
    logs.configure("console", "debug", out)
    logs.get("x").debug("hello", key=1)
    assert "hello" in out.getvalue()
    with pytest.raises(ValueError, match="LOG_LEVEL 'LOUD'"):
        logs.configure("json", "LOUD")
