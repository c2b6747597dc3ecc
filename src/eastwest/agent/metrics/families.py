"""Every metric an agent can publish, once; docs/metrics.md, dashboards and alerts are checked against this list.

A family with a `hook` needs a kernel hook of its own and is left out of the answer while that hook is off or refused:
a missing series says "unknown", a zero says "none".
"""

from __future__ import annotations

from typing import Final

from eastwest.runtime.openmetrics import Family, Kind

POD: Final = ("node", "namespace", "pod", "pod_uid")
NODE: Final = ("node",)

TCP_HOOK: Final = "sock_ops"
DNS_HOOK: Final = "dns"
DROP_HOOK: Final = "drops"
POLICY_HOOK: Final = "policy-ingress"

VERDICTS: Final = ("allowed", "denied", "would_deny")
PROTOCOLS: Final = ("TCP", "UDP", "ICMP", "SCTP", "other")
DIRECTIONS: Final = ("ingress", "egress")
PHASES: Final = ("syn", "established", "closing")
LATENCY_BOUNDS_S: Final = (*((32 << i) / 1e6 for i in range(14)), 1.048576)
"""32 µs, doubling, to 262 ms, then 1.05 s: the buckets that records carry, so that they add up exactly."""


def _pod(name: str, help_: str, *labels: str, unit: str = "", hook: str | None = None) -> Family:
    return Family(f"eastwest_pod_{name}", Kind.COUNTER, help_, unit, (*POD, *labels), hook=hook)


def _node(name: str, kind: Kind, help_: str, *labels: str, unit: str = "") -> Family:
    return Family(f"eastwest_{name}", kind, help_, unit, (*NODE, *labels))


_HOOK = "at the pod's hook (L3, a GSO super-packet counts once)"

INGRESS_BYTES: Final = _pod("ingress_bytes", f"Bytes towards the pod {_HOOK}.", unit="bytes")
EGRESS_BYTES: Final = _pod("egress_bytes", f"Bytes from the pod {_HOOK}.", unit="bytes")
INGRESS_PACKETS: Final = _pod("ingress_packets", f"Packets towards the pod {_HOOK}.", unit="packets")
EGRESS_PACKETS: Final = _pod("egress_packets", f"Packets from the pod {_HOOK}.", unit="packets")
FLOWS_OPENED: Final = _pod(
    "flows_opened",
    "Connections opened: ingress when the pod is the server, egress when it began.",
    "protocol",
    "direction",
)
FLOWS_ACTIVE: Final = Family(
    "eastwest_pod_flows_active", Kind.GAUGE, "Connections in the kernel's flow map now.", labels=(*POD, "protocol")
)
LOST_BYTES: Final = _pod(
    "lost_bytes", "Bytes not recorded, by declared cause; hook_bypass never reached the hook.", "cause", unit="bytes"
)
LOST_PACKETS: Final = _pod("lost_packets", "Packets not recorded, by declared cause.", "cause", unit="packets")
UNEXPLAINED_BYTES: Final = _pod(
    "unexplained_bytes", "Sum of |hook - recorded - every cause| per window; anything but 0 is a defect.", unit="bytes"
)
RETRANSMISSIONS: Final = _pod(
    "tcp_retransmissions", "Retransmitted TCP segments, by phase of the connection.", "phase", hook=TCP_HOOK
)
TIMEOUTS: Final = _pod(
    "tcp_timeouts", "TCP retransmission timeouts, by phase of the connection.", "phase", hook=TCP_HOOK
)
RESETS: Final = _pod("tcp_resets", "TCP connections ended by a reset.", hook=TCP_HOOK)
CONNECT_FAILURES: Final = _pod("tcp_connect_failures", "TCP connections that never got an answer.", hook=TCP_HOOK)
RTT: Final = Family(
    "eastwest_pod_tcp_rtt_seconds",
    Kind.HISTOGRAM,
    "Smoothed TCP round-trip times.",
    "seconds",
    POD,
    LATENCY_BOUNDS_S,
    TCP_HOOK,
)
DNS_REQUESTS: Final = _pod("dns_requests", "DNS questions the pod asked.", hook=DNS_HOOK)
DNS_ERRORS: Final = _pod(
    "dns_errors", "DNS answers to the pod other than NOERROR, and questions without one.", "rcode", hook=DNS_HOOK
)
DNS_LATENCY: Final = Family(
    "eastwest_pod_dns_latency_seconds",
    Kind.HISTOGRAM,
    "Time from question to answer.",
    "seconds",
    POD,
    LATENCY_BOUNDS_S,
    DNS_HOOK,
)
DROPS: Final = _pod(
    "dropped_packets", "Packets the kernel dropped, by its own reason.", "reason", unit="packets", hook=DROP_HOOK
)
POLICY_PACKETS: Final = _pod(
    "policy_packets", "Packets by what policies at this pod decided.", "verdict", unit="packets", hook=POLICY_HOOK
)

