"""What each dashboard shows: titles, questions in PromQL, units. `build.py` turns it into Grafana's JSON.

Every metric name must be one that eastwest publishes (tests/deploy/test_names.py) and every question must be understood
and answered by a real Prometheus (tests/deploy/test_prometheus.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

RATE: Final = "[$__rate_interval]"
NS: Final = 'namespace=~"$namespace"'
NODE: Final = 'node=~"$node"'
PAIR: Final = 'source_namespace=~"$namespace"'
DNS_PODS: Final = 'pod=~"(coredns|kube-dns|node-local-dns).*"'
PAIR_NAME: Final = "{{source_namespace}}/{{source}} → {{destination_namespace}}/{{destination}}"
BY_PAIR: Final = "source_namespace, source, destination_namespace, destination"


@dataclass(frozen=True)
class Panel:
    """`queries` are (PromQL, legend). `needs` says in words what has to be on for data to exist; shown when there is none."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str
    about: str
    kind: Literal["timeseries", "stat", "bargauge"] = "timeseries"
    needs: str = ""
    red_above: float | None = None
    red_below: float | None = None
    width: int = 12


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    about: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def _top(metric: str, by: str, where: str = NS, times: str = "") -> str:
    return f"topk(10, sum by ({by}) (rate({metric}{{{where}}}{RATE})){times})"


POD: Final = "namespace, pod, pod_uid"
POD_NAME: Final = "{{namespace}}/{{pod}}"
TCP_HOOK: Final = "the sock_ops hook on the nodes (see eastwest_agent_hook_on)"
DNS_HOOK: Final = "the dns hook on the nodes (see eastwest_agent_hook_on)"
DROP_HOOK: Final = "the drops hook on the nodes (see eastwest_agent_hook_on)"
ENA: Final = "the ENA driver: EC2 instances only"

COVERAGE_RATIO: Final = f"sum by (node) (rate(eastwest_node_recorded_bytes_total{{{NODE}}}{RATE})) / sum by (node) (rate(eastwest_node_hook_bytes_total{{{NODE}}}{RATE}))"

