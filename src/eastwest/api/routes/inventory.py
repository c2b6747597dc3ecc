"""The cluster's objects."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from eastwest.api.models import Inventory
from eastwest.api.parameters import KnownOnly
from eastwest.api.problems import RESPONSES
from eastwest.api.services import Given

router = APIRouter(tags=["inventory"])


@router.get("/api/v1/inventory", operation_id="inventory", responses=RESPONSES, dependencies=[KnownOnly])
def inventory(
    services: Given, at: Annotated[str | None, Query(description="RFC 3339; now when omitted")] = None
) -> Inventory:
    """Namespaces, nodes, workloads, pods and services as known at one moment."""
    raise NotImplementedError