POD_FAMILIES: Final = (
    INGRESS_BYTES, EGRESS_BYTES, INGRESS_PACKETS, EGRESS_PACKETS, FLOWS_OPENED, FLOWS_ACTIVE, LOST_BYTES, LOST_PACKETS,
    UNEXPLAINED_BYTES, RETRANSMISSIONS, TIMEOUTS, RESETS, CONNECT_FAILURES, RTT, DNS_REQUESTS, DNS_ERRORS, DNS_LATENCY, DROPS,
    POLICY_PACKETS,
)  # fmt: skip

HOOK_BYTES: Final = _node("node_hook_bytes", Kind.COUNTER, "Bytes at all pod hooks of the node.", unit="bytes")
RECORDED_BYTES: Final = _node("node_recorded_bytes", Kind.COUNTER, "Bytes in flow records of the node.", unit="bytes")
NODE_LOST_BYTES: Final = _node(
    "node_lost_bytes", Kind.COUNTER, "Bytes not recorded, by declared cause.", "cause", unit="bytes"
)
NODE_UNEXPLAINED: Final = _node(
    "node_unexplained_bytes",
    Kind.COUNTER,
    "Sum of |hook - recorded - every cause|; anything but 0 is a defect.",
    unit="bytes",
)
NET_BYTES: Final = _node(
    "node_interface_bytes", Kind.COUNTER, "Bytes of a node interface.", "interface", "direction", unit="bytes"
)
NET_PACKETS: Final = _node(
    "node_interface_packets", Kind.COUNTER, "Packets of a node interface.", "interface", "direction", unit="packets"
)
NET_ERRORS: Final = _node(
    "node_interface_errors", Kind.COUNTER, "Errors of a node interface.", "interface", "direction"
)
NET_DROPS: Final = _node(
    "node_interface_drops", Kind.COUNTER, "Packets a node interface dropped.", "interface", "direction"
)
ALLOWANCE: Final = _node(
    "node_allowance_exceeded_packets", Kind.COUNTER,
    "Packets queued or dropped because the instance went past an allowance (ENA driver).", "interface", "allowance", unit="packets",
)  # fmt: skip
ALLOWANCE_LEFT: Final = _node(
    "node_conntrack_allowance_available",
    Kind.GAUGE,
    "Connections the instance may still track (ENA driver).",
    "interface",
)
CONNTRACK_ENTRIES: Final = _node("node_conntrack_entries", Kind.GAUGE, "Entries in the kernel's conntrack table.")
CONNTRACK_LIMIT: Final = _node("node_conntrack_limit", Kind.GAUGE, "Entries the kernel's conntrack table may hold.")
OF_THE_KERNEL: Final = frozenset({NET_BYTES, NET_PACKETS, NET_ERRORS, NET_DROPS, ALLOWANCE})
"""Counters that are older than the agent, and go on when it restarts: nobody knows when they began."""
NODE_FAMILIES: Final = (
    HOOK_BYTES, RECORDED_BYTES, NODE_LOST_BYTES, NODE_UNEXPLAINED, NET_BYTES, NET_PACKETS, NET_ERRORS, NET_DROPS, ALLOWANCE,
    ALLOWANCE_LEFT, CONNTRACK_ENTRIES, CONNTRACK_LIMIT,
)  # fmt: skip