OVERVIEW: Final = Dashboard(
    "eastwest-overview",
    "eastwest / Overview",
    "Who moves how much, and whether everything was seen.",
    (
        (
            "Now",
            (
                Panel("Nodes reporting", (("count(eastwest_agent_info)", ""),), "short", "Agents that were scraped.", "stat", width=4),
                Panel("Pods recorded", (("sum(eastwest_agent_pods)", ""),), "short", "Pods with a hook on their interface.", "stat", width=4),
                Panel("Traffic of pods", ((f"sum(rate(eastwest_node_hook_bytes_total{RATE})) * 8", ""),), "bps", "At all pod hooks, both directions.", "stat", width=4),
                Panel("Connections opened", ((f'sum(rate(eastwest_pod_flows_opened_total{{direction="egress"}}{RATE}))', ""),), "cps", "By pods, all protocols.", "stat", width=4),
                Panel("Recorded", ((f"sum(rate(eastwest_node_recorded_bytes_total{RATE})) / sum(rate(eastwest_node_hook_bytes_total{RATE}))", ""),), "percentunit", "Bytes in records of bytes at the hooks.", "stat", red_below=0.999, width=4),
                Panel("Unexplained", (("sum(increase(eastwest_node_unexplained_bytes_total[1h]))", ""),), "bytes", "Must be 0: bytes that neither records nor a named loss account for.", "stat", red_above=1, width=4),
            ),
        ),
        (
            "Top talkers",
            (
                Panel("Top 10 pods by ingress bandwidth", ((_top("eastwest_pod_ingress_bytes_total", POD, times=" * 8"), POD_NAME),), "bps", "Towards the pod."),
                Panel("Top 10 pods by egress bandwidth", ((_top("eastwest_pod_egress_bytes_total", POD, times=" * 8"), POD_NAME),), "bps", "From the pod."),
                Panel("Top 10 pods by ingress packets", ((_top("eastwest_pod_ingress_packets_total", POD), POD_NAME),), "pps", "Towards the pod."),
                Panel("Top 10 pods by egress packets", ((_top("eastwest_pod_egress_packets_total", POD), POD_NAME),), "pps", "From the pod."),
                Panel("Top 10 workload pairs", ((_top("eastwest_pair_bytes_total", BY_PAIR, PAIR, " * 8"), PAIR_NAME),), "bps", "Both directions."),
                Panel("Traffic by protocol of new connections", ((f"sum by (protocol) (rate(eastwest_pod_flows_opened_total{{{NS}, direction=\"egress\"}}{RATE}))", "{{protocol}}"),), "cps", "Connections opened by pods."),
            ),
        ),
        (
            "Connections and DNS",
            (
                Panel("Top 10 pods by TCP connections now", ((f'topk(10, sum by ({POD}) (eastwest_pod_flows_active{{{NS}, protocol="TCP"}}))', POD_NAME),), "short", "Entries of the kernel's flow map.", needs="agents that count open connections by pod"),
                Panel("Top 10 pods by TCP connections opened", ((_top("eastwest_pod_flows_opened_total", POD, NS + ', protocol="TCP", direction="egress"'), POD_NAME),), "cps", "As the client."),
                Panel("Share of the cluster DNS", ((f"sum(rate(eastwest_pod_ingress_packets_total{{{DNS_PODS}}}{RATE})) / sum(rate(eastwest_pod_ingress_packets_total{RATE}))", "of packets"), (f"sum(rate(eastwest_pod_ingress_bytes_total{{{DNS_PODS}}}{RATE})) / sum(rate(eastwest_pod_ingress_bytes_total{RATE}))", "of bytes")), "percentunit", "CoreDNS, kube-dns and NodeLocal DNS pods by name, of all that pods receive.", needs="pods named coredns…, kube-dns… or node-local-dns…"),
                Panel("Cluster DNS pods", ((f"sum by ({POD}) (rate(eastwest_pod_ingress_packets_total{{{DNS_PODS}}}{RATE}))", POD_NAME),), "pps", "Packets towards each DNS pod.", needs="pods named coredns…, kube-dns… or node-local-dns…"),
            ),
        ),
    ),
)  # fmt: skip

