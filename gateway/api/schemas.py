"""JSON Schemas of the documents that clients read."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from schemas.documents.karaoke import KaraokeDocument

DIALECT = "https://json-schema.org/draft/2020-12/schema"

router = APIRouter(tags=["schemas"])


@router.get(
    "/schemas/karaoke-1.json",
    summary="JSON Schema of karaoke-json",
    response_class=JSONResponse,
    responses={200: {"description": "A JSON Schema (2020-12) of karaoke/1."}},
)
def karaoke(request: Request) -> JSONResponse:
    """What ``GET …/ready`` and ``GET …/lyrics`` return as lyrics."""
    base_url = request.app.state.services.settings.public_base_url.rstrip("/")
    schema: dict[str, Any] = {
        "$schema": DIALECT,
        "$id": f"{base_url}/v1/schemas/karaoke-1.json",
    } | KaraokeDocument.model_json_schema(mode="serialization")
    return JSONResponse(
        schema, media_type="application/schema+json", headers={"Cache-Control": "max-age=3600"}
    )