AGENT_INFO: Final = _node("agent", Kind.INFO, "The agent of this node.", "cluster", "version", "boot_id")
AGENT_HOOK: Final = _node(
    "agent_hook_on", Kind.GAUGE, "1 when the kernel hook works, 0 when refused (with its reason).", "hook", "reason"
)
AGENT_MEMORY: Final = _node("agent_resident_memory_bytes", Kind.GAUGE, "Resident memory of the agent.", unit="bytes")
AGENT_CPU: Final = _node("agent_cpu_seconds", Kind.COUNTER, "CPU time of the agent, user and system.", unit="seconds")
AGENT_TICKS: Final = _node("agent_ticks", Kind.COUNTER, "Windows the agent has closed.")
AGENT_TICK_TIME: Final = _node("agent_tick_seconds", Kind.GAUGE, "Time the last window took to close.", unit="seconds")
AGENT_LAST_TICK: Final = _node(
    "agent_last_window_end_seconds", Kind.GAUGE, "When the last window ended, Unix time.", unit="seconds"
)
AGENT_PODS: Final = _node("agent_pods", Kind.GAUGE, "Local pods being recorded.")
AGENT_FLOW_ENTRIES: Final = _node("agent_flow_map_entries", Kind.GAUGE, "Entries in the kernel's flow map.")
AGENT_FLOW_LIMIT: Final = _node("agent_flow_map_limit", Kind.GAUGE, "Entries the kernel's flow map may hold.")
AGENT_BUFFER: Final = _node("agent_buffer_bytes", Kind.GAUGE, "Batches waiting for the server.", unit="bytes")
AGENT_BUFFER_LIMIT: Final = _node(
    "agent_buffer_limit_bytes", Kind.GAUGE, "What may wait before batches are lost.", unit="bytes"
)
AGENT_SHIPPED: Final = _node(
    "agent_shipped_batches", Kind.COUNTER, "Batches the server has acknowledged.", unit="batches"
)
AGENT_RETRIES: Final = _node(
    "agent_shipping_failures", Kind.COUNTER, "Attempts to ship that failed, by outcome.", "outcome"
)
AGENT_SHIPPING_LOST: Final = _node(
    "agent_shipping_lost_bytes",
    Kind.COUNTER,
    "Recorded bytes whose batch never reached the server, by cause.",
    "cause",
    unit="bytes",
)
AGENT_HOOK_EVENTS: Final = _node(
    "agent_hook_events",
    Kind.COUNTER,
    "What the optional hooks saw, left out or lost, by event (docs/decisions/0070 to 0073).",
    "event",
)
POLICY_BY: Final = _node(
    "node_policy_packets",
    Kind.COUNTER,
    "Packets by the policy that decided (tier and name; the last one of each record's window).",
    "policy",
    "verdict",
    unit="packets",
)
POLICY_GENERATION: Final = _node("agent_policy_generation", Kind.GAUGE, "Generation that the kernel enforces; 0: none.")
POLICY_VERSION: Final = _node("agent_policy_plan_version", Kind.GAUGE, "Version of the plan in force; 0: none.")
POLICY_WAITING: Final = _node(
    "agent_policy_pods_waiting", Kind.GAUGE, "Pods of the plan in force that it does not hold for yet.", "direction"
)
POLICY_REFUSED: Final = _node("agent_policy_plan_refused", Kind.GAUGE, "1 while a newer plan does not fit this node.")
POLICY_ANSWERS: Final = _node(
    "agent_policy_plan_answers", Kind.COUNTER, "How the server answered about the plan.", "answer"
)
POLICY_LOG_LEFT_OUT: Final = _node(
    "agent_policy_log_left_out_lines",
    Kind.COUNTER,
    "Lines that the rate, or a file that cannot be written, kept out of the policy log.",
    unit="lines",
)
POLICY_APPLY: Final = Family(
    "eastwest_agent_policy_apply_seconds",
    Kind.HISTOGRAM,
    "Time from a change being seen to its being in force in the kernel.",
    "seconds",
    NODE,
    (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0),
)
POLICY_FAMILIES: Final = (
    POLICY_BY, POLICY_GENERATION, POLICY_VERSION, POLICY_WAITING, POLICY_REFUSED, POLICY_ANSWERS, POLICY_LOG_LEFT_OUT, POLICY_APPLY,
)  # fmt: skip
"""Only of an agent that enforces."""

AGENT_FAMILIES: Final = (
    AGENT_INFO, AGENT_HOOK, AGENT_MEMORY, AGENT_CPU, AGENT_TICKS, AGENT_TICK_TIME, AGENT_LAST_TICK, AGENT_PODS,
    AGENT_FLOW_ENTRIES, AGENT_FLOW_LIMIT, AGENT_BUFFER, AGENT_BUFFER_LIMIT, AGENT_SHIPPED, AGENT_RETRIES, AGENT_SHIPPING_LOST,
    AGENT_HOOK_EVENTS, *POLICY_FAMILIES,
)  # fmt: skip

FAMILIES: Final = (*POD_FAMILIES, *NODE_FAMILIES, *AGENT_FAMILIES)
