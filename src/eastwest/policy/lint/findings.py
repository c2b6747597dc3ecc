"""What a lint check says: a finding with its place and its fix; and the rules that checks walk over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eastwest.model.flow import Direction
from eastwest.model.policy import ClusterNetworkPolicy, NetworkPolicy, NetworkPolicyRule

Path = tuple[str | int, ...]
"""Where in the object, such as ("spec", "ingress", 0, "from", 1)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `object` is `Kind namespace/name`; `line` is the object's, `path` the exact field."""

    code: str
    message: str
    fix: str
    object: str
    file: str | None = None
    line: int = 0
    path: Path = ()

    def to_json(self) -> dict[str, str | int | None]:
        return {
            "code": self.code,
            "object": self.object,
            "file": self.file,
            "line": self.line,
            "message": self.message,
            "fix": self.fix,
        }


def on_policy(policy: NetworkPolicy, code: str, message: str, fix: str, path: Path = ()) -> Finding:
    """A finding in a NetworkPolicy."""
    name = f"NetworkPolicy {policy.namespace}/{policy.name}"
    return Finding(code, message, fix, name, policy.file, policy.line, path)


def on_cluster_policy(policy: ClusterNetworkPolicy, code: str, message: str, fix: str, path: Path = ()) -> Finding:
    """A finding in a ClusterNetworkPolicy."""
    return Finding(code, message, fix, f"ClusterNetworkPolicy {policy.name}", policy.file, policy.line, path)


def rules_of(policy: NetworkPolicy) -> Iterator[tuple[Direction, int, NetworkPolicyRule, Path]]:
    """The rules that count: those of a direction that policyTypes names, each with its path."""
    for direction, rules in ((Direction.INGRESS, policy.ingress), (Direction.EGRESS, policy.egress)):
        if direction.capitalize() in policy.policy_types:
            for index, rule in enumerate(rules):
                yield direction, index, rule, ("spec", str(direction), index)
