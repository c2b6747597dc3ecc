"""What was decided about an edge, in words: which rule is missing, and what else stands in the way. Pure.

Reads the reasons that agents report (`model.plan.Reason.key`) and knows nothing else of policies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from eastwest.store.predicates import Compare, Operator, Predicate
from eastwest.store.verdicts import COUNTS, REASONS, VERDICT

Asked = Literal["denied", "would-deny", "allowed"]

_REASON: Final = re.compile(
    r"(?P<tier>\S+)(?: (?P<policy>\S+))? (?P<direction>egress|ingress)(?P<isolated> isolation)?(?:\[(?P<rule>\d+)\])?"
)
_UNREPAIRABLE: Final = {
    "spoofed": "its source address is not the pod's own; no rule allows that",
    "fragment": "a later fragment whose first one was not seen; no rule allows that",
    "truncated": "too short to tell its protocol and port; no rule allows that",
}
FIELDS: Final = (VERDICT, *COUNTS, *REASONS)
"""Columns of an answer that `verdict` takes over."""


def having(asked: Asked) -> Predicate:
    """Edges with any packet denied; with any that would have been; that were allowed altogether."""
    match asked:
        case "denied":
            return Compare("policy_denied", Operator.GT, 0)
        case "would-deny":
            return Compare("policy_would_deny", Operator.GT, 0)
        case "allowed":
            return Compare(VERDICT, Operator.EQ, "allowed")


def verdict(row: Mapping[str, Any], source: str, target: str, port: str) -> dict[str, Any]:
    """The fields of the API's Verdict. `source`, `target` and `port` as people write them: shop/ui, TCP 8080."""
    return {**{name: row[name] for name in FIELDS}, "missing": missing(row, source, target, port)}


def missing(row: Mapping[str, Any], source: str, target: str, port: str) -> str | None:
    """What would have to be allowed, end by end; None where nothing was (or would have been) denied."""
    egress, ingress = row["egress_denied_by"], row["ingress_denied_by"]
    parts = []
    if egress is not None:
        parts.append(_lacking(egress, "egress", f"egress of {source} to {target} {port}"))
    if ingress is not None:
        parts.append(_lacking(ingress, "ingress", f"ingress of {target} from {source} {port}"))
    elif egress is not None and row[VERDICT] == "denied" and row["ingress_allowed_by"] is None:
        parts.append(f"ingress of {target} was not asked: nothing reached it")
    return "; ".join(parts) or None


def _lacking(reason: str, direction: str, what: str) -> str:
    """One end's part: a rule is missing, or a rule forbids."""
    found = _REASON.fullmatch(reason)
    if found is None:
        return next((f"{what}: {text}" for word, text in _UNREPAIRABLE.items() if word in reason.lower()), what)
    if found["rule"] is not None and found["direction"] == direction:
        return f"{what}: rule {int(found['rule']) + 1} of {found['policy']} forbids it"
    return what
