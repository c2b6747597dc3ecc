"""GET /api/v1/metrics for Prometheus, and GET /ingest/v1/names, from which agents learn the names of their own pods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response, params
from fastapi.responses import JSONResponse

from eastwest.runtime.tokens import bearer, speaks_for

METRICS_PATH = "/api/v1/metrics"
NAMES_PATH = "/ingest/v1/names"

Expose = Callable[[str | None], tuple[bytes, str]]
"""Accept header -> (body, content type)."""
NamesOf = Callable[[str, Sequence[str]], Iterable[tuple[str, str, str]]]
"""(node, pod UIDs) -> (pod UID, namespace, name) of those that are or were on it."""


def metrics_router(expose: Expose, dependencies: Sequence[params.Depends] = ()) -> APIRouter:
    """Everything the server publishes, workload pairs included: `dependencies` admit whoever may read flows."""
    router = APIRouter(tags=["metrics"], dependencies=list(dependencies))

    def metrics(accept: Annotated[str | None, Header()] = None) -> Response:
        """OpenMetrics 1.0, or classic Prometheus text when the Accept header prefers it."""
        body, content_type = expose(accept)
        return Response(body, headers={"Content-Type": content_type, "Vary": "Accept"})

    router.add_api_route(METRICS_PATH, metrics, methods=["GET"], include_in_schema=False)
    return router


def names_router(names_of: NamesOf, secret: bytes) -> APIRouter:
    """The names route: a node's own token opens the names of its own pods only.

    Answers {"pods": [[uid, namespace, name], …]} for the `uid` parameters it knows.
    """
    router = APIRouter()

    def names(
        cluster: str,
        node: str,
        uid: Annotated[Sequence[str], Query()] = (),
        authorization: Annotated[str | None, Header()] = None,
    ) -> Response:
        token = bearer(authorization)
        if token is None or not speaks_for(secret, token, cluster, node):
            return Response(status_code=401 if token is None else 403)
        return JSONResponse({"pods": [list(row) for row in names_of(node, uid)]})

    router.add_api_route(NAMES_PATH, names, methods=["GET"], include_in_schema=False)
    return router
