"""Who talks to whom."""

from __future__ import annotations

from fastapi import APIRouter, Response

from eastwest.api.asked import GivenRange, condition_of, json_response, prices_of, window_of
from eastwest.api.models.servicemap import MapEdge, MapNode, ServiceMap
from eastwest.api.parameters import FilterText, KnownOnly, Level, NamespaceText, VerdictText
from eastwest.api.problems import RESPONSES
from eastwest.api.routes.coverage import coverage_of
from eastwest.api.services import Given
from eastwest.query.behind import explain
from eastwest.query.servicemap import service_map as query

router = APIRouter(tags=["map"])


@router.get(
    "/api/v1/service-map",
    operation_id="serviceMap",
    response_model=ServiceMap,
    responses=RESPONSES,
    dependencies=[KnownOnly],
)
def service_map(
    services: Given,
    range_: GivenRange,
    namespace: NamespaceText = None,
    level: Level = "workload",
    verdict: VerdictText = None,
    filter: FilterText = "",
) -> Response:
    """Nodes and edges of a time range. Both ends' reports of one connection become one edge."""
    found = query(services.store, range_, level, condition_of(filter, namespace, verdict), services.prices)
    explain(found.edges, services.inventory.state_within(range_.start_ns, range_.end_ns))
    answer = ServiceMap(
        window=window_of(services, range_),
        level=level,
        nodes=[MapNode(**row) for row in found.nodes],
        edges=[MapEdge(**row) for row in found.edges],
        coverage=coverage_of(services, range_),
        prices=prices_of(services),
    )
    return json_response(answer)
