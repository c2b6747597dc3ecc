"""The whole wanted set, from a plan and from what only the node knows; what did not change is not made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from eastwest.agent.interfaces import Interface
from eastwest.agent.policy import entries, local, surroundings
from eastwest.agent.policy.local import Bound
from eastwest.agent.policy.reasons import ReasonBook
from eastwest.model.plan import NodePlan


class Making:
    """Remembers the entries it made last, by map, and what they were made of: a delta leaves most arrays as they are."""

    def __init__(self, book: ReasonBook, *, egress: bool) -> None:
        self._book, self._egress = book, egress
        self._last: dict[str, tuple[tuple[Any, ...], entries.Entries]] = {}

    def wanted(self, plan: NodePlan, bound: tuple[Bound, ...], own: tuple[str, ...]) -> dict[str, entries.Entries]:
        """Entries by map, as `Tables.switch` takes them. `own`: the node's addresses."""
        pods, interface_of = local.local_pods(plan, bound, egress=self._egress)
        return {
            "identities": self._of("identities", (plan.identities, own), lambda: entries.identities(plan, own)),
            "cells": self._of("cells", (plan.cells,), lambda: entries.cells(plan)),
            "ports": self._of(
                "ports", (plan.ports, plan.reasons), lambda: entries.ports(plan, self._book.numbers(plan.reasons))
            ),
            "pod_ranges": self._of("pod_ranges", (plan.ranges,), lambda: entries.pod_ranges(plan)),
            "policed": entries.policed(pods),
            "pod_addresses": entries.pod_addresses(interface_of),
        }

    def _of(self, name: str, parts: tuple[Any, ...], make: Callable[[], entries.Entries]) -> entries.Entries:
        """Arrays count as equal when they are the same one, everything else by value."""
        last = self._last.get(name)
        if last is not None and all(
            a is b or (not isinstance(a, np.ndarray) and a == b) for a, b in zip(last[0], parts, strict=True)
        ):
            return last[1]
        self._last[name] = (parts, make())
        return self._last[name][1]


def addresses_of_others(plan: NodePlan) -> Callable[[Interface], tuple[str, ...]]:
    """Looks into a pod's namespace while the plan does not know its addresses, which come a little later than the pod:
    until then all its packets would look as if it had made up their source."""
    told = {p.uid for p in plan.pods if p.addresses}

    def find(interface: Interface) -> tuple[str, ...]:
        if interface.pod is None or interface.pod.uid in told:
            return ()
        return surroundings.pod_addresses(interface.pod.pid)

    return find
