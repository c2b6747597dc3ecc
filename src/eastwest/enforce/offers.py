"""What a node is offered: its newest plan, as a delta from the plan it holds where that one is still remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

from eastwest.model.plan import NodePlan
from eastwest.wire.plan import encode
from eastwest.wire.plan_delta import delta, encode_delta

REMEMBERED: Final = 16
"""Plans of each node that a delta may start from."""


@dataclass(frozen=True, slots=True)
class Have:
    """The plan that an agent holds."""

    version: int
    digest: str

    @classmethod
    def parse(cls, text: str) -> Have:
        """`12:9f3a…`. Raises ValueError."""
        version, colon, digest = text.partition(":")
        if not colon or not version.isdecimal() or not digest:
            raise ValueError(f"have: expected VERSION:DIGEST, not {text[:60]!r}")
        return cls(int(version), digest)


@dataclass(frozen=True, slots=True)
class Offer:
    """`body` as in wire.plan (snapshot) or wire.plan_delta (delta)."""

    kind: Literal["snapshot", "delta"]
    version: int
    body: bytes


class Offers:
    """The newest plans of all nodes. `_lock` guards everything; plans are sealed and immutable."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: dict[str, OrderedDict[tuple[int, str], NodePlan]] = {}
        self._bytes: dict[str, tuple[Have | None, Offer]] = {}

    def put(self, plan: NodePlan) -> None:
        """Make this the newest plan of its node."""
        with self._lock:
            known = self._plans.setdefault(plan.node, OrderedDict())
            known[plan.version, plan.digest] = plan
            while len(known) > REMEMBERED:
                known.popitem(last=False)
            self._bytes.pop(plan.node, None)

    def newest(self, node: str) -> NodePlan | None:
        with self._lock:
            known = self._plans.get(node)
            return next(reversed(known.values())) if known else None

    def get(self, node: str, version: int, digest: str) -> NodePlan | None:
        """A remembered plan."""
        with self._lock:
            known = self._plans.get(node)
            return known.get((version, digest)) if known else None

    def has_news(self, node: str, have: Have | None) -> bool:
        """Whether there is a plan whose content differs from what the agent holds."""
        newest = self.newest(node)
        return newest is not None and (have is None or have.digest != newest.digest)

    def offer(self, node: str, have: Have | None) -> Offer | None:
        """What to send to an agent, the shorter of delta and snapshot; None when it holds the newest content."""
        newest = self.newest(node)
        if newest is None or (have is not None and have.digest == newest.digest):
            return None
        with self._lock:
            made = self._bytes.get(node)
        if made is not None and made[0] == have and made[1].version == newest.version:
            return made[1]
        out = self._made(newest, have)
        with self._lock:
            self._bytes[node] = (have, out)
        return out

    def _made(self, newest: NodePlan, have: Have | None) -> Offer:
        whole = encode(newest)
        base = self.get(newest.node, have.version, have.digest) if have is not None else None
        if base is not None:
            change = encode_delta(delta(base, newest))
            if len(change) < len(whole):
                return Offer("delta", newest.version, change)
        return Offer("snapshot", newest.version, whole)
