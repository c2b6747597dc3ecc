"""A range in one look."""

from __future__ import annotations

from pydantic import BaseModel, Field

from eastwest.api.models.window import Window


class LookupRow(BaseModel):
    """Whose lookups failed."""

    namespace: str | None
    name: str = Field(description="the workload; the pod's UID where the inventory does not know it")
    kind: str | None
    lookups: int
    errors: int = Field(description="every outcome but NOERROR")
    outcomes: dict[str, int]


class LookupSummary(BaseModel):
    """What pods asked DNS, and what became of it. NXDOMAIN is often a search path at work."""

    lookups: int | None = Field(description="null where no agent's DNS hook is on")
    errors: int | None
    outcomes: dict[str, int] = Field(description="by response code; no_answer where none came")
    rows: list[LookupRow] = Field(description="most errors first, at most 10; only workloads with errors")


class Overview(BaseModel):
    """A range in one look. Sums are over the edges of the flow table; null where no hook of any node tells."""

    window: Window
    edges: int
    bytes: int
    connections: int
    connections_established: int
    connection_failures: int | None
    resets: int | None
    retransmits: int | None
    rtos: int | None
    segments: int
    drops: int | None
    policy_allowed: int | None
    policy_denied: int | None
    policy_would_deny: int | None
    denied_edges: int
    would_deny_edges: int
    dns: LookupSummary
