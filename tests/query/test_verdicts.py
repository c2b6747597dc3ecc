"""The rule that is missing, in words."""

from __future__ import annotations

from typing import Any

import pytest

from eastwest.model.flow import Direction
from eastwest.model.plan import Reason, Ruling
from eastwest.query.verdicts import FIELDS, missing


def row(**values: Any) -> dict[str, Any]:
    return dict.fromkeys(FIELDS) | values


def key(tier: str, direction: Direction, policy: str | None = None, rule: int | None = None) -> str:
    return Reason(tier, direction, Ruling.DENY, policy, rule).key


E, I = Direction.EGRESS, Direction.INGRESS  # noqa: E741
EGRESS, INGRESS = "egress of shop/ui to shop/db TCP 8080", "ingress of shop/db from shop/ui TCP 8080"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"verdict": "allowed", "egress_allowed_by": "NetworkPolicy shop/ui egress[0]"}, None),
        ({}, None),
        (
            {"verdict": "denied", "egress_denied_by": key("NetworkPolicy", E, "shop/ui")},
            f"{EGRESS}; ingress of shop/db was not asked: nothing reached it",
        ),
        ({"verdict": "denied", "ingress_denied_by": key("NetworkPolicy", I, "shop/db")}, INGRESS),
        (
            {
                "verdict": "would_deny",
                "egress_denied_by": key("Posture", E),
                "ingress_denied_by": key("NetworkPolicy", I, "shop/db"),
            },
            f"{EGRESS}; {INGRESS}",
        ),
        ({"verdict": "partly", "egress_denied_by": key("NetworkPolicy", E, "shop/ui")}, EGRESS),
        (
            {"verdict": "denied", "ingress_denied_by": key("Admin", I, "no-telnet", 1)},
            f"{INGRESS}: rule 2 of no-telnet forbids it",
        ),
        (
            {"verdict": "denied", "ingress_denied_by": "spoofed"},
            f"{INGRESS}: its source address is not the pod's own; no rule allows that",
        ),
        ({"verdict": "denied", "ingress_denied_by": "a word of a newer agent"}, INGRESS),
    ],
)
def test_what_is_missing(values: dict[str, Any], text: str | None) -> None:
    assert missing(row(**values), "shop/ui", "shop/db", "TCP 8080") == text
