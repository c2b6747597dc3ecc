"""GET /metrics for Prometheus, and GET /ingest/v1/names, from which agents learn the names of their own pods."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse

from eastwest.runtime.openmetrics import TextFormat, negotiate
from eastwest.runtime.tokens import bearer, speaks_for

NAMES_PATH = "/ingest/v1/names"

NamesOf = Callable[[str], Iterable[tuple[str, str, str]]]
"""node -> (pod UID, namespace, name) of each pod on it."""


def metrics_router(render: Callable[[TextFormat], bytes]) -> APIRouter:
    """The scrape route. Whoever starts the server decides who may come in, as for every other route."""
    router = APIRouter(tags=["metrics"])

    def metrics(accept: Annotated[str | None, Header()] = None) -> Response:
        """OpenMetrics 1.0, or classic Prometheus text when the Accept header prefers it."""
        text_format = negotiate(accept)
        return Response(render(text_format), headers={"Content-Type": text_format.value, "Vary": "Accept"})

    router.add_api_route("/metrics", metrics, methods=["GET"], include_in_schema=False)
    return router


def names_router(names_of: NamesOf, secret: bytes) -> APIRouter:
    """The names route: a node's own token opens its own list only. Answers {"pods": [[uid, namespace, name], …]}."""
    router = APIRouter()

    def names(cluster: str, node: str, authorization: Annotated[str | None, Header()] = None) -> Response:
        token = bearer(authorization)
        if token is None or not speaks_for(secret, token, cluster, node):
            return Response(status_code=401 if token is None else 403)
        return JSONResponse({"pods": [list(row) for row in names_of(node)]})

    router.add_api_route(NAMES_PATH, names, methods=["GET"], include_in_schema=False)
    return router
