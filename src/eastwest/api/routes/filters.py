"""Lint and completions for the filter bar."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from eastwest.api.models.filters import FilterCheck, FilterIssue
from eastwest.api.parameters import FilterText, KnownOnly
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Given
from eastwest.query.errors import ParameterError
from eastwest.query.filter import parse, suggest
from eastwest.store.questions import Range

router = APIRouter(tags=["filter"])


@router.get("/api/v1/filter/complete", operation_id="completeFilter", responses=RESPONSES, dependencies=[KnownOnly])
def complete(
    services: Given,
    filter: FilterText = "",
    cursor: Annotated[int | None, Query(ge=0, description="character offset; the end when omitted")] = None,
) -> FilterCheck:
    """What is wrong with a filter, if anything, and what could come at the cursor."""
    if cursor is not None and cursor > len(filter):
        raise ParameterError("cursor", f"lies behind the end of the filter, which has {len(filter)} characters")
    at = len(filter) if cursor is None else cursor
    error: FilterIssue | None = None
    try:
        parse(filter)
    except ParameterError as issue:
        start = issue.position or 0
        error = FilterIssue(message=issue.detail, position=start, end=issue.end or start)
    now = services.now_ns()
    range_ = services.recording or Range(now - 3_600_000_000_000, now)
    completions, replace_from = suggest(services.store, range_, filter, at)
    return FilterCheck(error=error, completions=completions, replace_from=replace_from)
