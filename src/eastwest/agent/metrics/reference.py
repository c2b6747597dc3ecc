"""The metric names of Amazon EKS container network observability, so that dashboards made for it keep working.

Names and labels are those that its agent publishes (aws/network-flow-monitor-agent, open_metrics/). Its values are gauges
holding what happened since anybody's last scrape; ours are counters: `rate()` and `increase()` over them are right for
every scraper. OpenMetrics wants `_total` after a counter's name and these names have none, so they are of type unknown
there and untyped in classic text; Prometheus treats them the same.
"""

from __future__ import annotations

from typing import Final

from eastwest.agent.hoststats_ethtool import EXCEEDED, Allowances
from eastwest.agent.metrics import families as m
from eastwest.agent.metrics.pods import PodCounters
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text

POD_LABELS: Final = ("instance_id", "iface", "pod", "namespace", "node")
ENI_LABELS: Final = ("instance_id", "eni", "node")


def _family(name: str, help_: str, labels: tuple[str, ...]) -> Family:
    return Family(name, Kind.UNKNOWN, help_ + " (a counter under its reference name)", labels=labels)


_POD: Final = (
    (_family("ingress_bytes", "Bytes towards the pod", POD_LABELS), m.INGRESS_BYTES, ()),
    (_family("egress_bytes", "Bytes from the pod", POD_LABELS), m.EGRESS_BYTES, ()),
    (_family("ingress_packets", "Packets towards the pod", POD_LABELS), m.INGRESS_PACKETS, ()),
    (_family("egress_packets", "Packets from the pod", POD_LABELS), m.EGRESS_PACKETS, ()),
    (_family("ingress_flow", "TCP connections the pod accepted", POD_LABELS), m.FLOWS_OPENED, ("TCP", "ingress")),
    (_family("egress_flow", "TCP connections the pod began", POD_LABELS), m.FLOWS_OPENED, ("TCP", "egress")),
)
_ENI: Final = tuple(
    (_family(driver_name, "Packets past the instance's allowance", ENI_LABELS), short)
    for driver_name, short in EXCEEDED.items()
)
REFERENCE_FAMILIES: Final = (*(f for f, _, _ in _POD), *(f for f, _ in _ENI))


def render(
    out: Exposition,
    pods: PodCounters,
    allowances: dict[str, Allowances],
    *,
    node: str,
    instance_id: str,
    interface_of: dict[str, str],
    now_s: float,
) -> None:
    """Write every reference name. `interface_of` gives the host-side interface of a pod UID."""
    shown = list(pods.shown(now_s))
    labels = [label_text(POD_LABELS, (instance_id, interface_of.get(uid), pod, ns, node)) for uid, ns, pod, _ in shown]
    for family, ours, words in _POD:
        out.write(family, labels, [pods.value(ours, uid, words) for uid, *_ in shown])
    for family, short in _ENI:
        have = [(eni, a.exceeded[short]) for eni, a in allowances.items() if short in a.exceeded]
        out.write(family, [label_text(ENI_LABELS, (instance_id, eni, node)) for eni, _ in have], [v for _, v in have])
