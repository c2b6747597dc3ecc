"""Lint and completions for the filter bar."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from eastwest.api.models import FilterCheck
from eastwest.api.parameters import FilterText, KnownOnly
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Given

router = APIRouter(tags=["filter"])


@router.get("/api/v1/filter/complete", operation_id="completeFilter", responses=RESPONSES, dependencies=[KnownOnly])
def complete(
    services: Given,
    filter: FilterText = "",
    cursor: Annotated[int | None, Query(ge=0, description="character offset; the end when omitted")] = None,
) -> FilterCheck:
    """What is wrong with a filter, if anything, and what could come at the cursor."""
    raise NotImplementedError
