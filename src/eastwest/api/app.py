"""The HTTP application: puts the routes together, and nothing else. `cli.server` runs it."""

from __future__ import annotations

from fastapi import FastAPI

from eastwest import __version__
from eastwest.api import problems
from eastwest.api.routes import bundle, coverage, events, filters, flows, health, inventory, servicemap, session, top
from eastwest.api.services import Services

DESCRIPTION = """Every connection in a Kubernetes cluster, as seen by the agents on its nodes.

Times are int64 nanoseconds since the Unix epoch. Unknown is null. Errors are problem documents (RFC 9457) that name the
parameter to change."""


def create_app(services: Services | None = None) -> FastAPI:
    """The application over `services`; None gives one that can only describe itself."""
    app = FastAPI(
        title="eastwest",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.services = services
    problems.install(app)
    for module in (health, session, servicemap, flows, top, coverage, inventory, filters, bundle, events):
        app.include_router(module.router)
    return app
