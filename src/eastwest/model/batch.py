"""One shipment from an agent: a header of plain values beside the columnar records.

`wire` frames and encodes it; the agent fills it in; the collector reads it. The books here are the promise of the
product: for each pod and window, hook = recorded + every declared cause + unexplained, and unexplained is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BATCH_VERSION = 1


@dataclass(frozen=True, slots=True)
class Amount:
    """L3 bytes and packets at the hook (a GSO super-packet is one packet)."""

    bytes: int
    packets: int


DNS_EVENT = "dns_"
"""Events in `Books.other` that begin so count the pod's own lookups by outcome: dns_NOERROR, dns_NXDOMAIN, dns_no_answer."""


@dataclass(frozen=True, slots=True)
class Books:
    """The accounts of one interface hook for one window. `hook` and `recorded` are counted independently."""

    pod_uid: str | None  # None: an interface whose pod is not known (yet)
    interface: str
    hook: Amount  # every IP packet that reached the hook, both directions
    recorded: Amount  # what the records of this batch hold for this interface
    lost: dict[str, Amount] = field(default_factory=dict)  # cause -> amount, counted where the loss happens
    other: dict[str, int] = field(
        default_factory=dict
    )  # events without bytes of their own: non_ip packets, edges_folded
    unseen: dict[str, Amount] = field(default_factory=dict)  # cause -> what passed the interface but never the hook

    @property
    def unexplained(self) -> Amount:
        """hook - recorded - every cause; published as it is, negative or positive."""
        return Amount(
            self.hook.bytes - self.recorded.bytes - sum(a.bytes for a in self.lost.values()),
            self.hook.packets - self.recorded.packets - sum(a.packets for a in self.lost.values()),
        )


@dataclass(frozen=True, slots=True)
class HookStatus:
    """One optional kernel hook: whether this kernel accepted it, and which columns are unknown without it."""

    name: str
    state: str  # "on", "off" (not asked for) or "refused"
    reason: str | None = (
        None  # refused: the kernel's answer in words; on: in which other way, and what that cannot tell
    )
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """Who sends, what window, and the books. (cluster, node, boot_id, seq) names a batch for ever."""

    cluster: str
    node: str
    boot_id: str  # new at each agent start
    seq: int  # from 0, without gaps within a boot
    window_start_ns: int  # inclusive
    window_end_ns: int  # exclusive
    sent_at_ns: int  # the node's clock when this attempt was made
    agent_version: str
    records: int  # rows in the columnar part
    books: tuple[Books, ...] = ()
    hooks: tuple[HookStatus, ...] = ()
    shipping_lost: dict[str, Amount] = field(default_factory=dict)
    """Whole batches that left the agent's buffer unsent since the last batch, by cause, in recorded bytes/packets."""
    shipping_lost_windows: tuple[tuple[int, int], ...] = ()  # their [start_ns, end_ns) windows
    node_addresses: tuple[str, ...] = ()
    """Every address of the node's own interfaces: probes come from one, and the Node object may not name it."""
    version: int = BATCH_VERSION
