"""JSON Schemas of the documents that clients read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from gateway.guard.problems import Code
from gateway.guard.responses import documented
from schemas.documents.analysis import Analysis
from schemas.documents.audio_manifest import AudioManifest
from schemas.documents.checks import Checks
from schemas.documents.decision import Decision, Overrides
from schemas.documents.karaoke import KaraokeDocument
from schemas.documents.lyrics import Document
from schemas.documents.report import Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_OF_RESULTS: Mapping[str, type[Document]] = {
    "analysis-1": Analysis,
    "decision-1": Decision,
    "overrides-1": Overrides,
    "report-1": Report,
    "checks-1": Checks,
    "audio_manifest_v1": AudioManifest,
}


class SchemaResponse(JSONResponse):
    """A JSON Schema."""

    media_type = "application/schema+json"


router = APIRouter(tags=["schemas"])


@router.get(
    "/schemas/karaoke-1.json",
    summary="JSON Schema of karaoke-json",
    response_class=SchemaResponse,
    responses={200: {"description": "A JSON Schema (2020-12) of karaoke/1."}},
)
def karaoke(request: Request) -> JSONResponse:
    """What ``GET …/ready`` and ``GET …/lyrics`` return as lyrics."""
    return _published(request, "karaoke-1", KaraokeDocument)


@router.get(
    "/schemas/{name}.json",
    summary="JSON Schema of a result's document",
    response_class=SchemaResponse,
    responses={
        **documented(Code.VALIDATION_FAILED, shared=()),
        200: {"description": "A JSON Schema (2020-12) of that document."},
    },
)
def of_results(
    name: Literal[
        "analysis-1", "decision-1", "overrides-1", "report-1", "checks-1", "audio_manifest_v1"
    ],
    request: Request,
) -> JSONResponse:
    """What the artifacts of a mastering job, and the manifest of an extraction, hold."""
    return _published(request, name, _OF_RESULTS[name])


def _published(request: Request, name: str, document: type[Document]) -> JSONResponse:
    base_url = request.app.state.services.settings.public_base_url.rstrip("/")
    schema: dict[str, Any] = {
        "$schema": DIALECT,
        "$id": f"{base_url}/v1/schemas/{name}.json",
    } | document.model_json_schema(mode="serialization")
    return SchemaResponse(schema, headers={"Cache-Control": "max-age=3600"})
