"""Why a packet is decided as it is: the engine's decisions as the plan's `Reason`s, without where they are written.

File and line stay out: an edit that moves a policy in its file changes no verdict and must change no plan.
"""

from __future__ import annotations

from dataclasses import replace

from eastwest.model.flow import Direction
from eastwest.model.plan import Reason, Ruling
from eastwest.policy.decision import Decision, Tier
from eastwest.policy.rules import Rule


def of_rule(rule: Rule) -> Reason:
    """`text` is the rule's name, if it has one: the rest is in the fields."""
    ruling = Ruling.ALLOW if rule.action == "Accept" else Ruling.DENY
    return Reason(str(rule.tier), rule.direction, ruling, rule.policy, rule.index, rule.name or "")


def of_decision(decision: Decision) -> Reason:
    """For decisions of no rule: isolation (named by its first policy), posture, default and exemptions."""
    ruling = Ruling.ALLOW if decision.allowed else Ruling.DENY
    text = replace(decision, file=None, line=0).text()
    return Reason(str(decision.tier), decision.direction, ruling, decision.policy, None, text)


def isolation(direction: Direction, isolated_by: tuple[str, ...]) -> Reason:
    """No rule of the policies that isolate a pod matches."""
    return of_decision(Decision("deny", Tier.NETWORK_POLICY, direction, isolated_by[0], isolated_by=isolated_by))
