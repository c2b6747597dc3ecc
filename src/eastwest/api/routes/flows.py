"""The flow table."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from eastwest.api.asked import GivenRange, condition_of, json_response, prices_of, window_of
from eastwest.api.models.flows import FlowPage, FlowRow
from eastwest.api.parameters import FilterText, KnownOnly, NamespaceText, VerdictText, View
from eastwest.api.problems import RESPONSES
from eastwest.api.routes.coverage import coverage_of
from eastwest.api.services import Given
from eastwest.query import views
from eastwest.query.flows import Table, page
from eastwest.store.predicates import both

router = APIRouter(tags=["flows"])


@router.get(
    "/api/v1/flows", operation_id="flows", response_model=FlowPage, responses=RESPONSES, dependencies=[KnownOnly]
)
def flows(
    services: Given,
    range_: GivenRange,
    view: Annotated[
        View | None,
        Query(description="cluster: both ends inside; aws: an end is an AWS service; external: an end is outside"),
    ] = None,
    namespace: NamespaceText = None,
    verdict: VerdictText = None,
    filter: FilterText = "",
    sort: Annotated[str, Query(description="a column, with - for descending")] = "-bytes_forward",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
) -> Response:
    """One row per pair of pods or external ends, protocol and server port. Pages keep the time range of the first."""
    where = both(views.view(view), condition_of(filter, namespace, verdict))
    asked = f"{view}\n{namespace}\n{verdict}\n{filter}"
    table = Table(range_, where, sort, asked, services.prices)
    found = page(services.store, table, limit, cursor)
    answer = FlowPage(
        window=window_of(services, found.range),
        rows=[FlowRow(**{name: row[name] for name in FlowRow.model_fields}) for row in found.rows],
        next_cursor=found.next_cursor,
        total=found.total,
        prices=prices_of(services),
        incomplete=coverage_of(services, found.range).sentences,
    )
    return json_response(answer)
