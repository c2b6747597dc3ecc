"""Is the server there at all, and is it able to answer and to receive."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from eastwest import __version__
from eastwest.api.models.health import AwsRangesUsed, Health, StoreHealth
from eastwest.api.services import Given

router = APIRouter(tags=["health"])


@router.get("/livez", include_in_schema=False)
def alive() -> dict[str, str]:
    """200 as long as the process answers at all: what restarts it must not ask more than that."""
    return {"status": "alive"}


@router.get("/healthz", operation_id="health", responses={503: {"model": Health}})
def health(services: Given, response: Response) -> Health:
    """200 when flows can be received and asked for, 503 with the reasons otherwise."""
    status, troubles = services.store.status(), services.troubles()
    reasons = [*([] if status.ready else [f"store: {status.reason}"]), *troubles]
    if reasons:
        response.status_code = 503
    return Health(
        status="degraded" if reasons else "ok",
        version=__version__,
        started_ns=services.started_ns,
        recorded=services.recording is not None,
        store=StoreHealth(ready=status.ready, engine=status.engine, restarts=status.restarts),
        last_batch_ns=services.last_batch_ns(),
        aws_ranges=AwsRangesUsed(**asdict(services.aws_ranges())) if services.aws_ranges else None,
        reasons=reasons,
    )


@router.get("/metrics", include_in_schema=False)
def metrics(services: Given, request: Request) -> Response:
    """The server's own metrics as OpenMetrics text, without labels that name anybody's traffic."""
    body, content_type = services.metrics(request.headers.get("accept"))
    return Response(body, media_type=None, headers={"Content-Type": content_type})
