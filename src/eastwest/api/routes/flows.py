"""The flow table."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from eastwest.api.models import FlowPage
from eastwest.api.parameters import EndText, FilterText, KnownOnly, NamespaceText, StartText, View, WindowText
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Given

router = APIRouter(tags=["flows"])


@router.get("/api/v1/flows", operation_id="flows", responses=RESPONSES, dependencies=[KnownOnly])
def flows(
    services: Given,
    view: Annotated[
        View | None,
        Query(description="cluster: both ends inside; aws: an end is an AWS service; external: an end is outside"),
    ] = None,
    namespace: NamespaceText = None,
    filter: FilterText = "",
    sort: Annotated[str, Query(description="a column, with - for descending")] = "-bytes_forward",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    window: WindowText = None,
    start: StartText = None,
    end: EndText = None,
) -> FlowPage:
    """One row per pair of pods or external ends, protocol and server port. Pages keep the time range of the first."""
    raise NotImplementedError
