"""What is to be in force on one node, as plain values: identities, rule tables as cells and rows, and reasons.

Made by `enforce.compile`, carried by `wire.plan`, put into kernel maps by `agent.policy`. It refuses to know policies
and kernels; docs/enforcement.md explains how the arrays become a verdict. Addresses are 16 bytes, IPv4 mapped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.model.flow import Direction


class Mode(StrEnum):
    """What is done with decisions about a pod in one direction."""

    OFF = "off"  # not evaluated
    AUDIT = "audit"  # evaluated and counted, everything passes
    ENFORCE = "enforce"


class Posture(StrEnum):
    """What holds where no policy decides."""

    ALLOW = "allow"
    DENY = "deny"


class Ruling(IntEnum):
    """A verdict as the kernel knows it (enum ew_ruling)."""

    NONE = 0
    ALLOW = 1
    DENY = 2


class IdentityKind(IntEnum):
    """Whether an address is a pod's, which nobody translates (enum ew_identity_kind)."""

    OTHER = 0
    POD = 1


OWN_NODE: Final = 0xFFFF_FFFF
"""The identity of the node's own addresses; the agent adds those it finds on the node itself."""

IDENTITIES: Final = np.dtype(
    [("address", "u1", 16), ("length", "u1"), ("kind", "u1"), ("pad", "u1", 2), ("identity", "<u4")]
)
"""Prefixes of 0 to 128 bits, longest match wins; both families' whole spaces are covered. Identities begin at 1."""

CELLS: Final = np.dtype([("table", "<u4"), ("identity", "<u4"), ("row", "<u4")])
"""The row of a table for a peer's identity, where it is not the table's default row."""

PORTS: Final = np.dtype(
    [
        ("row", "<u4"),
        ("reason", "<u4"),
        ("port", "<u2"),
        ("protocol", "u1"),
        ("length", "u1"),
        ("ruling", "u1"),
        ("pad", "u1", 3),
    ]
)
"""Decisions of a row, longest match wins. `length`: 0 = the whole row (every row has one), 8 = a protocol (0 = every protocol
without ports), 8 + n = n leading bits of `port`."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Who decided: an index into `NodePlan.reasons` is the kernel's rule id; index 0 is nobody.

    tier: as `policy.Tier`. policy: `namespace/name`, `name` of a ClusterNetworkPolicy, None for exemptions and posture.
    rule: index in the policy's list; None when isolation itself denied.
    """

    tier: str
    direction: Direction
    ruling: Ruling
    policy: str | None = None
    rule: int | None = None
    text: str = ""

    @property
    def key(self) -> str:
        """One word of the record columns allowed_by and denied_by, such as `NetworkPolicy shop/web ingress[0]`."""
        if self.policy is None:
            return f"{self.tier} {self.direction}"
        return f"{self.tier} {self.policy} {self.direction}" + (" isolation" if self.rule is None else f"[{self.rule}]")


NOBODY: Final = Reason("", Direction.INGRESS, Ruling.NONE)


@dataclass(frozen=True, slots=True)
class Side:
    """One direction of a local pod. `row`: the default row of `table`."""

    mode: Mode
    table: int
    row: int


@dataclass(frozen=True, slots=True)
class PlanPod:
    """A pod of this node that policies may concern (never a host-network pod)."""

    uid: str
    namespace: str
    name: str
    addresses: tuple[str, ...]
    egress: Side
    ingress: Side


@dataclass(frozen=True, slots=True)
class Limits:
    """Most entries of one plan, by table, so that it fits into a node's kernel beside the plan that it replaces.

    The defaults are what an agent of default sizes tells; agents tell their own (`Realised.limits`).
    """

    pods: int = 1_024
    addresses: int = 2_048
    identities: int = 65_280
    cells: int = 131_072
    ports: int = 262_144
    ranges: int = 128


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Everything for one node. `version` grows with every change and is never used twice; `digest` is the content's.

    reasons[0] is `NOBODY`. ranges: CIDRs of this node's pods. `posture`, `unknown_mode`: for pods the plan does not know.
    sources: policies in force in this plan, with their generation (metadata.generation), for the realised status.
    """

    node: str
    version: int
    digest: str
    pods: tuple[PlanPod, ...] = ()
    reasons: tuple[Reason, ...] = (NOBODY,)
    identities: NDArray[Any] = field(default_factory=lambda: np.zeros(0, IDENTITIES))
    cells: NDArray[Any] = field(default_factory=lambda: np.zeros(0, CELLS))
    ports: NDArray[Any] = field(default_factory=lambda: np.zeros(0, PORTS))
    ranges: tuple[str, ...] = ()
    posture: Posture = Posture.ALLOW
    unknown_mode: Mode = Mode.OFF
    sources: tuple[str, ...] = ()
