"""What is known of an edge beside its counts: how its TCP connections fared, and what the policies did to it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class TcpHealth(BaseModel):
    """How the connections of an edge fared; null where no hook of the node says (see coverage: hooks).

    Retransmissions, timeouts and drops are those of both ends; the rest is the reporting end's.
    """

    connection_attempts: int | None = None
    connection_failures: int | None = Field(None, description="ended without having been established")
    resets: int | None = Field(None, description="established connections that a RST ended, sent or received")
    connection_timeouts: int | None = Field(None, description="established connections given up after no answer")
    retransmits: int | None = Field(None, description="segments sent again, all phases")
    retransmits_syn: int | None = None
    retransmits_established: int | None = None
    retransmits_closing: int | None = None
    rtos: int | None = Field(None, description="retransmission timeouts, all phases")
    rtos_syn: int | None = None
    rtos_established: int | None = None
    rtos_closing: int | None = None
    connect_mean_us: float | None = Field(None, description="SYN to established")
    rtt_min_us: int | None = None
    rtt_mean_us: float | None = None
    rtt_p50_us: float | None = Field(None, description="from a histogram: within a factor of 2")
    rtt_p99_us: float | None = None
    drops: int | None = Field(None, description="packets of any protocol that the kernel dropped on the ends' nodes")


class Verdict(BaseModel):
    """What the policies did to an edge; all null where no end's node decides (enforcement off or refused).

    Counts are those of both ends added up: what egress denied never reached ingress.
    """

    verdict: Literal["denied", "partly", "would_deny", "allowed"] | None = Field(
        None, description="denied: nothing passed some end; partly: some did; would_deny: audit; null: nobody decided"
    )
    policy_allowed: int | None = Field(None, description="packets")
    policy_denied: int | None = Field(None, description="packets")
    policy_would_deny: int | None = Field(None, description="packets that audit let pass")
    egress_denied_by: str | None = Field(None, description="tier, policy and rule, or isolation; the last of the range")
    ingress_denied_by: str | None = None
    egress_allowed_by: str | None = None
    ingress_allowed_by: str | None = None
    missing: str | None = Field(None, description="the rule that is missing, end by end, in words")
