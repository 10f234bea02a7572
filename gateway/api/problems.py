"""What each problem type means, at the address that its ``type`` names."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from gateway.api.dependencies import Wire
from gateway.guard.problems import Code, Problem
from gateway.guard.responses import documented


class ProblemType(Wire):
    """One kind of problem."""

    code: str = Field(examples=["track_not_ready"])
    status: int = Field(examples=[425])
    title: str
    help: str = Field(description="What to do about it.")


router = APIRouter(tags=["problems"])


@router.get(
    "/problems/{code}",
    response_model=ProblemType,
    summary="What a problem means",
    responses=documented(Code.NOT_FOUND, shared=()),
)
def explain(code: str) -> ProblemType:
    """Title, status and remedy of a problem's ``type``."""
    found = next((each for each in Code if each.word == code), None)
    if found is None:
        raise Problem(Code.NOT_FOUND)
    return ProblemType(code=found.word, status=found.status, title=found.title, help=found.advice)
