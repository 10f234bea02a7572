"""The description of the topics, where those who subscribe look for it."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from topics import asyncapi

router = APIRouter(include_in_schema=False)

_CACHED = {"Cache-Control": "max-age=3600"}


@cache
def _text() -> str:
    return asyncapi.text()  # 0.3 s of YAML


@router.get("/asyncapi.yaml")
def as_yaml() -> Response:
    """AsyncAPI 3 as YAML."""
    return Response(_text(), media_type="application/yaml", headers=_CACHED)


@router.get("/asyncapi.json")
def as_json() -> JSONResponse:
    """AsyncAPI 3 as JSON."""
    return JSONResponse(asyncapi.document(), headers=_CACHED)
