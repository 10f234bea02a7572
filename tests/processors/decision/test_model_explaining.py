from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from processors.decision.aiming import Request
from processors.decision.deciding import decide
from processors.decision.explaining import RuleExplainer
from processors.decision.model_explaining import ModelExplainer
from processors.decision.rulebook import builtin_rulebook
from tests.processors.decision.analyses import song

SONG = song({"balance.named.bass.deviationDb": 9.0})
DECISION = decide(SONG, builtin_rulebook())
RULES = RuleExplainer().explain(DECISION, SONG)

Behave = Callable[[BaseHTTPRequestHandler, threading.Event], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    asked: list[tuple[str, dict[str, str], dict[str, Any]]]


@contextmanager
def serving(behave: Behave) -> Iterator[tuple[str, _Server]]:
    """An endpoint on loopback that behaves like that; hung requests end with the test."""
    over = threading.Event()

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append((self.path, dict(self.headers), body))
            behave(self, over)

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Endpoint)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", server
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def answering(content: str, status: int = 200) -> Behave:
    payload = json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})
    return sending(payload.encode(), status)


def sending(payload: bytes, status: int = 200, **headers: str) -> Behave:
    def behave(request: BaseHTTPRequestHandler, _: threading.Event) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(payload)))
        request.end_headers()
        try:
            request.wfile.write(payload)
        except OSError:  # the client has gone, as it should
            request.close_connection = True

    return behave


def hanging(request: BaseHTTPRequestHandler, over: threading.Event) -> None:
    request.close_connection = True
    over.wait(30)


def dripping(request: BaseHTTPRequestHandler, over: threading.Event) -> None:
    request.send_response(200)
    request.end_headers()
    while not over.wait(0.02):
        try:
            request.wfile.write(b" ")
        except OSError:
            return


def cutting(request: BaseHTTPRequestHandler, _: threading.Event) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "5000")
    request.end_headers()
    request.wfile.write(b'{"choices":')
    request.close_connection = True


GOOD_EN = "The bass stands 9.0 dB above the usual balance and is held back by at most 4 dB."
GOOD_RU = "Бас выше обычного на 9,0 дБ и придерживается не более чем на 4 дБ."
GOOD = json.dumps({"en": [GOOD_EN], "ru": [GOOD_RU]}, ensure_ascii=False)


def test_a_sound_answer_is_used_and_only_documents_were_sent() -> None:
    with serving(answering(GOOD)) as (url, server):
        told = ModelExplainer(url, "tiny", "sk-secret").explain(DECISION, SONG)
    assert (told.source, told.en, told.ru) == ("model tiny", (GOOD_EN,), (GOOD_RU,))
    assert (told.fallback, told.dropped) == (None, 0)
    [(path, headers, body)] = server.asked
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer sk-secret"
    material = json.loads(body["messages"][1]["content"])
    assert set(material) == {"analysis", "decision"}
    assert "sk-secret" not in repr(ModelExplainer(url, "tiny", "sk-secret"))


def test_a_fenced_answer_is_read_too() -> None:
    with serving(answering(f"```json\n{GOOD}\n```")) as (url, _):
        assert ModelExplainer(url, "tiny").explain(DECISION, SONG).en == (GOOD_EN,)


def test_sentences_with_other_numbers_or_markup_are_dropped_and_counted() -> None:
    bad = [
        "The bass stands 13.7 dB above the usual balance.",
        "Your song will be seven times louder.",
        "See https://example.org for more.",
        "<script>alert()</script>",
        "x" * 1_000,
        "",
    ]
    content = json.dumps({"en": [*bad, GOOD_EN], "ru": ["Громкость станет −3 LUFS.", GOOD_RU]})
    with serving(answering(content)) as (url, _):
        told = ModelExplainer(url, "tiny").explain(DECISION, SONG)
    assert (told.en, told.ru, told.dropped) == ((GOOD_EN,), (GOOD_RU,), 7)


def test_what_must_be_said_is_added_to_what_the_model_says() -> None:
    pumps = song({"pumping.duckDb": 8.0, "pumping.depthDb": 9.0, "peaks.truePeakDbtp": 0.0})
    decision = decide(pumps, builtin_rulebook(), Request(lufs=-5.0))
    content = json.dumps({"en": ["All is well."], "ru": ["Всё хорошо."]})
    with serving(answering(content)) as (url, _):
        told = ModelExplainer(url, "tiny").explain(decision, pumps)
    assert told.en[-1] == decision.compromises[0].words.en
    assert told.ru[-1] == decision.compromises[0].words.ru


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        pytest.param(sending(b"<html>502</html>"), "could not be read", id="html"),
        pytest.param(sending(b"oh no", 500), "error (500)", id="500"),
        pytest.param(sending(b"", 302, Location="http://127.0.0.1:9/"), "(302)", id="redirect"),
        pytest.param(hanging, "did not answer in time", id="hang"),
        pytest.param(dripping, "did not answer in time", id="drip"),
        pytest.param(cutting, "did not answer in time", id="cut"),
        pytest.param(sending(b"[" * 3_000_000), "far too long", id="huge"),
        pytest.param(sending(b"[" * 60_000), "could not be read", id="deep"),
        pytest.param(sending(b'{"choices": []}'), "could not be read", id="no choice"),
        pytest.param(answering("Sure! Here it is."), "could not be read", id="chat"),
        pytest.param(answering('{"en": ["Good."]}'), "could not be read", id="one language"),
        pytest.param(answering('{"en": [1], "ru": {}}'), "could not be read", id="wrong types"),
        pytest.param(
            answering('{"en": ["It gains 33 dB."], "ru": ["Плюс 33 дБ."]}'),
            "agreed with the measurements",
            id="wrong numbers",
        ),
    ],
)
def test_a_model_that_misbehaves_lets_the_rules_speak(behave: Behave, said: str) -> None:
    # Only where the limit is the point is it short: a busy machine may take its time to answer.
    limit_s = 0.3 if "in time" in said else 30.0
    with serving(behave) as (url, _):
        told = ModelExplainer(url, "tiny", "sk-secret", limit_s=limit_s).explain(DECISION, SONG)
    assert told.fallback is not None
    assert said in told.fallback.en
    assert (told.source, told.en, told.ru) == ("rules", RULES.en, RULES.ru)
    assert "127.0.0.1" not in told.fallback.en + told.fallback.ru
    assert "sk-secret" not in told.to_json().decode()


def test_an_endpoint_that_is_not_there_lets_the_rules_speak() -> None:
    with serving(hanging) as (url, _):
        pass
    told = ModelExplainer(url, "tiny", limit_s=0.3).explain(DECISION, SONG)
    assert told.fallback is not None
    assert told.en == RULES.en
    assert ModelExplainer("no address", "tiny").explain(DECISION, SONG).fallback is not None
