"""What is in force and what is asked for: status, modes, postures, and a node's plan in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException

from eastwest.api.answers.enforcement import described, node_modes, settings_of
from eastwest.api.models.enforcement import (
    EnforcementSettings,
    EnforcementStatus,
    ModeChange,
    PlanDescription,
    PostureChange,
)
from eastwest.api.parameters import KnownOnly
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Enforcement, Given, Services
from eastwest.enforce.modes import EVERY_NAMESPACE
from eastwest.enforce.status import status as status_of
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode, Posture
from eastwest.policy.posture import Postures
from eastwest.query.errors import ParameterError

router = APIRouter(tags=["enforcement"])


def _enforcement(services: Services) -> Enforcement:
    if services.enforcement is None:
        raise HTTPException(404, "a recording enforces nothing: ask a live server")
    return services.enforcement


@router.get("/api/v1/enforcement", operation_id="enforcement", responses=RESPONSES, dependencies=[KnownOnly])
def status(services: Given) -> EnforcementStatus:
    """Per node, namespace and policy: what is planned, what is in force, and what waits for whom."""
    enforcement = _enforcement(services)
    found = status_of(enforcement.planner, enforcement.register)
    nodes = [asdict(n) for n in found.nodes]
    namespaces = [asdict(n) | {"nodes": node_modes(n.nodes)} for n in found.namespaces]
    return EnforcementStatus.model_validate(
        asdict(found) | {"nodes": nodes, "namespaces": namespaces, "settings": settings_of(found.snapshot)}
    )


@router.put(
    "/api/v1/enforcement/namespaces/{namespace}",
    operation_id="set_enforcement",
    responses=RESPONSES,
    dependencies=[KnownOnly],
)
def set_mode(services: Given, namespace: str, change: ModeChange) -> EnforcementSettings:
    """Set the mode of a namespace (`*`: of every one that has none of its own), in one direction or both, everywhere or
    on some nodes."""
    enforcement = _enforcement(services)
    planned = enforcement.planner.planned
    if planned is not None and namespace != EVERY_NAMESPACE:
        _known(namespace, "namespace", [n.name for n in planned.engine.universe.namespaces])
    for node in change.nodes or ():
        _known(node, "nodes", [] if planned is None else planned.plans)
    if change.nodes == []:
        raise ParameterError("nodes", "an empty list changes nothing: leave it out for every node")
    held = enforcement.held(namespace)
    if held is not None:
        raise ParameterError("namespace", held)
    direction = Direction(change.direction) if change.direction is not None else None
    return settings_of(enforcement.settings.set(namespace, Mode(change.mode), direction, change.nodes))


@router.put("/api/v1/enforcement/posture", operation_id="set_posture", responses=RESPONSES, dependencies=[KnownOnly])
def set_posture(services: Given, change: PostureChange) -> EnforcementSettings:
    """Set what holds where no policy decides: for the cluster, a namespace or a node group."""
    enforcement = _enforcement(services)
    posture = Posture(change.posture) if change.posture is not None else None

    def changed(now: Postures) -> Postures:
        if change.scope == "cluster":
            if change.name is not None:
                raise ParameterError("name", "the cluster has no name here: leave it out")
            return now.with_cluster(posture or Posture.ALLOW)
        if not change.name:
            raise ParameterError("name", f"is required with scope {change.scope}")
        if change.scope == "namespace":
            return now.with_namespace(change.name, posture)
        try:
            return now.with_nodes(change.name, posture)
        except ValueError as error:
            raise ParameterError("name", str(error)) from None

    return settings_of(enforcement.settings.set_posture(changed))


@router.get("/api/v1/enforcement/plan", operation_id="node_plan", responses=RESPONSES, dependencies=[KnownOnly])
def plan(services: Given, node: Annotated[str, Query(description="the node's name")]) -> PlanDescription:
    """A node's newest plan in words, and how it differs from the one that is in force there."""
    enforcement = _enforcement(services)
    planned = enforcement.planner.planned
    if planned is None:
        raise HTTPException(503, "nothing was compiled yet")
    _known(node, "node", planned.plans)
    return described(enforcement, planned, planned.plans[node])


def _known(name: str, parameter: str, there: Iterable[str]) -> None:
    names = sorted(there)
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names[:8]) or 'none yet'}"
        raise ParameterError(parameter, f"no {parameter.removesuffix('s')} {name!r}; {hint}")
