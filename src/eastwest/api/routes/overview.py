"""A range in one look."""

from __future__ import annotations

from fastapi import APIRouter

from eastwest.api.asked import GivenCondition, GivenRange, window_of
from eastwest.api.models.overview import Overview
from eastwest.api.parameters import KnownOnly, NamespaceText
from eastwest.api.problems import RESPONSES
from eastwest.api.routes.coverage import coverage_of
from eastwest.api.services import Given
from eastwest.query.overview import overview as query

router = APIRouter(tags=["flows"])


@router.get("/api/v1/overview", operation_id="overview", responses=RESPONSES, dependencies=[KnownOnly])
def overview(
    services: Given,
    range_: GivenRange,
    where: GivenCondition,
    namespace: NamespaceText = None,
) -> Overview:
    """Traffic, TCP health, verdicts and DNS of everything at once."""
    pods = services.inventory.state_within(range_.start_ns, range_.end_ns).pods
    owners = {pod.uid: pod.workload for pod in pods if pod.uid}
    nodes = coverage_of(services, range_).nodes
    hooked = any(hook.name == "dns" and hook.state == "on" for node in nodes for hook in node.hooks)
    found = query(services.store, range_, where, owners, namespace, hooked=hooked)
    return Overview(window=window_of(services, range_), **found)
