"""Who talks to whom."""

from __future__ import annotations

from fastapi import APIRouter

from eastwest.api.models import ServiceMap
from eastwest.api.parameters import EndText, FilterText, KnownOnly, Level, NamespaceText, StartText, WindowText
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Given

router = APIRouter(tags=["map"])


@router.get("/api/v1/service-map", operation_id="serviceMap", responses=RESPONSES, dependencies=[KnownOnly])
def service_map(
    services: Given,
    namespace: NamespaceText = None,
    level: Level = "workload",
    window: WindowText = None,
    start: StartText = None,
    end: EndText = None,
    filter: FilterText = "",
) -> ServiceMap:
    """Nodes and edges of a time range. Both ends' reports of one connection become one edge."""
    raise NotImplementedError
