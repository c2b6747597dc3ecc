"""A window as it was recorded to what the metrics count of it: totals at the hooks, connections, pods' events."""

from __future__ import annotations

from collections.abc import Callable

from eastwest.agent import host_pods
from eastwest.agent.abi import ACTIVE, FROM_POD, TO_POD
from eastwest.agent.metrics.agent import ActiveFlows, HookTotals
from eastwest.agent.metrics.hooks import Increment, of_dns, of_drops
from eastwest.agent.recorder import Window


def hook_totals(window: Window) -> HookTotals:
    """What passed the pods' hooks, those of host-network pods at the end."""
    uids, bytes_, packets = host_pods.beside(window.books, window.hook_bytes, window.hook_packets, window.own)
    return HookTotals(
        uids,
        ingress_bytes=bytes_[:, TO_POD],
        ingress_packets=packets[:, TO_POD],
        egress_bytes=bytes_[:, FROM_POD],
        egress_packets=packets[:, FROM_POD],
        of_host_pods=len(window.own.pod_uids),
    )


def active_flows(window: Window) -> ActiveFlows:
    """Connections in the flow map, one row per interface and protocol."""
    uids = [book.pod_uid for book in window.books for _ in ACTIVE]
    return ActiveFlows(uids, ACTIVE * len(window.books), window.active.reshape(-1))


def pod_events(window: Window, drop_reason: Callable[[int], str]) -> list[Increment]:
    """What the optional hooks add to pods' counters."""
    dns, drops, attributed = window.sensed.dns, window.sensed.drops, window.sensed.attributed
    found = list(of_dns(dns.by_pod(), window.pod_of)) if dns is not None else []
    if drops is not None and attributed is not None:
        reasons, packets = drops["key"]["reason"].tolist(), drops["value"]["packets"].tolist()
        found += of_drops(attributed.ifindex.tolist(), reasons, packets, window.pod_of, drop_reason)
    return found
