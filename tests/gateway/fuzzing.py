"""Asks the API everything that its description allows, and much that it does not.

``python -m tests.gateway.fuzzing --cases 20000`` (``make fuzz``): half of the cases are single
requests to every operation, well-formed and malformed ones; the other half are chains that go on
with what earlier answers named (schemathesis' state machine). Ids of things that exist take the
place of random ones in most requests, or nearly all would end at a 404.

What must hold for every answer: no 5xx, a documented status, a documented type, a body and headers
that fit their schemas; a problem has its members and its trace.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import schemathesis
import structlog
from hypothesis import HealthCheck, Phase, Verbosity, given
from hypothesis.errors import Flaky, FlakyStrategyDefinition
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.gateway.access.conftest import Guarded, guarded_house
from tests.gateway.house import BASE_URL, WAV, House

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
STEPS = 12
"""Requests of a chain."""

_IDS = {
    "trackId": "track_id",
    "jobId": "job_id",
    "uploadId": "upload_id",
    "assetId": "asset_id",
    "videoId": "video_id",
    "endpointId": "endpoint_id",
    "taskId": "task_id",
    "task_id": "task_id",
}
_KEPT = 40  # ids of a kind that are remembered


@dataclass
class Report:
    """What was asked, what came back, what should not have."""

    cases: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    def operations(self) -> set[str]:
        return {label for label, _ in self.statuses}


class Fuzzing:
    """One world, and everything that is asked of it. Not for several threads."""

    def __init__(self, guarded: Guarded, seed: int) -> None:
        self.report = Report()
        self._house = guarded.house
        # Streams end after their first event, held polls at once: nothing here waits for changes.
        self._house.services.changes.close()
        self._client = guarded.client(role="operator")
        self._random = random.Random(seed)
        self._known: dict[str, list[str]] = {}
        self._remember(_populated(self._house))
        self.schema = schemathesis.openapi.from_dict(self._house.app.openapi())
        self.schema.config.update(base_url=BASE_URL)

    def operations(self) -> list[Any]:
        """All that the description has."""
        results: Any = self.schema.get_all_operations()
        return [result.ok() for result in results]

    def single(self, cases: int) -> None:
        """Requests on their own, spread over the operations."""
        operations = self.operations()
        each = max(1, cases // (2 * len(operations)))
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                strategy = operation.as_strategy(generation_mode=mode)

                @_settings(each)
                @given(case=strategy)
                def ask(case: Any) -> None:
                    self.ask(case)

                try:
                    ask()
                except hypothesis.errors.Unsatisfiable:
                    continue  # nothing can be wrong with an operation that takes nothing

    def chains(self, cases: int) -> None:
        """Chains of requests, until there were so many."""
        fuzzing = self

        class Chain(self.schema.as_state_machine()):  # type: ignore[misc]
            def call(self, case: Any, **_: Any) -> Response:
                return Response.from_any(fuzzing.ask(case))

            def after_call(self, *_: Any) -> None:
                pass

            def validate_response(self, *_: Any, **__: Any) -> None:
                pass

        until = self.report.cases + cases
        for seed in itertools.count(self._random.randrange(1 << 30)):
            before = self.report.cases
            if before >= until:
                return
            examples = max(1, (until - before) // STEPS)
            try:
                hypothesis.seed(seed)(Chain).run(
                    settings=_settings(examples, derandomize=False, stateful_step_count=STEPS)
                )
            except (Flaky, FlakyStrategyDefinition):
                # It asks how a chain went on the last time; the world has moved on since.
                continue

    def ask(self, case: Any) -> httpx.Response:
        """One request, with ids that exist in most of them."""
        for name in case.path_parameters or {}:
            known = self._known.get(name)
            if known and self._random.random() < 0.8:
                case.path_parameters[name] = self._random.choice(known)
        if isinstance(case.body, dict) and self._random.random() < 0.8:
            known = self._known.get("asset_id")
            if known and "assetId" in case.body:
                case.body["assetId"] = self._random.choice(known)
            if known and "input_uri" in case.body:
                case.body["input_uri"] = f"asset:{self._random.choice(known)}"
        headers = {"X-Client-Id": "fuzz"}
        if self._random.random() < 0.3:
            headers["If-Match"] = self._random.choice(["*", '"1"', '"2"'])
        kwargs = case.as_transport_kwargs(base_url=BASE_URL, headers=headers)
        kwargs = {
            name: value
            for name, value in kwargs.items()
            if name in ("method", "url", "headers", "params", "json", "content")  # no cookies here
            or (name == "data" and value is not None)
        }
        if "data" in kwargs and not isinstance(kwargs["data"], dict):
            kwargs["content"] = kwargs.pop("data")
        kwargs["headers"] = {
            name: value.encode("latin-1", "replace") if isinstance(value, str) else value
            for name, value in dict(kwargs.get("headers") or {}).items()
            if name.lower() != "authorization"
        }
        response = self._client.request(kwargs.pop("method"), kwargs.pop("url"), **kwargs)
        self._house.clock.forward(0.2)  # so that the door's limit is never met
        self._live(response)
        self.judge(case, response)
        return response

    def judge(self, case: Any, response: httpx.Response) -> None:
        """Note what is wrong with an answer."""
        self.report.cases += 1
        label = case.operation.label
        self.report.statuses[label, response.status_code] += 1
        wrong: list[str] = []
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            wrong += [str(each) for each in group.exceptions]
        except Failure as failure:
            wrong.append(str(failure))
        wrong += _problem_lacks(response)
        for each in wrong:
            first = each.strip().splitlines()[0]
            key = f"{label}: {response.status_code}: {first}"
            if key not in self.report.failures:
                sent = f"{response.request.method} {response.request.url}"
                body = response.request.content[:500]
                self.report.failures[key] = f"{each}\n  {sent} {body!r}\n  {response.text[:500]}"

    def _live(self, response: httpx.Response) -> None:
        """What the rest of the product does meanwhile, now and then."""
        try:
            body = response.json()
        except ValueError:
            return
        self._remember(body)
        if response.status_code == 202 and isinstance(body, dict) and "jobId" in body:
            chance = self._random.random()
            job = self._house.store.job("default", str(body["jobId"]))
            if job is None or job.mastering is not None or job.video is not None:
                return
            if job.work is None or job.work.lyrics is None:
                return  # the house's pipeline has nobody who transcribes
            if chance < 0.3:
                self._house.publish(job.job_id)
            elif chance < 0.5:
                self._house.fail(job.job_id)
            elif chance < 0.7:
                self._house.progress(job.job_id, 0.5)

    def _remember(self, body: Any) -> None:
        if not isinstance(body, dict):
            return
        for wire, name in _IDS.items():
            value = body.get(wire)
            if isinstance(value, str):
                kept = self._known.setdefault(name, [])
                if value not in kept:
                    kept.append(value)
                    if len(kept) > _KEPT:
                        del kept[self._random.randrange(1, len(kept))]
        for value in body.values():
            for each in value if isinstance(value, list) else (value,):
                self._remember(each)


def _settings(examples: int, *, derandomize: bool = True, **more: Any) -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=derandomize,
        # Nothing is tried again: the world is another one after every request.
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
        **more,
    )


def _populated(house: House) -> dict[str, Any]:
    """Something in every state."""
    published, failed, queued = house.published(), house.imported(), house.imported()
    house.fail(failed["jobId"])
    canceled = house.imported()
    house.http.post(f"/v1/jobs/{canceled['jobId']}/cancel")
    asset = house.upload(purpose="mastering")
    master = house.http.post("/v1/mastering/jobs", json={"assetId": asset}).json()
    upload = house.http.post(
        "/v1/uploads",
        json={"filename": "a.wav", "contentType": "audio/wav", "sizeBytes": len(WAV)},
    ).json()
    made = [published, failed, queued, canceled, master, upload, {"assetId": asset}]
    return {"made": [dict(each) for each in made]}


def _problem_lacks(response: httpx.Response) -> list[str]:
    """What every refusal promises."""
    if response.status_code < 400:
        return []
    if response.request.method == "HEAD" or response.request.url.path.startswith("/api/"):
        return []  # clips have the error body of their first service
    if response.headers.get("content-type") != "application/problem+json":
        # /readyz tells which dependency is down in words of its own
        return [] if response.status_code == 503 else ["a refusal is no problem"]
    body = response.json()
    lacking = [
        name
        for name in ("type", "title", "status", "detail", "instance", "code", "traceId")
        if not body.get(name)
    ]
    if body["status"] != response.status_code:
        lacking.append("its own status")
    if body["code"] == "validation_failed" and not body.get("errors"):
        lacking.append("the field")
    return [f"a problem lacks {each}" for each in lacking]


@contextmanager
def fuzzing(seed: int = 1) -> Iterator[Fuzzing]:
    """A gateway to ask, in a folder of its own."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=structlog.ReturnLoggerFactory(),
    )
    with tempfile.TemporaryDirectory() as folder:
        guarded = guarded_house(Path(folder), rate_limit_requests=100_000)
        try:
            yield Fuzzing(guarded, seed)
        finally:
            guarded.house.close()
            structlog.configure(**before)


def main() -> None:
    """Ask so many times and say what came of it; status 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given_ = parser.parse_args()
    began = time.monotonic()
    with fuzzing(given_.seed) as asked:
        asked.single(given_.cases // 2)
        asked.chains(given_.cases - asked.report.cases)
        report = asked.report
    by_class = Counter[int]()
    for (_, status), count in report.statuses.items():
        by_class[status] += count
    print(f"{report.cases} cases of {len(report.operations())} operations", end=" ")
    print(f"in {time.monotonic() - began:.0f} s: {json.dumps(dict(sorted(by_class.items())))}")
    for key, detail in sorted(report.failures.items()):
        print(f"\nFAILED {key}\n{detail}")
    print(f"{len(report.failures)} kinds of failure")
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
