"""What the generator did and did not do, as values and as a page a person can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from eastwest.model.flow import Direction, Workload
from eastwest.policy.evidence import instant
from eastwest.policy.generate.rules import GeneratedRule
from eastwest.policy.generate.traffic import LeftOut

REASONS = ("dns-tcp", "probe", "cidr-widening", "declared")
"""The closed list: why a permission may exist that no recorded connection used."""


@dataclass(frozen=True, slots=True)
class Watch:
    """How long and how completely a workload was watched."""

    seconds: float = 0.0
    pods: int = 0  # pods that lived in the window
    started: int = 0  # of these, pods that started inside the window
    gaps: tuple[str, ...] = ()  # what is missing, in words


@dataclass(frozen=True, slots=True)
class WorkloadReport:
    """One workload: its policy, how it was watched, and what was not seen."""

    workload: Workload
    policy: str | None  # ns/name; None when it has none of its own
    watch: Watch
    not_observed: tuple[Direction, ...]
    never_ran: bool = False  # no pod of it lived in the window


@dataclass(frozen=True, slots=True)
class Report:
    """Everything worth knowing beside the policies themselves."""

    workloads: tuple[WorkloadReport, ...]
    rules: Mapping[str, tuple[GeneratedRule, ...]]  # ns/name of the policy -> its rules
    left_out: tuple[LeftOut, ...] = ()
    indistinguishable: tuple[str, ...] = ()
    own_node: int = 0
    skipped_namespaces: tuple[str, ...] = ()
    start_ns: int = 0
    end_ns: int = 0
    refused: tuple[str, ...] = field(default=())

    def beyond(self) -> Counter[str]:
        """How many permissions beyond what was seen, by reason; every reason of the closed list is there."""
        counts = Counter(dict.fromkeys(REASONS, 0))
        counts.update(b.reason for rules in self.rules.values() for rule in rules for b in rule.beyond)
        return counts

    def to_json(self) -> dict[str, object]:
        return {
            "window": {"start_ns": self.start_ns, "end_ns": self.end_ns},
            "policies": {
                name: [
                    {
                        "direction": str(r.direction),
                        "peer": r.peer,
                        "ports": [f"{protocol} {number}" for protocol, number in r.ports],
                        "connections": r.connections,
                        "first_seen_ns": r.first_ns,
                        "last_seen_ns": r.last_ns,
                        "beyond": [{"reason": b.reason, "permission": b.permission} for b in r.beyond],
                    }
                    for r in rules
                ]
                for name, rules in self.rules.items()
            },
            "workloads": [
                {
                    "workload": str(w.workload),
                    "policy": w.policy,
                    "watched_seconds": round(w.watch.seconds, 3),
                    "pods": w.watch.pods,
                    "started": w.watch.started,
                    "gaps": list(w.watch.gaps),
                    "not_observed": [str(d) for d in w.not_observed],
                    "never_ran": w.never_ran,
                }
                for w in self.workloads
            ],
            "beyond_observed": dict(self.beyond()),
            "left_out": [
                {"reason": o.reason, "src": o.src, "dst": o.dst, "protocol": o.protocol, "dst_port": o.port,
                 "connections": o.connections}
                for o in self.left_out
            ],
            "indistinguishable": list(self.indistinguishable),
            "own_node_connections": self.own_node,
            "skipped_namespaces": list(self.skipped_namespaces),
            "refused": list(self.refused),
        }  # fmt: skip

    def text(self) -> str:
        """The summary."""
        rules = sum(len(r) for r in self.rules.values())
        lines = [
            f"{len(self.rules)} policies with {rules} rules for {len(self.workloads)} workloads,",
            f"from traffic between {instant(self.start_ns)} and {instant(self.end_ns)}.",
            "",
            "Permissions beyond what was seen: "
            + ", ".join(f"{reason} {count}" for reason, count in self.beyond().items()),
            f"Probes and other traffic with a pod's own node needs no rule ({self.own_node} connections).",
        ]
        lines += _section("Refused: coverage is incomplete (--accept-gaps takes them as they are)", self.refused)
        lines += _section("Not observed: default-deny closes these directions", self._quiet())
        lines += _section("Watched for how long", self._watched())
        lines += _section("No label tells these apart; they share what each of them needs", self.indistinguishable)
        lines += _section("Without any traffic, so left as they are", self.skipped_namespaces)
        lines += _section("Left out", self._left_out())
        return "\n".join(lines) + "\n"

    def _quiet(self) -> list[str]:
        out = []
        for w in self.workloads:
            if w.never_ran:
                out.append(f"{w.workload}: it did not run in this window")
            elif w.not_observed:
                out.append(f"{w.workload}: {' and '.join(map(str, w.not_observed))}")
        return out

    def _watched(self) -> list[str]:
        return [
            f"{w.workload}: {w.watch.seconds:.0f} s, {w.watch.pods} pods, {w.watch.started} started in the window"
            + ("" if w.watch.started or w.never_ran else ": what it needs only at a start, such as DNS, may be missing")
            + "".join(f"; {gap}" for gap in w.watch.gaps)
            for w in self.workloads
        ]

    def _left_out(self) -> list[str]:
        return [
            f"{o.src} -> {o.dst} {o.protocol} {o.port}: {o.reason} ({o.connections} connections)" for o in self.left_out
        ]


def _section(title: str, lines: tuple[str, ...] | list[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []
