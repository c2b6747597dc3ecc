"""Recorded flows against policies: what would be denied, each with the rule that is missing, and what nothing used.

The engine decides every distinct connection once. Only established connections whose beginner is known can be broken;
attempts that nobody answered are counted apart. `use` says which permissions were used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eastwest.model.cluster import Pod
from eastwest.model.flow import Direction, EndKind, protocol_name
from eastwest.model.policy import NetworkPolicy, NetworkPolicyRule
from eastwest.policy.batch import DecisionColumns, decide_many
from eastwest.policy.ends import Ends
from eastwest.policy.engine import Engine
from eastwest.policy.evidence import Evidence, Outsider
from eastwest.policy.generate.rules import RuleMaker
from eastwest.policy.generate.selectors import Group, Groups
from eastwest.policy.generate.traffic import WITH_PORTS, Reader, Tally
from eastwest.policy.replay.use import Unused, unused

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Missing:
    """A rule that would allow what was denied, and the pods it belongs to."""

    direction: Direction
    subject: Group
    rule: NetworkPolicyRule

    def policy(self) -> NetworkPolicy:
        """The rule as a policy of its own, ready to apply: policies add up."""
        ingress = (self.rule,) if self.direction is Direction.INGRESS else ()
        egress = (self.rule,) if self.direction is Direction.EGRESS else ()
        return NetworkPolicy(
            self.subject.namespace,
            self.subject.name,
            self.subject.selector,
            (self.direction.capitalize(),),
            ingress,
            egress,
        )


@dataclass(frozen=True, slots=True)
class Denied:
    """Recorded connections between two workloads (or outside ends) that the policies would deny."""

    src: str
    dst: str
    protocol: str
    port: int
    connections: int
    reason: str
    established: bool
    missing: tuple[Missing, ...] = ()

    def missing_policies(self) -> list[NetworkPolicy]:
        """Policies that add what is missing; none where no NetworkPolicy can say it."""
        made = (m.policy() for m in self.missing)
        return [replace(p, name=f"{p.name}-{self.protocol.lower()}-{self.port}"[:253]) for p in made]


@dataclass(frozen=True, slots=True)
class Replay:
    """`flows` records were replayed; `skipped` of their distinct connections could not be judged, by reason."""

    flows: int
    connections: int
    allowed: int  # distinct connections
    denied: tuple[Denied, ...]  # established ones: these would break
    attempts: tuple[Denied, ...]  # never answered: nothing breaks
    unused: tuple[Unused, ...]
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Judged:
    """Every row of the evidence, decided. `judged` is False where nobody can say, with the masks of `reasons`."""

    engine: Engine
    evidence: Evidence
    src: Ends
    dst: Ends
    decided: DecisionColumns
    reasons: Mapping[str, Mask]
    judged: Mask

    @property
    def denied(self) -> Mask:
        return self.judged & ~self.decided.allowed


def judge(engine: Engine, evidence: Evidence) -> Judged:
    """Every distinct connection of `evidence` through `engine`, whose cluster's pods the evidence names."""
    src, dst = (engine.ends.columns(side.pod, side.address) for side in (evidence.src, evidence.dst))
    reasons = _unjudged(evidence)
    judged = np.ones(len(evidence), bool)
    for mask in reasons.values():
        judged &= ~mask
    decided = decide_many(engine, src, dst, evidence.protocol, evidence.port)
    return Judged(engine, evidence, src, dst, decided, reasons, judged)


def replay(engine: Engine, evidence: Evidence) -> Replay:
    """`judge`, summed up."""
    return summed(judge(engine, evidence))


