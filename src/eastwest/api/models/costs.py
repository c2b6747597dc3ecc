"""What a window's traffic costs, and who pays."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from eastwest.api.models.prices import Cost, PricesUsed
from eastwest.api.models.top import TopRow
from eastwest.api.models.window import Incomplete, Window


class CostGroup(Cost):
    """The edges of one category, or between two zones (initiator's > server's)."""

    name: str
    bytes: int


class Costs(Cost):
    """What a window cost, by flat rates: an estimate."""

    window: Window
    prices: PricesUsed | None = Field(description="null when the server has no price table")
    by: Literal["pod", "workload", "namespace"]
    bytes: int
    categories: list[CostGroup] = Field(description="dearest first; every edge is in one of them")
    zone_pairs: list[CostGroup] = Field(description="dearest first; edges whose two zones are known")
    rows: list[TopRow] = Field(description="who pays, most first")
    incomplete: Incomplete
