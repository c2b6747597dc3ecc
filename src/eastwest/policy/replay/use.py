"""Which rules, and which ports of them, recorded connections used; the rest are permissions that nothing needed.

A rule counts as used when it would have allowed a connection by itself, also where another rule allows it too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eastwest.model.flow import Direction, protocol_name
from eastwest.model.policy import NetworkPolicy, NetworkPolicyPort, NetworkPolicyRule
from eastwest.policy.ends import Ends
from eastwest.policy.engine import Engine
from eastwest.policy.evidence import Evidence
from eastwest.policy.generate.traffic import DNS_PORTS
from eastwest.policy.rules import NamedPorts

NOT_USED: Final = "no recorded connection used it"
DNS_TCP: Final = "dns-tcp"
DECLARED: Final = "declared"
_EVIDENCE: Final = "eastwest.dev/evidence"


@dataclass(frozen=True, slots=True)
class Unused:
    """A rule that nothing used; with `port` only that port of it. `reason` may be one of the closed list."""

    policy: str  # ns/name
    direction: Direction
    rule: int  # 0-based
    reason: str
    port: str | None = None  # such as TCP 53


Use = tuple[str, Direction, int]
"""(policy, direction, rule index)."""


def unused(engine: Engine, src: Ends, dst: Ends, evidence: Evidence, allowed: NDArray[np.bool_]) -> tuple[Unused, ...]:
    """What of the engine's NetworkPolicies no row of `allowed` used."""
    used = _Used(engine)
    for direction, subject, peer in ((Direction.EGRESS, src, dst), (Direction.INGRESS, dst, src)):
        columns = np.column_stack(
            [
                engine.table_of[direction][subject.identity],
                peer.identity,
                engine.port_table_of[dst.identity],
                evidence.protocol,
                evidence.port,
            ]
        )[allowed]
        for table, identity, names, protocol, port in np.unique(columns.astype(np.int64), axis=0).tolist():
            used.connection(direction, table, identity, engine.port_tables[names], protocol, port)
    return tuple(u for p in engine.universe.cluster.network_policies for d in Direction for u in used.missing(p, d))


class _Used:
    """Marks of use per rule and per entry of its ports."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._policies = {f"{p.namespace}/{p.name}": p for p in engine.universe.cluster.network_policies}
        self._rules: set[Use] = set()
        self._ports: set[tuple[Use, int]] = set()

    def connection(
        self, direction: Direction, table: int, peer: int, names: NamedPorts, protocol: int, port: int
    ) -> None:
        """Mark every NetworkPolicy rule that allows it."""
        member = self._engine.identities.member
        for rule in self._engine.tables[direction][table].network_policy:
            if not member[rule.peers, peer] or not rule.ports.resolve(names).contains(protocol, port):
                continue
            use = (rule.policy, direction, rule.index)
            self._rules.add(use)
            for at, entry in enumerate(_rules(self._policies[rule.policy], direction)[rule.index].ports or ()):
                if _holds(entry, names, protocol_name(protocol), port):
                    self._ports.add((use, at))

    def missing(self, policy: NetworkPolicy, direction: Direction) -> list[Unused]:
        name = f"{policy.namespace}/{policy.name}"
        if direction.capitalize() not in policy.policy_types:
            return []
        out = []
        for index, rule in enumerate(_rules(policy, direction)):
            use = (name, direction, index)
            if use not in self._rules:
                declared = _stated(policy, use) == DECLARED
                out.append(Unused(name, direction, index, DECLARED if declared else NOT_USED))
                continue
            for at, entry in enumerate(rule.ports or ()):
                if (use, at) not in self._ports:
                    out.append(Unused(name, direction, index, self._why(policy, use, entry), _spell(entry)))
        return out

    def _why(self, policy: NetworkPolicy, use: Use, entry: NetworkPolicyPort) -> str:
        """The reason that the generator stated; dns-tcp also where the same rule's UDP port was used for names."""
        stated = _stated(policy, use, f"{_spell(entry)} ")
        if stated is not None:
            return stated
        entries = _rules(policy, use[1])[use[2]].ports or ()
        beside = any(
            e.protocol == "UDP" and e.port == entry.port and (use, at) in self._ports for at, e in enumerate(entries)
        )
        return DNS_TCP if entry.protocol == "TCP" and beside and entry.port in DNS_PORTS else NOT_USED


def _stated(policy: NetworkPolicy, use: Use, permission: str = "") -> str | None:
    """The reason for `permission` on the rule's own line of evidence: one line per rule, in the order of the rules."""
    lines = [row for row in policy.annotations.get(_EVIDENCE, "").splitlines() if row.startswith(f"{use[1]} ")]
    if len(lines) != len(_rules(policy, use[1])):
        return None
    reasons = re.findall(rf"beyond what was seen: {re.escape(permission)}[^;]*?\(([a-z-]+)\)(?:;|$)", lines[use[2]])
    return reasons[0] if reasons else None


def _rules(policy: NetworkPolicy, direction: Direction) -> tuple[NetworkPolicyRule, ...]:
    return policy.ingress if direction is Direction.INGRESS else policy.egress


def _holds(entry: NetworkPolicyPort, names: NamedPorts, protocol: str, port: int) -> bool:
    if entry.protocol != protocol:
        return False
    if isinstance(entry.port, str):
        return (entry.port, protocol, port) in names
    return entry.port is None or entry.port <= port <= (entry.end_port or entry.port)


def _spell(entry: NetworkPolicyPort) -> str:
    if entry.port is None:
        return entry.protocol
    return f"{entry.protocol} {entry.port}" + (f"-{entry.end_port}" if entry.end_port else "")
