"""What the live stream sends."""

from __future__ import annotations

from pydantic import BaseModel, Field


class LiveEvent(BaseModel):
    """One server-sent event (`event: flows`): new records became visible; fetch again what is shown."""

    window_end_ns: int = Field(description="end of the newest window received so far")
    rows: int = Field(description="records that became visible since the last event")
    batches: int
    nodes: int = Field(description="nodes that sent them")
