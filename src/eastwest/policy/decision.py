"""What the engine says: a decision per side with its reason, and the verdict of both. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from eastwest.model.flow import Direction

Action = Literal["allow", "deny"]


class Tier(StrEnum):
    """Who decided. The order of evaluation is the order here."""

    EXEMPT = "Exempt"  # own node or own address: no policy is asked
    ADMIN = "Admin"
    NETWORK_POLICY = "NetworkPolicy"
    BASELINE = "Baseline"
    POSTURE = "Posture"  # nothing decided, and the default posture denies
    DEFAULT = "Default"  # nothing decided: allowed


@dataclass(frozen=True, slots=True)
class Decision:
    """One side of a connection, decided.

    policy: `namespace/name` of a NetworkPolicy, `name` of a ClusterNetworkPolicy, None when no policy decided.
    rule: 0-based index in that policy's ingress or egress list; None when the isolation itself denied.
    isolated_by: for a NetworkPolicy denial, every policy that isolates this side and none of which has a rule for it.
    undecided: domain rules (as `policy[rule]`) that might accept the connection if the destination has such a name.
    exemption: which exemption, posture or default applied, when no policy decided.
    """

    action: Action
    tier: Tier
    direction: Direction
    policy: str | None = None
    rule: int | None = None
    rule_name: str | None = None
    file: str | None = None
    line: int = 0
    isolated_by: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    exemption: str | None = None

    @property
    def allowed(self) -> bool:
        return self.action == "allow"

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """One line for people: what decided, and where it is written."""
        note = f"; might be allowed by domain name: {', '.join(self.undecided)}" if self.undecided else ""
        return f"{self.direction} {'allowed' if self.allowed else 'denied'}: {self._why()}{note}"

    def _why(self) -> str:
        if self.exemption:
            return self.exemption
        where = f" ({self.file}:{self.line})" if self.file else ""
        if self.rule is None:
            names = ", ".join(self.isolated_by[:3]) + (" …" if len(self.isolated_by) > 3 else "")
            return f"isolated by NetworkPolicy {names}, and no rule matches{where}"
        kind = "NetworkPolicy" if self.tier is Tier.NETWORK_POLICY else f"ClusterNetworkPolicy ({self.tier})"
        name = f" {self.rule_name!r}" if self.rule_name else ""
        return f"{kind} {self.policy}, {self.direction} rule {self.rule}{name}{where}"

    def to_json(self) -> dict[str, object]:
        """The fields of `--json` outputs; `reason` is the line for people."""
        return {
            "allowed": self.allowed,
            "tier": str(self.tier),
            "policy": self.policy,
            "rule": self.rule,
            "direction": str(self.direction),
            "isolated_by": list(self.isolated_by),
            "undecided": list(self.undecided),
            "reason": self.text(),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """A connection, decided on both sides: allowed only when both allow."""

    egress: Decision
    ingress: Decision

    @property
    def allowed(self) -> bool:
        return self.egress.allowed and self.ingress.allowed

    @property
    def reason(self) -> str:
        """The side that denied, or both sides that allowed."""
        denied = [d.text() for d in (self.egress, self.ingress) if not d.allowed]
        return "; ".join(denied or [self.egress.text(), self.ingress.text()])