NODE_HEALTH: Final = Dashboard(
    "eastwest-node-health",
    "eastwest / Node health",
    "Interfaces, instance allowances, connection tracking, and the agent itself.",
    (
        (
            "Interfaces",
            (
                Panel("Bandwidth", ((f"sum by (node, interface, direction) (rate(eastwest_node_interface_bytes_total{{{NODE}}}{RATE})) * 8", "{{node}} {{interface}} {{direction}}"),), "bps", "Interfaces of the node other than its pods'."),
                Panel("Packets", ((f"sum by (node, interface, direction) (rate(eastwest_node_interface_packets_total{{{NODE}}}{RATE}))", "{{node}} {{interface}} {{direction}}"),), "pps", "Interfaces of the node other than its pods'."),
                Panel("Drops and errors", ((f"sum by (node, interface) (rate(eastwest_node_interface_drops_total{{{NODE}}}{RATE}))", "{{node}} {{interface}} drops"), (f"sum by (node, interface) (rate(eastwest_node_interface_errors_total{{{NODE}}}{RATE}))", "{{node}} {{interface}} errors")), "pps", "As the driver counts them."),
            ),
        ),
        (
            "Instance allowances",
            (
                Panel("Packets past an allowance", ((f"sum by (node, interface, allowance) (rate(eastwest_node_allowance_exceeded_packets_total{{{NODE}}}{RATE}))", "{{node}} {{interface}} {{allowance}}"),), "pps", "Queued or dropped because the instance went past bandwidth (in, out), packet rate, connection tracking or link-local limits.", needs=ENA, red_above=1),
                Panel("Connections that may still be tracked", ((f"min by (node, interface) (eastwest_node_conntrack_allowance_available{{{NODE}}})", "{{node}} {{interface}}"),), "short", "By the instance's own connection tracking.", needs=ENA),
            ),
        ),
        (
            "Connection tracking",
            (
                Panel("Table in use", ((f"eastwest_node_conntrack_entries{{{NODE}}} / eastwest_node_conntrack_limit{{{NODE}}}", "{{node}}"),), "percentunit", "Entries of nf_conntrack of what it may hold; new connections are dropped when it is full.", needs="nf_conntrack loaded on the node", red_above=0.9),
                Panel("Entries", ((f"eastwest_node_conntrack_entries{{{NODE}}}", "{{node}}"),), "short", "nf_conntrack_count.", needs="nf_conntrack loaded on the node"),
            ),
        ),
        (
            "Agent",
            (
                Panel("CPU", ((f"rate(eastwest_agent_cpu_seconds_total{{{NODE}}}{RATE})", "{{node}}"),), "percentunit", "Of one core; what runs in kernel hooks is not in it."),
                Panel("Memory", ((f"eastwest_agent_resident_memory_bytes{{{NODE}}}", "{{node}}"),), "bytes", "Resident."),
                Panel("Time to close a window", ((f"eastwest_agent_tick_seconds{{{NODE}}}", "{{node}}"),), "s", "Drain, merge, encode."),
                Panel("Flow map in use", ((f"eastwest_agent_flow_map_entries{{{NODE}}} / eastwest_agent_flow_map_limit{{{NODE}}}", "{{node}}"),), "percentunit", "When it is full, packets count without the client's port.", needs="an agent that reports its map", red_above=0.9),
                Panel("Buffer in use", ((f"eastwest_agent_buffer_bytes{{{NODE}}} / eastwest_agent_buffer_limit_bytes{{{NODE}}}", "{{node}}"),), "percentunit", "Batches waiting for the server; when it is full, the oldest are lost and declared.", needs="an agent that reports its buffer", red_above=0.5),
                Panel("Shipping", ((f"sum by (node) (rate(eastwest_agent_shipped_batches_total{{{NODE}}}{RATE}))", "{{node}} shipped"), (f"sum by (node, outcome) (rate(eastwest_agent_shipping_failures_total{{{NODE}}}{RATE}))", "{{node}} {{outcome}}")), "ops", "Batches acknowledged, and attempts that failed."),
            ),
        ),
    ),
)  # fmt: skip

