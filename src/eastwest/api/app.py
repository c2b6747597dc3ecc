"""The HTTP application: puts the routes together, and nothing else. `cli.server` runs it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI

from eastwest import __version__
from eastwest.api import console, problems
from eastwest.api.auth import Authorised
from eastwest.api.routes import (
    bundle,
    costs,
    coverage,
    enforcement,
    events,
    filters,
    flows,
    health,
    history,
    inventory,
    overview,
    policies,
    rollouts,
    servicemap,
    session,
    top,
)
from eastwest.api.services import Services

DESCRIPTION = """Every connection in a Kubernetes cluster, as seen by the agents on its nodes.

Times are int64 nanoseconds since the Unix epoch. Unknown is null. Errors are problem documents (RFC 9457) that name the
parameter to change."""


class _App(FastAPI):
    """Describes no 422: parameters that do not validate are answered 400 like all others."""

    def openapi(self) -> dict[str, Any]:
        described = super().openapi()
        for methods in described["paths"].values():
            for operation in methods.values():
                operation["responses"].pop("422", None)
        for unused in ("HTTPValidationError", "ValidationError"):
            described["components"]["schemas"].pop(unused, None)
        return described


def create_app(
    services: Services | None = None, more: Iterable[APIRouter] = (), console_folder: Path = console.FOLDER
) -> FastAPI:
    """The application over `services`, with `more` routers; None gives one that can only describe itself."""
    app = _App(
        title="eastwest",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.services = services
    problems.install(app)
    for module in (health, session):
        app.include_router(module.router)
    for module in (
        overview,
        history,
        servicemap,
        flows,
        top,
        costs,
        coverage,
        inventory,
        filters,
        bundle,
        events,
        policies,
        enforcement,
        rollouts,
    ):
        app.include_router(module.router, dependencies=[Authorised])
    for router in more:
        app.include_router(router)
    console.add_console(app, console_folder)
    return app
