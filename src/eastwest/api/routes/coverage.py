"""How much of what happened is in the data."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import ValidationError

from eastwest.api.asked import GivenRange, window_of
from eastwest.api.models.coverage import Coverage, PodCoverage, WindowCoverage
from eastwest.api.parameters import KnownOnly
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Given, Services
from eastwest.query.coverage.accounts import coverage as query
from eastwest.query.coverage.parts import by_pod, by_window
from eastwest.store.questions import Range

router = APIRouter(tags=["coverage"])


def coverage_of(services: Services, range_: Range) -> Coverage:
    """The coverage of a range, or the one that a recording brought; every node of the inventory is expected to report."""
    if services.recorded_coverage is not None:
        with suppress(ValidationError):
            return Coverage.model_validate(dict(services.recorded_coverage) | {"window": window_of(services, range_)})
    expected = [node.name for node in services.inventory.state_at(services.now_ns()).nodes]
    recorded = services.recording is not None
    accounts = query(services.store, range_, services.now_ns(), expected, recorded=recorded)
    return Coverage.model_validate(asdict(accounts) | {"window": window_of(services, range_)})


@router.get("/api/v1/coverage", operation_id="coverage", responses=RESPONSES, dependencies=[KnownOnly])
def coverage(
    services: Given,
    range_: GivenRange,
    by: Literal["node", "pod", "window"] = "node",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Coverage:
    """The agents' books over a time range, per node and in sentences; `by` adds them pod by pod or window by window."""
    found = coverage_of(services, range_)
    if services.recorded_coverage is not None:
        return found  # a recording has sums only
    if by == "pod":
        pods = services.inventory.state_within(range_.start_ns, range_.end_ns).pods
        names = {pod.uid: (pod.namespace, pod.name) for pod in pods if pod.uid}
        found.pods = [PodCoverage(**row) for row in by_pod(services.store, range_, names, limit)]
    if by == "window":
        found.windows = [WindowCoverage(**row) for row in by_window(services.store, range_, limit)]
    return found