_RETRANSMISSIONS = f"sum by ({BY_PAIR}) (rate(eastwest_pair_tcp_retransmissions_total{{{PAIR}}}{RATE}))"
_PACKETS = f"sum by ({BY_PAIR}) (rate(eastwest_pair_packets_total{{{PAIR}}}{RATE}))"
_RTT = f"sum by (le, {BY_PAIR}) (rate(eastwest_pair_tcp_rtt_seconds_bucket{{{PAIR}}}{RATE}))"
TCP_QUALITY: Final = Dashboard(
    "eastwest-tcp-quality",
    "eastwest / TCP quality by edge",
    "Where segments are lost, connections fail and round trips take long, by workload pair.",
    (
        (
            "Loss",
            (
                Panel("Retransmissions, top 10 edges", ((f"topk(10, {_RETRANSMISSIONS})", PAIR_NAME),), "pps", "Segments sent again, by either end.", needs=TCP_HOOK),
                Panel("Retransmissions of packets, top 10 edges", ((f"topk(10, {_RETRANSMISSIONS} / {_PACKETS})", PAIR_NAME),), "percentunit", "A packet at the hook may hold several segments, so this is an upper bound.", needs=TCP_HOOK, red_above=0.02),
                Panel("Retransmissions by phase", ((f"sum by (phase, direction) (rate(eastwest_pair_tcp_retransmissions_total{{{PAIR}}}{RATE}))", "{{phase}} {{direction}}"),), "pps", "syn: the other end does not answer; established: loss on the path; closing: an end went away.", needs=TCP_HOOK),
                Panel("Retransmission timeouts, top 10 edges", ((_top("eastwest_pair_tcp_timeouts_total", BY_PAIR, PAIR), PAIR_NAME),), "cps", "Each is at least 200 ms of silence.", needs=TCP_HOOK),
            ),
        ),
        (
            "Round trips",
            (
                Panel("Median round trip, top 10 edges", ((f"topk(10, histogram_quantile(0.5, {_RTT}))", PAIR_NAME),), "s", "To within its bucket: a factor of 2.", needs=TCP_HOOK),
                Panel("99th percentile of round trips, top 10 edges", ((f"topk(10, histogram_quantile(0.99, {_RTT}))", PAIR_NAME),), "s", "To within its bucket: a factor of 2.", needs=TCP_HOOK),
            ),
        ),
        (
            "Connections",
            (
                Panel("Failed to connect, top 10 edges", ((_top("eastwest_pair_tcp_connect_failures_total", BY_PAIR, PAIR), PAIR_NAME),), "cps", "Closed without having been established.", needs=TCP_HOOK),
                Panel("Reset, top 10 edges", ((_top("eastwest_pair_tcp_resets_total", BY_PAIR, PAIR), PAIR_NAME),), "cps", "Established connections ended by a reset.", needs=TCP_HOOK),
                Panel("Opened and not answered, top 10 edges", ((f"topk(10, sum by ({BY_PAIR}) (rate(eastwest_pair_connections_total{{{PAIR}}}{RATE}) - rate(eastwest_pair_connections_established_total{{{PAIR}}}{RATE})))", PAIR_NAME),), "cps", "From the flow records alone; needs no hook beyond the flows'."),
            ),
        ),
        (
            "Pods",
            (
                Panel("Retransmissions, top 10 pods", ((_top("eastwest_pod_tcp_retransmissions_total", POD), POD_NAME),), "pps", "By the pod's own sockets.", needs=TCP_HOOK),
                Panel("99th percentile of round trips, top 10 pods", ((f"topk(10, histogram_quantile(0.99, sum by (le, {POD}) (rate(eastwest_pod_tcp_rtt_seconds_bucket{{{NS}}}{RATE}))))", POD_NAME),), "s", "Measured by the pod's own sockets.", needs=TCP_HOOK),
                Panel("Packets the kernel dropped, by reason", ((f"sum by (reason) (rate(eastwest_pod_dropped_packets_total{{{NS}}}{RATE}))", "{{reason}}"),), "pps", "With the kernel's own reason.", needs=DROP_HOOK),
            ),
        ),
    ),
)  # fmt: skip

