"""What holds for every address: client ids, problems, traces, limits, the description."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from structlog.testing import capture_logs

from gateway.guard.problems import Code
from gateway.projection.store import StoreError
from gateway.services import Services
from schemas.documents.karaoke import KaraokeDocument
from tests.gateway.house import BASE_URL, CLIENT, House, problem, settings
from topics.artifacts.protocol import ArtifactError, StoreFull
from topics.log import LogError

JSON = {"Content-Type": "application/json"}


class TestClientId:
    @pytest.mark.parametrize(
        "path", ["/v1/jobs", "/v1/jobs/x", "/v1/tracks/x/ready", "/v1/uploads/x", "/jobs"]
    )
    def test_is_needed(self, house: House, path: str) -> None:
        problem(house.client(headers={}).get(path), 400, "client_id_missing")

    def test_is_needed_before_the_body_is_judged(self, house: House) -> None:
        answer = house.client(headers={}).post("/v1/tracks/import", json={"nonsense": 1})
        problem(answer, 400, "client_id_missing")

    def test_may_come_in_the_query(self, house: House) -> None:
        assert house.client(headers={}).get("/v1/jobs?clientId=web").status_code == 200

    @pytest.mark.parametrize("value", ["a b", "x" * 129, "\x7f", "é".encode()])
    def test_has_to_be_printable(self, house: House, value: Any) -> None:
        answer = house.client(headers={}).get("/v1/jobs", headers={"X-Client-Id": value})
        problem(answer, 400, "client_id_invalid")

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs"])
    def test_is_not_asked_by_probes_and_pages(self, house: House, path: str) -> None:
        assert house.client(headers={}).get(path).status_code == 200


class TestProblems:
    def test_the_root_leads_to_docs_that_need_no_other_host(self, house: House) -> None:
        page = house.http.get("/", follow_redirects=True)
        assert page.url.path == "/docs"
        assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert assets
        for asset in assets:
            assert asset.startswith("/"), asset
            assert house.http.get(asset).status_code == 200

    def test_nothing_there(self, house: House) -> None:
        for path in ("/v1", "/v1/nothing", "/../etc/passwd", "/v1/jobs/a/b/c", "/%ff"):
            problem(house.http.get(path), 404, "not_found")

    def test_wrong_method(self, house: House) -> None:
        answer = house.http.delete("/v1/jobs")
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"]

    @pytest.mark.parametrize(
        "content",
        [
            b"{",
            b"",
            b'{"assetId": "a",}',
            b"\xff\xfe",
            b"{'assetId': 'a'}",
            b"NaN",
            b'{"assetId": NaN}',
            b"[" * 100_000,
            b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
            b'"text"',
            b"null",
            b"[]",
        ],
        ids=lambda content: content[:16].decode("latin-1"),
    )
    def test_bodies_that_are_no_request(self, house: House, content: bytes) -> None:
        answer = house.http.post("/v1/tracks/import", content=content, headers=JSON)
        assert answer.status_code in (400, 422)
        code = "malformed_json" if answer.status_code == 400 else "validation_failed"
        problem(answer, answer.status_code, code)

    def test_malformed_json_says_where(self, house: House) -> None:
        answer = house.http.post("/v1/tracks/import", content=b'{"assetId" 1}', headers=JSON)
        assert "character 11" in problem(answer, 400, "malformed_json")["detail"]

    def test_another_type_of_body(self, house: House) -> None:
        answer = house.http.post("/v1/tracks/import", data={"assetId": "x"})
        problem(answer, 415, "media_type_unsupported")

    def test_a_body_over_the_limit(self, house: House) -> None:
        big = json.dumps({"assetId": "x", "lyrics": "la " * 1_000_000}).encode()
        answer = house.http.post("/v1/tracks/import", content=big, headers=JSON)
        assert problem(answer, 413, "body_too_large")["maxBytes"] == 2 * 1024 * 1024

    def test_a_body_over_the_limit_that_hides_its_length(self, house: House) -> None:
        async def chunks() -> Any:
            for _ in range(300):
                yield b" " * 10_000

        answer = house.http.post("/v1/tracks/import", content=chunks(), headers=JSON)
        problem(answer, 413, "body_too_large")

    def test_values_are_not_repeated(self, house: House) -> None:
        body = {"assetId": ["s3cret"], "lyrics": {"password": "s3cret"}}
        answer = house.http.post("/v1/tracks/import", json=body)
        problem(answer, 422, "validation_failed")
        assert "s3cret" not in answer.text

    def test_a_crash_shows_nothing_of_itself(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def crash(*args: object) -> None:
            raise RuntimeError("secret at /gateway/app.py")

        monkeypatch.setattr(house.store, "job", crash)
        with capture_logs() as logged:
            answer = house.http.get("/v1/jobs/job_1")
        found = problem(answer, 500, "internal")
        (entry,) = (each for each in logged if each["event"] == "request crashed")
        assert entry["trace_id"] == found["traceId"]
        assert "secret" not in answer.text

    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (LogError("disk at /data/log.db"), 503, "unavailable"),
            (ArtifactError("bucket at /data"), 503, "unavailable"),
            (StoreFull("no room at /data"), 507, "store_full"),
        ],
    )
    def test_a_dependency_that_fails(
        self,
        house: House,
        monkeypatch: pytest.MonkeyPatch,
        error: Exception,
        status: int,
        code: str,
    ) -> None:
        body = {"assetId": house.upload(), "lyrics": "la"}

        def fail(*args: object, **named: object) -> None:
            raise error

        monkeypatch.setattr(house.artifacts, "put_if_absent", fail)
        answer = house.http.post("/v1/tracks/import", json=body)
        problem(answer, status, code)
        assert "/data" not in answer.text
        if status == 503:
            assert int(answer.headers["Retry-After"]) > 0

    def test_a_projection_that_fails(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: object, **named: object) -> None:
            raise StoreError("locked: /data/projection.db")

        monkeypatch.setattr(house.store, "job", fail)
        problem(house.http.get("/v1/jobs/job_1"), 503, "unavailable")

    def test_each_is_explained_at_its_type(self, house: House) -> None:
        for code in Code:
            assert house.http.get(f"/problems/{code.word}").json() == {
                "code": code.word,
                "status": code.status,
                "title": code.title,
                "help": code.advice,
            }

    def test_unknown_types(self, house: House) -> None:
        problem(house.http.get("/problems/unheard_of"), 404, "not_found")


class TestTraces:
    def test_go_on_from_the_request(self, house: House) -> None:
        parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        answer = house.http.get("/v1/jobs/x", headers={"traceparent": parent})
        assert problem(answer, 404, "job_not_found")["traceId"] == parent.split("-")[1]
        assert answer.headers["traceparent"] != parent

    @pytest.mark.parametrize("parent", ["", "garbage", f"00-{'0' * 32}-{'0' * 16}-01"])
    def test_begin_here_otherwise(self, house: House, parent: str) -> None:
        answer = house.http.get("/v1/jobs/x", headers={"traceparent": parent})
        assert re.fullmatch(r"[0-9a-f]{32}", problem(answer, 404, "job_not_found")["traceId"])


class TestHealth:
    def test_names_each_dependency_with_its_latency(self, house: House) -> None:
        assert house.http.get("/healthz").json() == {"status": "ok"}
        body = house.http.get("/readyz").json()
        assert body["status"] == "ready"
        assert set(body["dependencies"]) == {"log", "artifacts", "projection", "reservations"}
        assert all(each["latencyMs"] >= 0 for each in body["dependencies"].values())

    def test_one_that_fails_makes_it_503(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down() -> None:
            raise ArtifactError("disk /dev/sda1 is gone")

        monkeypatch.setitem(house.app.state.probes["artifacts"].__dict__, "_check", down)
        answer = house.http.get("/readyz")
        assert answer.status_code == 503
        body = answer.json()
        assert body["dependencies"]["artifacts"] == {"status": "down", "error": "artifact_error"}
        assert body["dependencies"]["log"]["status"] == "up"
        assert "sda1" not in answer.text

    def test_one_that_hangs_costs_no_more_than_its_time(self, tmp_path: Path) -> None:
        house = House(tmp_path, settings=settings(health_timeout_seconds=0.5))
        free = threading.Event()
        try:
            house.app.state.probes["log"]._check = free.wait
            for _ in range(2):  # the second finds the first still hanging
                body = house.http.get("/readyz").json()
                assert body["dependencies"]["log"] == {"status": "down", "error": "timeout"}
            free.set()
            house.app.state.probes["log"]._asked.result()
            assert house.http.get("/readyz").status_code == 200
        finally:
            free.set()
            house.close()

    def test_a_log_without_topics_is_not_ready(self, house: House) -> None:
        bare = Services.assemble(
            settings(topic_prefix="other."),
            log=house.log,
            artifacts=house.artifacts,
            store=house.store,
            reservations=house.reservations,
        )
        with pytest.raises(LookupError, match=r"other\.published"):
            bare.checks["log"]()
        bare.close()


class TestDescription:
    def test_has_an_example_and_the_real_problems_for_every_route(self, house: House) -> None:
        described = house.http.get("/openapi.json").json()
        assert described["openapi"].startswith("3.1")
        assert "HTTPValidationError" not in json.dumps(described)
        names = {code.word for code in Code}
        routes = 0
        for path, item in described["paths"].items():
            for method, operation in item.items():
                routes += 1
                assert operation["summary"], (method, path)
                for status, answer in operation["responses"].items():
                    examples = (answer.get("content", {}).get("application/problem+json", {})).get(
                        "examples", {}
                    )
                    assert set(examples) <= names
                    for word, example in examples.items():
                        assert example == {"$ref": f"#/components/examples/{word}"}
                        shown = described["components"]["examples"][word]["value"]
                        assert (str(shown["status"]), shown["code"]) == (status, word)
                if path.startswith("/v1/") and "schemas" not in path:
                    assert "400" in operation["responses"], (method, path)
        assert routes > 20
        assert "/v1/tracks/{track_id}/ready" in described["paths"]
        assert "/tracks/{track_id}/ready" not in described["paths"]
        assert described["components"]["schemas"]["Problem"]["required"]

    def test_every_body_has_an_example_that_fits_its_schema(self, house: House) -> None:
        described = house.http.get("/openapi.json").json()
        bodies = set()
        for item in described["paths"].values():
            for operation in item.values():
                answers = [operation.get("requestBody", {}), *operation["responses"].values()]
                for answer in answers:
                    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
                    bodies |= set(re.findall(r"#/components/schemas/(\w+)", json.dumps(schema)))
        assert len(bodies) > 20
        for name in bodies:
            (example,) = described["components"]["schemas"][name]["examples"]
            whole = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
            jsonschema.validate(example, whole)

    def test_references_lead_somewhere(self, house: House) -> None:
        described = house.http.get("/openapi.json").json()
        for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(described)):
            found: Any = described
            for part in reference.split("/"):
                found = found[part]

    def test_can_be_switched_off(self, tmp_path: Path) -> None:
        house = House(tmp_path, settings=settings(docs=False))
        try:
            for path in ("/", "/docs", "/openapi.json"):
                problem(house.http.get(path), 404, "not_found")
        finally:
            house.close()

    def test_karaoke_json_has_a_schema_that_holds(self, house: House) -> None:
        answer = house.http.get("/v1/schemas/karaoke-1.json")
        schema = answer.json()
        assert schema["$id"] == f"{BASE_URL}/v1/schemas/karaoke-1.json"
        jsonschema.Draft202012Validator.check_schema(schema)
        track = house.published()["trackId"]
        document = house.http.get(f"/v1/tracks/{track}/lyrics").json()
        jsonschema.validate(document, schema)
        KaraokeDocument.model_validate(document)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document | {"lines": "none"}, schema)


class TestOtherOrigins:
    def test_may_read_what_they_need_when_named(self, tmp_path: Path) -> None:
        house = House(tmp_path, settings=settings(cors_origins="https://sing.example"))
        try:
            answer = house.http.get("/v1/jobs", headers={"Origin": "https://sing.example"})
            assert answer.headers["Access-Control-Allow-Origin"] == "https://sing.example"
            assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
            other = house.http.get("/v1/jobs", headers={"Origin": "https://evil.example"})
            assert "Access-Control-Allow-Origin" not in other.headers
        finally:
            house.close()

    def test_may_not_by_default(self, house: House) -> None:
        answer = house.http.get("/v1/jobs", headers={"Origin": "https://sing.example"} | CLIENT)
        assert "Access-Control-Allow-Origin" not in answer.headers
