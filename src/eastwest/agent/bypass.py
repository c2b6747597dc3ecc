"""What passed a pod's interface without reaching our hooks: redirected past them, or the hooks were taken away.

The pod's own end of the veth counts every frame, also those that bpf_redirect_peer puts there behind our back; the hooks
count every frame that they see. The amounts told are lower bounds that never fall: frames that the hook counted and that
never arrived (a full queue, a policy's verdict) hide as many that went past it.
"""

from __future__ import annotations

from dataclasses import dataclass

from eastwest.agent.linkcounters import LinkCounts
from eastwest.model.batch import Amount

CAUSE = "hook_bypass"
ETHERNET_BYTES = 14
ARP_BYTES = 28
NEIGHBOUR_BYTES = 72
"""L3 bytes of the frames that are in no book, as they usually are: bytes of a bypass are derived, packets are counted."""
NOTHING = Amount(0, 0)


@dataclass(frozen=True, slots=True)
class HookCounts:
    """All that the hooks of one interface have seen since it was hooked, both directions together."""

    bytes: int
    packets: int
    non_ip: int
    neighbour: int


class BypassMeter:
    """One interface's. Frames pass between two readings, so the order of the readings decides which way it errs: it starts
    from the hooks' figure and then the pod's, and goes on with the pod's and then the hooks'. Two windows in a row must
    agree before anything is told."""

    def __init__(self) -> None:
        self._base: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None
        self._told = (0, 0)

    @property
    def started(self) -> bool:
        return self._base is not None

    def start(self, link: LinkCounts, hook: HookCounts) -> None:
        """From here on; `hook` was read before `link`."""
        self._base = _beyond(link, hook)

    def update(self, link: LinkCounts, hook: HookCounts) -> Amount:
        """What is certain since the last call; `link` was read before `hook`. After `start`."""
        assert self._base is not None
        packets, size = _beyond(link, hook)
        now = packets - self._base[0], size - self._base[1]
        before, self._last = self._last, now
        if before is None:
            return NOTHING
        sure = min(now[0], before[0]), min(now[1], before[1])
        if sure[0] <= self._told[0]:
            return NOTHING
        told, self._told = self._told, (sure[0], max(sure[1], self._told[1]))
        return Amount(self._told[1] - told[1], self._told[0] - told[0])


def _beyond(link: LinkCounts, hook: HookCounts) -> tuple[int, int]:
    """(packets, L3 bytes) that the link counted beyond the hooks."""
    beside = hook.non_ip * ARP_BYTES + hook.neighbour * NEIGHBOUR_BYTES
    packets = link.packets - hook.packets - hook.non_ip - hook.neighbour
    return packets, link.bytes - ETHERNET_BYTES * link.packets - hook.bytes - beside
