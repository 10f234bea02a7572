"""Schema ids from a registry: what is asked, what is remembered, what goes wrong."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import avro.io
import avro.schema
import pytest
from pydantic import SecretStr

from schemas import avsc
from schemas.events import EVENTS
from topics import trace
from topics.catalog import CATALOG
from topics.codec import Codec, Envelope, LocalIds, Poison
from topics.log import Record
from topics.registry import (
    Incompatible,
    RegistryError,
    RegistryIds,
    RegistrySettings,
    Unregistered,
)


def event(topic: str) -> Envelope:
    """The golden event of a topic, as a stage would send it."""
    return Envelope.caused(
        EVENTS[topic].from_wire(avsc.golden(topic)),
        by="cause",
        source="test",
        time_ms=1_700_000_000_000,
        traceparent=trace.begin(),
    )


class Fake:
    """A registry of one answer, after any number of others."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, object]] = []
        self.asked: list[tuple[str, str, object]] = []
        self.authorization: list[str | None] = []
        fake = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                fake.asked.append((self.command, self.path, body))
                fake.authorization.append(self.headers.get("Authorization"))
                status, said = fake.answers.pop(0) if len(fake.answers) > 1 else fake.answers[0]
                content = said.encode() if isinstance(said, str) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_PUT = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    fake.close()


@pytest.fixture
def ids(fake: Fake) -> Iterator[RegistryIds]:
    settings = RegistrySettings(
        schema_registry_url=f"{fake.url}/",
        schema_registry_username="melisma",
        schema_registry_password=SecretStr("hush"),
    )
    ids = RegistryIds(settings, prefix="p.", patience_s=0.05, sleep=lambda _: None)
    yield ids
    ids.close()


def test_an_id_is_looked_up_once_under_the_topics_subject(fake: Fake, ids: RegistryIds) -> None:
    fake.answers = [(200, {"id": 7, "version": 1})]
    assert ids.id_of("separated") == ids.id_of("separated") == 7
    ((method, path, body),) = fake.asked
    assert (method, path) == ("POST", "/subjects/p.separated-value?normalize=true")
    assert isinstance(body, dict)
    assert json.loads(body["schema"]) == avsc.current("separated")
    assert fake.authorization[0] is not None
    assert ids.schema_of(7) == avsc.current("separated")
    assert len(fake.asked) == 1


def test_a_schema_that_nobody_registered_is_named(fake: Fake, ids: RegistryIds) -> None:
    fake.answers = [(404, {"error_code": 40403, "message": "no"})]
    with pytest.raises(Unregistered, match=r"'separated'.*SCHEMA_REGISTRY_URL"):
        ids.id_of("separated")


def test_an_unknown_id_is_poison_and_asked_for_again(fake: Fake, ids: RegistryIds) -> None:
    fake.answers = [
        (404, {"error_code": 40403, "message": "no"}),
        (200, {"schema": json.dumps(avsc.current("separated"))}),
    ]
    with pytest.raises(Poison, match="schema id 5"):
        ids.schema_of(5)
    assert ids.schema_of(5) == avsc.current("separated")
    assert fake.asked[0][:2] == ("GET", "/schemas/ids/5")


@pytest.mark.parametrize("schema_id", [0, 2**31, 2**32 - 1])
def test_an_id_that_no_registry_gives_is_poison_unasked(
    fake: Fake, ids: RegistryIds, schema_id: int
) -> None:
    with pytest.raises(Poison):
        ids.schema_of(schema_id)
    assert fake.asked == []


@pytest.mark.parametrize(
    "answer",
    [{"schema": '"string"'}, {"schema": "{}", "schemaType": "PROTOBUF"}],
)
def test_a_schema_of_something_else_is_poison(fake: Fake, ids: RegistryIds, answer: object) -> None:
    fake.answers = [(200, answer)]
    with pytest.raises(Poison, match="not the Avro record"):
        ids.schema_of(5)


def test_a_registry_that_recovers_is_waited_for(fake: Fake, ids: RegistryIds) -> None:
    fake.answers = [(503, "starting"), (200, {"id": 7})]
    assert ids.id_of("separated") == 7


