"""What both ends decided about an edge, as SQL over its sides' rows: counts, who decided at which end, and one word.

A client's report speaks of egress, a server's of ingress; what egress denied never reached ingress. A side that denied
everything it saw makes the edge denied, however much the other side let pass.
"""

from __future__ import annotations

from typing import Final

from eastwest.model.schema import Type

COUNTS: Final = ("policy_allowed", "policy_denied", "policy_would_deny")
"""Packets, added up over both ends."""

_SIDES: Final = (("egress", "rank IN (1, 3)"), ("ingress", "rank IN (2, 4)"))
REASONS: Final = tuple(f"{side}_{what}_by" for what in ("denied", "allowed") for side, _ in _SIDES)
"""The last reason of each end."""

VERDICT: Final = "verdict"
VERDICTS: Final = ("denied", "partly", "would_deny", "allowed")
"""Worst first. denied: nothing passed some end. partly: some packets were denied, others passed. null: nobody decided."""

DERIVED: Final = {VERDICT: Type.STRING, **dict.fromkeys(REASONS, Type.STRING)}
"""Columns of an edge that this module adds."""

_BLOCKED: Final = (
    "ifNull(x.policy_denied, 0) > 0 AND ifNull(x.policy_allowed, 0) = 0 AND ifNull(x.policy_would_deny, 0) = 0"
)


def over_sides(partition: str) -> str:
    """Select items over rows `x` with a rank: REASONS and `blocked`."""
    window = f"OVER (PARTITION BY {partition})"
    reasons = [
        f"anyLastIf(x.{what}_by, {is_side}) {window} AS {side}_{what}_by"
        for what in ("denied", "allowed")
        for side, is_side in _SIDES
    ]
    return ", ".join([*reasons, f"max({_BLOCKED}) {window} AS blocked"])


def word() -> str:
    """The verdict from COUNTS of both ends and `blocked`."""
    return f"""CAST(multiIf(blocked, 'denied', ifNull(policy_denied, 0) > 0, 'partly', ifNull(policy_would_deny, 0) > 0, 'would_deny',
  ifNull(policy_allowed, 0) > 0, 'allowed', NULL), 'Nullable(String)') AS {VERDICT}"""


def of_many() -> str:
    """Select items over edges `e` that become one: their common word, else the worst that is true of all together."""
    weight = "ifNull(e.policy_denied, 0) + ifNull(e.policy_would_deny, 0)"
    reasons = [f"argMax(e.{name}, {weight}) AS {name}" for name in REASONS]
    mixed = "multiIf(countIf(e.verdict IN ('denied', 'partly')) > 0, 'partly', 'would_deny')"
    common = f"if(uniqExact(e.verdict) < 2, any(e.verdict), {mixed}) AS {VERDICT}"
    return ", ".join([common, *reasons])
