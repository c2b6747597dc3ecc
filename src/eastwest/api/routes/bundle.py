"""A window as an evidence bundle."""

from __future__ import annotations

from fastapi import APIRouter, Response

from eastwest.api.parameters import EndText, KnownOnly, StartText, WindowText
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
def bundle(services: Given, window: WindowText = None, start: StartText = None, end: EndText = None) -> Response:
    """Flows, cluster objects and coverage of a time range as one zip, readable without a cluster."""
    raise NotImplementedError