@pytest.mark.parametrize(
    ("status", "said", "match"),
    [
        (500, {"error_code": 50001, "message": "disk"}, "answers 500.*SCHEMA_REGISTRY_URL"),
        (404, "<html>", "no schema registry at .*SCHEMA_REGISTRY_URL"),
        (200, "<html>", "something else than JSON.*SCHEMA_REGISTRY_URL"),
        (401, {"message": "who?"}, "SCHEMA_REGISTRY_PASSWORD"),
        (422, {"error_code": 42201, "message": "bad schema"}, "422.*bad schema"),
    ],
)
def test_what_a_registry_refuses_names_the_setting(
    fake: Fake, ids: RegistryIds, status: int, said: object, match: str
) -> None:
    fake.answers = [(status, said)]
    with pytest.raises(RegistryError, match=match) as raised:
        ids.id_of("separated")
    assert not isinstance(raised.value, Unregistered)
    assert "hush" not in str(raised.value)


def test_nobody_at_the_address() -> None:
    settings = RegistrySettings(schema_registry_url="http://127.0.0.1:1")
    ids = RegistryIds(settings, patience_s=0)
    with pytest.raises(RegistryError, match=r"does not answer.*SCHEMA_REGISTRY_URL"):
        ids.schema_of(5)
    ids.close()


def test_a_refused_change_is_named(fake: Fake) -> None:
    ids = RegistryIds(RegistrySettings(schema_registry_url=fake.url), register=True)
    fake.answers = [
        *[(404, {"error_code": 40401, "message": "no"})] * len(avsc.history("separated")),
        (200, {"compatibility": "FULL_TRANSITIVE"}),
        (409, {"error_code": 409, "message": "reader lacks a default"}),
    ]
    with pytest.raises(Incompatible, match=r"separated-value.*reader lacks a default"):
        ids.id_of("separated")
    ids.close()


def test_a_missing_authorities_file_is_named() -> None:
    settings = RegistrySettings(
        schema_registry_url="https://registry", schema_registry_ca_location="/no/such.pem"
    )
    with pytest.raises(RegistryError, match="SCHEMA_REGISTRY_CA_LOCATION"):
        RegistryIds(settings)


@pytest.mark.stack
def test_what_we_write_is_read_by_others_through_the_registry(registry_url: str) -> None:
    settings = RegistrySettings(schema_registry_url=registry_url)
    prefix = f"{uuid.uuid4().hex[:8]}."
    service = RegistryIds(settings, prefix=prefix)
    with pytest.raises(Unregistered):
        service.id_of("separated")
    provisioning = RegistryIds(settings, prefix=prefix, register=True)
    registered = {topic: provisioning.id_of(topic) for topic in CATALOG}
    again = RegistryIds(settings, prefix=prefix, register=True)
    assert {topic: again.id_of(topic) for topic in CATALOG} == registered
    assert {topic: service.id_of(topic) for topic in CATALOG} == registered
    codec = Codec(service, prefix)
    stranger = RegistryIds(settings, prefix=prefix)  # has looked nothing up
    for topic in CATALOG:
        envelope = event(topic)
        out = codec.encode(envelope)
        assert out.value is not None
        # A reader of another make: the id leads to the schema, the schema reads the bytes.
        schema_id = int.from_bytes(out.value[1:5])
        schema = avro.schema.parse(json.dumps(stranger.schema_of(schema_id)))
        decoder = avro.io.BinaryDecoder(BytesIO(out.value[5:]))
        assert avro.io.DatumReader(schema).read(decoder) == envelope.event.to_wire()
        record = Record(out.topic, 0, 0, 0, out.key, out.value, out.headers)
        assert Codec(stranger, prefix).decode(record).event == envelope.event
    with pytest.raises(Poison):
        stranger.schema_of(2**31 - 1)
    # What is numbered locally is unknown here: it goes to the dead letters.
    foreign = Codec(LocalIds(), prefix).encode(event("separated"))
    with pytest.raises(Poison):
        Codec(stranger, prefix).decode(
            Record(foreign.topic, 0, 0, 0, foreign.key, foreign.value, foreign.headers)
        )
    for each in (service, provisioning, again, stranger):
        each.close()


@pytest.mark.stack
def test_the_registry_refuses_what_breaks_readers(
    registry_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RegistrySettings(schema_registry_url=registry_url)
    prefix = f"{uuid.uuid4().hex[:8]}."
    ids = RegistryIds(settings, prefix=prefix, register=True)
    ids.id_of("separated")
    ids.close()
    broken = json.loads(json.dumps(avsc.current("separated")))
    broken["fields"].append({"name": "added", "type": "string"})  # without a default
    monkeypatch.setattr(avsc, "current", lambda _: broken)
    monkeypatch.setattr(avsc, "history", lambda _: (broken,))
    ids = RegistryIds(settings, prefix=prefix, register=True)
    with pytest.raises(Incompatible, match="separated-value"):
        ids.id_of("separated")
    ids.close()
