"""The books of each interface: what the hook counted against what the records hold, cause by cause.

Pure: the kernel's running totals come in, one window's `model.batch.Books` go out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import bypass
from eastwest.agent.abi import EVENTS, INTERFACE_SET, LOST
from eastwest.agent.bypass import HookCounts
from eastwest.agent.edges import Edges
from eastwest.model.batch import Amount, Books

NOTHING: Final = Amount(0, 0)
Totals = NDArray[Any]
"""One INTERFACE_SET."""


def since(now: Totals, before: Totals | None) -> Totals:
    """What was added between two readings of the same set (modulo 2^64)."""
    if before is None:
        return now
    words: NDArray[np.uint64] = np.atleast_1d(now).view(np.uint64) - np.atleast_1d(before).view(np.uint64)
    difference: Totals = words.view(INTERFACE_SET)[0]
    return difference


def recorded_by_interface(edges: Edges) -> dict[int, Amount]:
    """What the records hold, by interface index: both directions together."""
    interfaces, inverse = np.unique(edges.keys["ifindex"], return_inverse=True)
    sums = np.zeros((len(interfaces), 2), np.uint64)
    np.add.at(sums[:, 0], inverse, edges.sums[:, 0] + edges.sums[:, 1])
    np.add.at(sums[:, 1], inverse, edges.sums[:, 2] + edges.sums[:, 3])
    return {
        int(i): Amount(int(bytes_), int(packets))
        for i, (bytes_, packets) in zip(interfaces.tolist(), sums.tolist(), strict=True)
    }


def hook_counts(both: NDArray[Any]) -> HookCounts:
    """Everything that an interface's hooks have counted, from the totals of both sets."""
    return HookCounts(
        bytes=_signed_sum(both["hook"]["bytes"]),
        packets=_signed_sum(both["hook"]["packets"]),
        non_ip=_signed_sum(both["events"][:, EVENTS.index("non_ip")]),
        neighbour=_signed_sum(both["events"][:, EVENTS.index("neighbour_discovery")]),
    )


def close(
    pod_uid: str | None,
    interface: str,
    window: Totals,
    recorded: Amount,
    bypassed: Amount = NOTHING,
    also: Mapping[str, int] | None = None,
) -> Books:
    """The account of one interface and window; only causes and events that happened are named. `also`: further events."""
    lost = {
        cause: Amount(int(window["lost"][i]["bytes"]), int(window["lost"][i]["packets"]))
        for i, cause in enumerate(LOST)
        if window["lost"][i]["packets"]
    }
    return Books(
        pod_uid=pod_uid,
        interface=interface,
        hook=Amount(_signed_sum(window["hook"]["bytes"]), _signed_sum(window["hook"]["packets"])),
        recorded=recorded,
        lost=lost,
        other={name: int(window["events"][i]) for i, name in enumerate(EVENTS) if window["events"][i]}
        | dict(also or {}),
        unseen={bypass.CAUSE: bypassed} if bypassed.packets else {},
    )


def balance(account: Books, cause: str) -> Books:
    """The same account with what it cannot explain declared as lost to `cause`, which is known to have happened."""
    rest = account.unexplained
    if rest.packets <= 0:
        return account
    return replace(account, lost={**account.lost, cause: rest})


def _signed_sum(words: NDArray[np.uint64]) -> int:
    return int(words.sum(dtype=np.uint64))
