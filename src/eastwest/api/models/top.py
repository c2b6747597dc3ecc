"""Who has the most of something."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from eastwest.api.models.prices import Cost, PricesUsed
from eastwest.api.models.window import Incomplete, Window


class TopRow(Cost):
    """`cost` is what this end pays: all pods together pay what all edges cost."""

    namespace: str | None
    name: str
    kind: str
    bytes: int
    packets: int
    connections: int
    bytes_sent: int
    bytes_received: int


class Top(BaseModel):
    window: Window
    by: Literal["pod", "workload", "namespace"]
    metric: Literal["bytes", "packets", "connections", "cost"]
    rows: list[TopRow]
    prices: PricesUsed | None = None
    incomplete: Incomplete
