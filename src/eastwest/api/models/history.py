"""How a range went, step by step."""

from __future__ import annotations

from pydantic import BaseModel, Field

from eastwest.api.models.window import Window


class HistoryPoint(BaseModel):
    """One step. Sums are over the edges of the flow table in that step; null where nobody watched or no hook tells."""

    start_ns: int
    end_ns: int
    watched: bool = Field(description="whether any agent's window began in this step: else nothing is known of it")
    edges: int | None
    bytes: int | None = Field(description="both directions, as counted at the hook")
    connections: int | None
    connections_established: int | None
    connection_failures: int | None
    resets: int | None
    retransmits: int | None
    rtos: int | None
    drops: int | None
    policy_denied: int | None = Field(description="packets")
    policy_would_deny: int | None = Field(description="packets")
    denied_edges: int | None


class History(BaseModel):
    """A range cut into at most 25 steps; the first and the last may be shorter than the others."""

    window: Window
    points: list[HistoryPoint]
