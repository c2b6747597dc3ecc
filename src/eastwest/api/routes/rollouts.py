"""Staged rollouts: start one, look at it, pause, resume and abort it."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from eastwest.api.answers.rollouts import request_of, rollout
from eastwest.api.auth import OwnPages
from eastwest.api.models.rollouts import CurrentRollout, Rollout, RolloutRequest
from eastwest.api.parameters import KnownOnly
from eastwest.api.problems import CONFLICT, RESPONSES
from eastwest.api.services import Given, Services
from eastwest.enforce.rollout import machine
from eastwest.enforce.rollout.driver import Rollouts
from eastwest.enforce.rollout.machine import State
from eastwest.enforce.rollout.spec import RolloutError
from eastwest.query.errors import ParameterError

router = APIRouter(tags=["rollouts"], dependencies=[KnownOnly])
ANSWERS = {**RESPONSES, **CONFLICT}


def _rollouts(services: Services) -> Rollouts:
    if services.rollouts is None:
        raise HTTPException(409, "this server plays a recording: nothing is enforced, so nothing can be rolled out")
    return services.rollouts


def _answer(services: Services) -> Rollout:
    view = _rollouts(services).view()
    assert view is not None
    return rollout(view, sorted(node.name for node in services.inventory.state_at(services.now_ns()).nodes))


def _tried(services: Services, act: Callable[[Rollouts], object]) -> Rollout:
    try:
        act(_rollouts(services))
    except RolloutError as error:
        if error.parameter is not None:
            raise ParameterError(error.parameter, str(error)) from None
        raise HTTPException(409, str(error)) from None
    return _answer(services)


@router.post("/api/v1/rollouts", operation_id="startRollout", responses=ANSWERS, dependencies=[OwnPages])
def start(services: Given, given: RolloutRequest) -> Rollout:
    """Begin moving namespaces to audit or enforce, step by step. One at a time; 409 while another is not over."""
    return _tried(services, lambda r: r.begin(request_of(given)))


@router.get("/api/v1/rollouts/current", operation_id="rollout", responses=ANSWERS)
def current(services: Given) -> CurrentRollout:
    """The rollout that is under way, or the last one."""
    there = _rollouts(services).view() is not None
    return CurrentRollout(rollout=_answer(services) if there else None)


def _changed(services: Services, how: Callable[[State, int], State]) -> Rollout:
    return _tried(services, lambda r: r.change(how))


@router.post("/api/v1/rollouts/current/pause", operation_id="pauseRollout", responses=ANSWERS, dependencies=[OwnPages])
def pause(services: Given) -> Rollout:
    """Stay at the step in force; the gates still watch."""
    return _changed(services, machine.pause)


@router.post(
    "/api/v1/rollouts/current/resume", operation_id="resumeRollout", responses=ANSWERS, dependencies=[OwnPages]
)
def resume(services: Given) -> Rollout:
    """Go on after a pause, or try the step again that a gate stopped."""
    return _changed(services, machine.resume)


@router.post("/api/v1/rollouts/current/abort", operation_id="abortRollout", responses=ANSWERS, dependencies=[OwnPages])
def abort(services: Given) -> Rollout:
    """Back to the modes before the rollout, at once."""
    return _changed(services, machine.abort)
