"""What policies do to the edges of a map: per edge allowed, denied with reason and missing rule, or not to be judged.

An edge may stand for many connections; the worst of them speaks for it. The caller says how ends are called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from eastwest.model.cluster import Pod
from eastwest.model.flow import protocol_name
from eastwest.model.policy import NetworkPolicy
from eastwest.policy.evidence import Outsider
from eastwest.policy.replay.replay import Denied, Judged, Writer

State = Literal["allowed", "unknown", "attempt", "denied"]
Edge = tuple[str, str, str, int]
"""(source, target, protocol, port)"""
_STATES: Final[tuple[State, ...]] = ("allowed", "unknown", "attempt", "denied")  # the last one wins


@dataclass(frozen=True, slots=True)
class Effect:
    """attempt: denied too, but nobody ever answered, so nothing breaks. connections: those that `state` speaks of."""

    state: State
    connections: int
    reason: str = ""
    missing: tuple[NetworkPolicy, ...] = ()


def effects(found: Judged, name: Callable[[Pod | Outsider], str]) -> dict[Edge, Effect]:
    """Each edge of the evidence, sorted; ends as `name` calls them."""
    e, writer = found.evidence, Writer(found)
    denied = found.denied
    states = np.select([~found.judged, denied & ~e.established, denied], [1, 2, 3], 0).tolist()
    why = np.full(len(e), "", object)
    for reason, mask in found.reasons.items():
        why[mask] = reason
    rows: dict[Edge, list[int]] = {}
    for at in range(len(e)):
        src, dst = writer.ends(at)
        rows.setdefault((name(src), name(dst), protocol_name(int(e.protocol[at])), int(e.port[at])), []).append(at)
    out = {}
    for edge, members in sorted(rows.items()):
        worst = max(states[at] for at in members)
        chosen = [at for at in members if states[at] == worst]
        count = int(e.connections[chosen].sum())
        first = chosen[0]
        if worst < 2:
            out[edge] = Effect(_STATES[worst], count, str(why[first]))
            continue
        missing = writer.missing(first, *writer.ends(first))  # a denied connection is never answered
        one = Denied(*edge, count, writer.reason(first), worst == 3, missing)
        out[edge] = Effect(_STATES[worst], count, one.reason, tuple(one.missing_policies()))
    return out