_COST = f"rate(eastwest_pair_cost_total{{{PAIR}}}{RATE}) * 3600"
_PRICED = "Estimated by the server's dated price table (see Prices in use), in its currency; flat rates, headers of segments included."
CROSS_ZONE: Final = Dashboard(
    "eastwest-cross-zone",
    "eastwest / Cross-zone traffic and cost",
    "What leaves its zone, its region or the cluster, and what that costs by the server's dated price table (eastwest server --prices FILE). The one it comes with is an example: check it against your bill.",
    (
        (
            "Where traffic goes",
            (
                Panel("By category", ((f"sum by (category) (rate(eastwest_pair_bytes_total{{{PAIR}}}{RATE})) * 8", "{{category}}"),), "bps", "Both directions."),
                Panel("By zone pair", ((f"sum by (source_zone, destination_zone) (rate(eastwest_zone_bytes_total{RATE})) * 8", "{{source_zone}} → {{destination_zone}}"),), "bps", "Both directions, by the zone of initiator and server."),
                Panel("Top 10 cross-zone edges", ((_top("eastwest_pair_bytes_total", BY_PAIR, PAIR + ', category="inter_zone"', " * 8"), PAIR_NAME),), "bps", "Between two zones of one region."),
                Panel("Cross-zone share of pod-to-pod traffic", ((f'sum(rate(eastwest_pair_bytes_total{{{PAIR}, category="inter_zone"}}{RATE})) / sum(rate(eastwest_pair_bytes_total{{{PAIR}, category=~"intra_zone|inter_zone|inter_region"}}{RATE}))', ""),), "percentunit", "Between pods.", "stat"),
            ),
        ),
        (
            "Cost",
            (
                Panel("Cost per hour by edge, top 10", ((f"topk(10, sum by ({BY_PAIR}, currency) ({_COST}))", PAIR_NAME + " ({{currency}})"),), "short", _PRICED),
                Panel("Cost per hour by category", ((f"sum by (category, currency) ({_COST})", "{{category}} ({{currency}})"),), "short", _PRICED),
                Panel("Cost per hour by the initiator's namespace", ((f"sum by (source_namespace, currency) ({_COST})", "{{source_namespace}} ({{currency}})"),), "short", _PRICED),
                Panel("Bytes that have no known price", ((f"sum by (category) (rate(eastwest_pair_unpriced_bytes_total{{{PAIR}}}{RATE}))", "{{category}}"),), "Bps", "Not in the cost: an end, its zone or its region is not known."),
                Panel("Prices in use: age of the table", (("(time() - eastwest_price_table_as_of_seconds) * on (instance) group_left (name, as_of, source, currency) eastwest_price_table_info", "{{name}} of {{as_of}}, {{currency}}: {{source}}"),), "s", "Date and source of the table behind every amount here.", "stat"),
                Panel("AWS services", ((f'sum by (destination, direction) (rate(eastwest_pair_bytes_total{{{PAIR}, category="aws"}}{RATE})) * 8', "{{destination}} {{direction}}"),), "bps", "By service, as the published ranges name it.", needs="traffic with AWS services"),
            ),
        ),
    ),
)  # fmt: skip

_DNS_LATENCY = f"sum by (le) (rate(eastwest_pod_dns_latency_seconds_bucket{{{NS}}}{RATE}))"
DNS: Final = Dashboard(
    "eastwest-dns",
    "eastwest / DNS",
    "Who asks, how fast answers come, and what goes wrong.",
    (
        (
            "Questions",
            (
                Panel("Questions, top 10 pods", ((_top("eastwest_pod_dns_requests_total", POD), POD_NAME),), "reqps", "UDP and TCP.", needs=DNS_HOOK),
                Panel("Errors by response code", ((f"sum by (rcode) (rate(eastwest_pod_dns_errors_total{{{NS}}}{RATE}))", "{{rcode}}"),), "reqps", "Answers other than NOERROR, and questions that never got one.", needs=DNS_HOOK),
                Panel("Error ratio, top 10 pods", ((f"topk(10, sum by ({POD}) (rate(eastwest_pod_dns_errors_total{{{NS}}}{RATE})) / sum by ({POD}) (rate(eastwest_pod_dns_requests_total{{{NS}}}{RATE})))", POD_NAME),), "percentunit", "NXDOMAIN counts: search domains alone cause many.", needs=DNS_HOOK),
                Panel("Time to answer", ((f"histogram_quantile(0.5, {_DNS_LATENCY})", "median"), (f"histogram_quantile(0.99, {_DNS_LATENCY})", "99th percentile")), "s", "To within its bucket: a factor of 2.", needs=DNS_HOOK),
            ),
        ),
        (
            "Without the hook",
            (
                Panel("UDP connections opened, top 10 pods", ((_top("eastwest_pod_flows_opened_total", POD, NS + ', protocol="UDP", direction="egress"'), POD_NAME),), "cps", "Mostly DNS; from the flow records alone."),
                Panel("Packets towards the cluster DNS", ((f"sum by ({POD}) (rate(eastwest_pod_ingress_packets_total{{{DNS_PODS}}}{RATE}))", POD_NAME),), "pps", "Pods named coredns…, kube-dns… or node-local-dns….", needs="pods named coredns…, kube-dns… or node-local-dns…"),
            ),
        ),
    ),
)  # fmt: skip

