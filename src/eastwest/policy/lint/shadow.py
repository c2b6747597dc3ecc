"""Lint of rules that change nothing: others, for the same pods, already decide all that they would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from eastwest.model.flow import Direction
from eastwest.policy.decision import Tier
from eastwest.policy.engine import Engine
from eastwest.policy.lint.findings import Finding
from eastwest.policy.rules import Rule


def check(engine: Engine) -> Iterator[Finding]:
    """shadowed-rule: in every table in which the rule stands, one other rule covers its peers and its ports."""
    member = engine.identities.member

    @cache
    def peers_within(inner: int, outer: int) -> bool:
        return not (member[inner] & ~member[outer]).any()

    def covers(outer: Rule, inner: Rule) -> bool:
        return peers_within(inner.peers, outer.peers) and ports_within(inner, outer)

    for direction in Direction:
        by: dict[Rule, Rule | None] = {}
        for table in engine.tables[direction]:
            for rules in (table.admin, table.network_policy, table.baseline):
                for position, rule in enumerate(rules):
                    if by.get(rule, rule) is not None and member[rule.peers].any():
                        by[rule] = _shadow(rules, position, covers)
        for rule, shadow in by.items():
            if shadow is not None:
                yield _finding(rule, shadow)


def _shadow(rules: Sequence[Rule], position: int, covers) -> Rule | None:  # type: ignore[no-untyped-def]
    """A rule that makes this one superfluous: an earlier one in an ordered tier, any other in the NetworkPolicy tier
    (of two that say the same, the later is superfluous)."""
    rule = rules[position]
    others = rules if rule.tier is Tier.NETWORK_POLICY else rules[:position]
    for i, other in enumerate(others):
        if i != position and covers(other, rule) and (i < position or not covers(rule, other)):
            return other
    return None


def ports_within(inner: Rule, outer: Rule) -> bool:
    """Whether every port of one rule is also the other's, on any destination."""
    if inner.ports.numbers - outer.ports.numbers:
        return False
    left = set(inner.ports.named) - set(outer.ports.named)
    return all(outer.ports.numbers.contains(n, p) for _, _ in left for n in (6, 17, 132) for p in (1, 80, 65535))


def _finding(rule: Rule, shadow: Rule) -> Finding:
    kind = "NetworkPolicy" if rule.tier is Tier.NETWORK_POLICY else "ClusterNetworkPolicy"
    if rule.tier is Tier.NETWORK_POLICY:
        message = f"{rule.direction} rule {rule.index} adds nothing: {shadow.ref} allows all of it to the same pods"
    else:
        message = f"{rule.direction} rule {rule.index} is never reached: {shadow.ref} decides all of it before"
    return Finding(
        "shadowed-rule",
        message,
        "delete it, or narrow the other rule",
        f"{kind} {rule.policy}",
        rule.file,
        rule.line,
        ("spec", str(rule.direction), rule.index),
    )
