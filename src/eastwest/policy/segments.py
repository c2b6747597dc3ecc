"""One side of one connection, decided for all ports at once: a list of tiers, each taking what it can decide.

A tier gets the ports still open and returns the segments it decided and the ports it leaves ("pass" or no match) to
the next tier. The first decision that is not "pass" wins; what nobody decides is allowed unless the posture is deny.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from eastwest.model.flow import Direction
from eastwest.policy.decision import Action, Decision, Tier
from eastwest.policy.ports import EVERYTHING, NOTHING, PortSet
from eastwest.policy.rules import Rule
from eastwest.policy.tables import RuleTable

UNSELECTED: Final = "no policy selects this side"
UNDECIDED: Final = "no policy decides it"
ICMP_ALLOWED: Final = "protocols without ports always pass (option icmp=allow)"

Hits = Callable[[Rule], PortSet]
"""The ports of a rule on this destination, or nothing when the peer is not in the rule."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Ports that share one decision."""

    ports: PortSet
    decision: Decision


@dataclass(slots=True)
class _Walk:
    """The state of one evaluation: `open_` is undecided; `domains` are rules that might have accepted by name."""

    table: RuleTable
    direction: Direction
    hits: Hits
    might: Hits
    open_: PortSet
    segments: list[Segment]
    domains: list[tuple[Rule, PortSet]]

    def decide(self, ports: PortSet, decision: Decision) -> None:
        taken = self.open_ & ports
        if not taken:
            return
        self.open_ = self.open_ - taken
        if not decision.allowed:
            for rule, reach in self.domains:
                inside = taken & reach
                if inside:
                    noted = replace(decision, undecided=(*decision.undecided, rule.ref))
                    self.segments.append(Segment(inside, noted))
                    taken = taken - inside
        if taken:
            self.segments.append(Segment(taken, decision))


def segments(table: RuleTable, direction: Direction, hits: Hits, might: Hits, *, icmp_passes: bool) -> list[Segment]:
    """Every port of every protocol, partitioned by decision, in order of evaluation.

    `might`: the ports of a rule with domain names whose addresses are unknown, nothing for other rules.
    """
    walk = _Walk(table, direction, hits, might, EVERYTHING, [], [])
    if icmp_passes:
        walk.decide(PortSet(other=True), Decision("allow", Tier.EXEMPT, direction, exemption=ICMP_ALLOWED))
    for tier in TIERS:
        tier(walk)
        if not walk.open_:
            break
    return walk.segments


def _ordered(walk: _Walk, rules: tuple[Rule, ...]) -> None:
    """First match wins; ports that a Pass rule takes are set aside for the next tier."""
    passed = NOTHING
    for rule in rules:
        if rule.has_domains and (reach := walk.might(rule)):
            walk.domains.append((rule, reach & walk.open_))
        reach = walk.hits(rule)
        if rule.action == "Pass":
            reach = walk.open_ & reach
            passed, walk.open_ = passed | reach, walk.open_ - reach
        elif reach:
            walk.decide(reach, _by_rule(rule))
    walk.open_ = walk.open_ | passed


def _admin(walk: _Walk) -> None:
    _ordered(walk, walk.table.admin)


def _network_policy(walk: _Walk) -> None:
    """Any rule of any isolating policy allows; otherwise isolation denies. Pods not isolated pass on."""
    if not walk.table.isolated_by:
        return
    for rule in walk.table.network_policy:
        if reach := walk.hits(rule):
            walk.decide(reach, _by_rule(rule))
    file, line = walk.table.where
    names = walk.table.isolated_by
    isolation = Decision("deny", Tier.NETWORK_POLICY, walk.direction, names[0], file=file, line=line, isolated_by=names)
    walk.decide(EVERYTHING, isolation)


def _baseline(walk: _Walk) -> None:
    _ordered(walk, walk.table.baseline)


def _posture(walk: _Walk) -> None:
    scope = walk.table.posture
    if scope is not None:
        reason = f"{UNDECIDED if walk.table.rules else UNSELECTED}, and the default posture of {scope} is deny"
        walk.decide(EVERYTHING, Decision("deny", Tier.POSTURE, walk.direction, exemption=reason))


def _default(walk: _Walk) -> None:
    reason = UNDECIDED if walk.table.rules else UNSELECTED
    walk.decide(EVERYTHING, Decision("allow", Tier.DEFAULT, walk.direction, exemption=f"{reason}, so it is allowed"))


TIERS: Final[tuple[Callable[[_Walk], None], ...]] = (_admin, _network_policy, _baseline, _posture, _default)


def _by_rule(rule: Rule) -> Decision:
    action: Action = "allow" if rule.action == "Accept" else "deny"
    return Decision(action, rule.tier, rule.direction, rule.policy, rule.index, rule.name, rule.file, rule.line)