COVERAGE: Final = Dashboard(
    "eastwest-coverage",
    "eastwest / Coverage",
    "How much of what happened is in the data, and what is missing and why.",
    (
        (
            "Books",
            (
                Panel("Recorded of what passed the hooks", ((COVERAGE_RATIO, "{{node}}"),), "percentunit", "Per node.", red_below=0.999),
                Panel("Unexplained", ((f"sum by (node) (increase(eastwest_node_unexplained_bytes_total{{{NODE}}}{RATE}))", "{{node}}"),), "bytes", "Must be 0. Anything else is a defect of eastwest: please report it.", red_above=1),
                Panel("Lost, by cause", ((f"sum by (node, cause) (rate(eastwest_node_lost_bytes_total{{{NODE}}}{RATE}))", "{{node}} {{cause}}"),), "Bps", "Seen at a hook and not recorded. No line is good news.", needs="a loss: none was declared"),
                Panel("Lost on the way to the server, by cause", ((f"sum by (node, cause) (rate(eastwest_agent_shipping_lost_bytes_total{{{NODE}}}{RATE}))", "{{node}} {{cause}}"),), "Bps", "Recorded, and the batch never arrived.", needs="a loss: none was declared"),
            ),
        ),
        (
            "Nodes and hooks",
            (
                Panel("Age of the newest window at the server", (("time() - eastwest_server_node_last_window_end_seconds", "{{node}}"),), "s", "An agent that is absent shows as a rising line.", red_above=60),
                Panel("Hooks refused", ((f"count by (hook, reason) (eastwest_agent_hook_on{{{NODE}}} == 0)", "{{hook}}: {{reason}}"),), "short", "Nodes whose kernel refused a hook; what follows from it is unknown there, not 0.", "bargauge", needs="a refusal: every hook is on"),
                Panel("Hooks on", ((f"sum by (hook) (eastwest_agent_hook_on{{{NODE}}})", "{{hook}}"),), "short", "Nodes on which each hook works.", "bargauge"),
            ),
        ),
        (
            "Server",
            (
                Panel("Batches", ((f"rate(eastwest_server_batches_total{RATE})", "stored"), (f"sum by (cause) (rate(eastwest_server_refused_total{RATE}))", "refused: {{cause}}")), "ops", "Taken in, and not."),
                Panel("Records waiting", (("eastwest_server_pending_rows", ""),), "short", "Accepted and not yet durable."),
                Panel("Store answers", (("eastwest_server_store_ready", ""),), "bool_yes_no", "Whether questions can be answered.", "stat", red_below=1, width=6),
                Panel("Workload pairs with a series of their own", (("eastwest_pair_series / eastwest_pair_series_limit", ""),), "percentunit", "Beyond the limit, pairs add up in __other__: sums stay exact, names are lost.", "stat", red_above=1, width=6),
                Panel("Share of __other__", ((f'sum(rate(eastwest_pair_bytes_total{{source="__other__"}}{RATE})) / sum(rate(eastwest_pair_bytes_total{RATE}))', ""),), "percentunit", "Traffic of pairs without a series of their own.", "stat", needs="pairs beyond the limit: there are none", red_above=0.1, width=6),
                Panel("OTLP items not sent", ((f"sum by (signal, cause) (rate(eastwest_server_otlp_lost_total{RATE}))", "{{signal}}: {{cause}}"),), "ops", "By cause.", needs="a loss: none, or OTLP is off", width=6),
            ),
        ),
    ),
)  # fmt: skip

DASHBOARDS: Final = (OVERVIEW, NODE_HEALTH, TCP_QUALITY, CROSS_ZONE, DNS, COVERAGE)
