"""A window as an evidence bundle."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from eastwest.api.asked import GivenRange
from eastwest.api.parameters import KnownOnly
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Given

router = APIRouter(tags=["bundle"])


@router.get(
    "/api/v1/bundle",
    operation_id="bundle",
    response_class=Response,
    responses={**RESPONSES, 200: {"content": {"application/zip": {}}, "description": "bundle.json, flows.parquet, …"}},
    dependencies=[KnownOnly],
)
def bundle(services: Given, range_: GivenRange) -> Response:
    """Flows, cluster objects and coverage of a time range as one zip, readable without a cluster."""
    name = datetime.fromtimestamp(range_.end_ns // 1_000_000_000, UTC).strftime("eastwest-%Y%m%dT%H%M%SZ.zip")
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(services.bundle(range_), media_type="application/zip", headers=headers)
