"""Plans for tests: small ones written out, and sound ones drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from eastwest.model.flow import Direction, ip_bytes
from eastwest.model.plan import CELLS, IDENTITIES, NOBODY, PORTS, Mode, NodePlan, PlanPod, Posture, Reason, Ruling, Side
from eastwest.wire.plan import sealed


def identities(*rows: tuple[str, int, int]) -> NDArray[Any]:
    """(address, kind, identity) of whole addresses; `::/0` is everything."""
    made = np.zeros(len(rows), IDENTITIES)
    for at, (text, kind, identity) in zip(made, rows, strict=True):
        address, _, length = text.partition("/")
        at["address"] = np.frombuffer(ip_bytes(address), np.uint8)
        at["length"] = int(length) if length else 128
        at["kind"], at["identity"] = kind, identity
    return made


def cells(*rows: tuple[int, int, int]) -> NDArray[Any]:
    """(table, identity, row)."""
    return np.array(list(rows), CELLS)


def ports(*rows: tuple[int, int, int, int, Ruling, int]) -> NDArray[Any]:
    """(row, protocol, port, length, ruling, reason)."""
    made = np.zeros(len(rows), PORTS)
    for at, (row, protocol, port, length, ruling, reason) in zip(made, rows, strict=True):
        at["row"], at["protocol"], at["port"], at["length"] = row, protocol, port, length
        at["ruling"], at["reason"] = ruling, reason
    return made


ALLOW = Reason("NetworkPolicy", Direction.INGRESS, Ruling.ALLOW, "shop/web", 0, "from front")
ISOLATED = Reason("NetworkPolicy", Direction.INGRESS, Ruling.DENY, "shop/web")
OPEN = Reason("Posture", Direction.EGRESS, Ruling.ALLOW)


def plan_pod(uid: str, *addresses: str, egress: Side, ingress: Side) -> PlanPod:
    return PlanPod(uid, "shop", f"pod-{uid[:8]}", tuple(addresses), egress, ingress)


def make_plan(version: int = 1, **changes: Any) -> NodePlan:
    """Pod `u1` lets TCP 8080 in from identity 1 and nothing else; everything may leave."""
    plan = NodePlan(
        node="n1",
        version=0,
        digest="",
        pods=(
            plan_pod("u1", "10.0.0.1", egress=Side(Mode.OFF, 0, 0), ingress=Side(Mode.ENFORCE, 1, 2)),
            plan_pod("u2", "10.0.0.2", "fd00::2", egress=Side(Mode.AUDIT, 2, 1), ingress=Side(Mode.OFF, 0, 0)),
        ),
        reasons=(NOBODY, ALLOW, ISOLATED, OPEN),
        identities=identities(("::/0", 0, 3), ("10.0.0.1", 1, 1), ("10.0.0.2", 1, 2)),
        cells=cells((1, 2, 3)),
        ports=ports(
            (1, 0, 0, 0, Ruling.ALLOW, 3),
            (2, 0, 0, 0, Ruling.DENY, 2),
            (3, 0, 0, 0, Ruling.DENY, 2),
            (3, 6, 8080, 24, Ruling.ALLOW, 1),
        ),
        ranges=("10.0.0.0/24",),
        sources=("NetworkPolicy shop/web 1",),
    )
    return sealed(replace(plan, **changes), version)


def unique(rows: Iterable[Sequence[int]], key: int) -> list[Sequence[int]]:
    """The first of those that agree in their first `key` values."""
    found: dict[tuple[int, ...], Sequence[int]] = {}
    for row in rows:
        found.setdefault(tuple(row[:key]), row)
    return list(found.values())


@st.composite
def plans(draw: st.DrawFn) -> NodePlan:
    """Any sound plan of node n1, version 1."""
    small = st.integers(1, 40)
    reasons = (
        NOBODY,
        *draw(
            st.lists(
                st.builds(
                    Reason,
                    st.sampled_from(("Admin", "NetworkPolicy", "Posture")),
                    st.sampled_from(list(Direction)),
                    st.sampled_from(list(Ruling)),
                    st.none() | st.text(max_size=4),
                    st.none() | st.integers(0, 9),
                    st.text(max_size=4),
                ),
                max_size=4,
            )
        ),
    )
    made = unique(draw(st.lists(st.tuples(small, small, small), max_size=20)), 2)
    cell_rows = cells(*((a, b, c) for a, b, c in made))
    sides = st.builds(Side, st.sampled_from(list(Mode)), small, small)
    pods = tuple(
        plan_pod(uid, f"10.0.0.{i}", egress=draw(sides), ingress=draw(sides))
        for i, uid in enumerate(draw(st.lists(st.text(max_size=5), max_size=4, unique=True)))
    )
    number = st.integers(0, len(reasons) - 1)
    whole = [(row, 0, 0, 0, Ruling.DENY, draw(number)) for row in range(1, 41)]
    exact = unique(draw(st.lists(st.tuples(small, st.integers(0, 255), st.integers(0, 65535)), max_size=20)), 3)
    some = [(row, protocol, port, 24, Ruling.ALLOW, draw(number)) for row, protocol, port in exact]
    address = st.integers(0, 2**16 - 1).map(lambda n: f"fd00::{n:x}")
    who = [(a, draw(st.integers(0, 1)), draw(small)) for a in draw(st.lists(address, max_size=20, unique=True))]
    plan = NodePlan(
        "n1",
        0,
        "",
        pods,
        reasons,
        identities(*who),
        cell_rows,
        ports(*whole, *some),
        draw(st.sampled_from(((), ("10.0.0.0/24",), ("fd00::/64", "10.1.0.0/16")))),
        draw(st.sampled_from(list(Posture))),
        draw(st.sampled_from(list(Mode))),
        tuple(draw(st.lists(st.text(max_size=4), max_size=3, unique=True))),
    )
    return sealed(plan, 1)