def summed(found: Judged) -> Replay:
    """What the rows come to: denied per pair of ends, attempts, and what nothing used."""
    evidence, decided, denied = found.evidence, found.decided, found.denied
    used = found.judged & evidence.established & decided.allowed
    writer = Writer(found)
    return Replay(
        flows=evidence.records,
        connections=len(evidence),
        allowed=int((found.judged & decided.allowed).sum()),
        denied=writer.rows(denied & evidence.established, with_rules=True),
        attempts=writer.rows(denied & ~evidence.established, with_rules=False),
        unused=unused(found.engine, found.src, found.dst, evidence, used),
        skipped={reason: int(mask.sum()) for reason, mask in found.reasons.items() if mask.any()},
    )


def _unjudged(evidence: Evidence) -> dict[str, Mask]:
    """Rows nobody can judge, by reason."""
    ambiguous, service = (
        np.array([flag(o) for o in evidence.outsiders] + [False], bool)
        for flag in (lambda o: o.ambiguous, lambda o: o.kind is EndKind.SERVICE)
    )
    src, dst = evidence.src.outsider, evidence.dst.outsider
    return {
        "it is not known who began": evidence.established & ~evidence.directed,
        "an address changed hands during the record": ambiguous[src] | ambiguous[dst],
        "the backend of the Service is not known": service[dst],
    }


class Writer:
    """Denied rows to words, summed per pair of workloads."""

    def __init__(self, found: Judged) -> None:
        cluster, evidence = found.engine.universe.cluster, found.evidence
        self._evidence = evidence
        self._decided = found.decided
        self._reader = Reader(cluster, evidence, Groups(cluster.pods))
        self._maker = RuleMaker(cluster, max_cidrs=8)

    def rows(self, which: Mask, *, with_rules: bool) -> tuple[Denied, ...]:
        e = self._evidence
        found: dict[tuple[str, str, str, int], Denied] = {}
        for at in np.flatnonzero(which).tolist():
            src, dst = self.ends(at)
            key = (_name(src), _name(dst), protocol_name(int(e.protocol[at])), int(e.port[at]))
            before = found.get(key)
            count = int(e.connections[at]) + (before.connections if before else 0)
            if before is None:
                missing = self.missing(at, src, dst) if with_rules else ()
                found[key] = Denied(*key, count, self.reason(at), bool(e.established[at]), missing)
            else:
                found[key] = Denied(*key, count, before.reason, before.established, before.missing)
        return tuple(found[key] for key in sorted(found))

    def ends(self, at: int) -> tuple[Pod | Outsider, Pod | Outsider]:
        e = self._evidence
        return (
            self._reader.end(int(e.src.pod[at]), int(e.src.outsider[at])),
            self._reader.end(int(e.dst.pod[at]), int(e.dst.outsider[at])),
        )

    def _sides(self, at: int) -> list[int]:
        return [int(self._decided.egress[at]), int(self._decided.ingress[at])]

    def reason(self, at: int) -> str:
        return "; ".join(d.text() for d in (self._decided.reasons[i] for i in self._sides(at)) if not d.allowed)

    def missing(self, at: int, src: Pod | Outsider, dst: Pod | Outsider) -> tuple[Missing, ...]:
        """One rule for each side that denied; none for protocols that no rule can name."""
        protocol = WITH_PORTS.get(self._evidence.protocol[at])
        out = []
        for index, subject, peer in zip(self._sides(at), (src, dst), (dst, src), strict=True):
            decision = self._decided.reasons[index]
            group = self._reader.group(subject)
            if protocol is None or decision.allowed or group is None:
                continue
            ports = {(protocol, int(self._evidence.port[at])): Tally()}
            (made,) = self._maker.rules(group, decision.direction, {self._reader.peer(peer): ports})[:1]
            out.append(Missing(decision.direction, group, made.rule))
        return tuple(out)


def _name(end: Pod | Outsider) -> str:
    """As in `policy connections`: workloads as ns/name[Kind], addresses as CIDRs; nodes by name."""
    if isinstance(end, Pod):
        return str(end.workload)
    if end.node:
        return f"node:{end.node}"
    return f"{end.address}/{128 if ':' in end.address else 32}"
