"""What an amount of money is made of: the table behind it, and what had no price."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field


class PricesUsed(BaseModel):
    """The table behind every amount of an answer: flat rates, so an estimate. Check it against your bill."""

    name: str
    as_of: date = Field(description="the day the table speaks of")
    source: str = Field(description="where its figures come from")
    currency: str


class Cost(BaseModel):
    """An amount in the currency of the answer's `prices`. Where only a part has a price, it is the cost of that part."""

    cost: float | None = Field(None, description="null when nothing of it has a known price")
    unpriced_bytes: int = Field(0, description="L3 bytes that are not in `cost` because their price is not known")
    unpriced_reason: Literal["no_price_table", "end_unknown", "zone_unknown", "region_unknown"] | None = Field(
        None, description="why, for most of unpriced_bytes; null when all is priced"
    )
