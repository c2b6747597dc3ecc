"""Every column of a flow record, once.

The wire format, the store's DDL, merging, the filter language, the generated TypeScript types and
docs/columns.md are all derived from `COLUMNS`; nobody else keeps a list of fields. It refuses to know how
any of them is stored or sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from eastwest.model.histogram import BUCKETS


class Type(StrEnum):
    """The value's type, independent of any engine."""

    STRING = "string"
    U8 = "u8"
    U16 = "u16"
    U64 = "u64"
    TIME = "time_ns"  # int64 nanoseconds since the Unix epoch, UTC
    IP = "ip"  # 16 bytes, network order; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2)


class Role(StrEnum):
    """What the column is for."""

    TIME = "time"  # when
    KEY = "key"  # who and what: two records with equal keys may be merged
    MEASURE = "measure"  # how much
    PROVENANCE = "provenance"  # how we know


class Merge(StrEnum):
    """How two values of one column become one when their records are merged."""

    KEY = "key"  # equal by definition
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    LAST = "last"  # the value of the later record that has one


class Stage(StrEnum):
    """Who fills the column in."""

    AGENT = "agent"  # on the wire from the node
    COLLECTOR = "collector"  # named from the inventory when the batch arrives


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a flow record. `nullable` columns hold null for "unknown", never 0 or ''."""

    name: str
    type: Type
    role: Role
    merge: Merge
    stage: Stage
    doc: str
    unit: str | None = None
    nullable: bool = False


def _key(name: str, type_: Type, doc: str, *, nullable: bool = False, stage: Stage = Stage.AGENT) -> Column:
    return Column(name, type_, Role.KEY, Merge.KEY, stage, doc, nullable=nullable)


def _sum(name: str, unit: str, doc: str) -> Column:
    return Column(name, Type.U64, Role.MEASURE, Merge.SUM, Stage.AGENT, doc, unit=unit)


def _tcp(name: str, unit: str, doc: str, merge: Merge = Merge.SUM) -> Column:
    """A figure of the reporting end's own sockets; null where the hook is off or refused."""
    return Column(name, Type.U64, Role.MEASURE, merge, Stage.AGENT, doc, unit=unit, nullable=True)


def _ruled(name: str, doc: str) -> Column:
    """Packets by what the reporting pod's own side decided; null where nothing decides (enforcement off or refused)."""
    return Column(name, Type.U64, Role.MEASURE, Merge.SUM, Stage.AGENT, doc, unit="packets", nullable=True)


def _end(side: str, who: str) -> tuple[Column, ...]:
    """The columns that name one end of a flow."""

    def named(name: str, doc: str, role: Role = Role.KEY) -> Column:
        merge = Merge.KEY if role is Role.KEY else Merge.LAST
        return Column(f"{side}_{name}", Type.STRING, role, merge, Stage.COLLECTOR, doc, nullable=True)

    return (
        Column(
            f"{side}_kind",
            Type.STRING,
            Role.KEY,
            Merge.KEY,
            Stage.COLLECTOR,
            f"what the {who} is: pod, node, service, aws, internet or unknown",
        ),
        named("namespace", f"namespace of the {who}'s pod or service"),
        named("workload", f"bare name of the workload that owns the {who}'s pod (a bare pod owns itself)"),
        named("workload_kind", "kind of that workload, such as Deployment, StatefulSet, CronJob or Pod"),
        named("pod", f"name of the {who}'s pod"),
        named("node", f"node the {who} runs on, or is"),
        named("zone", f"availability zone of the {who} (label topology.kubernetes.io/zone of its node)"),
        named("region", f"region of the {who}: its node's, or the one AWS publishes for its address"),
        named("aws_service", f"AWS service of the {who} as ip-ranges.json names it, the specific over AMAZON"),
        named(
            "named_by",
            f"how the {who} was named: pod_uid, pod_ip, node_ip, cluster_ip, aws_ranges, public_address, aws_dns (a name under "
            "amazonaws.com, for private addresses), of a host-network pod host_socket (the node's agent saw its socket's "
            "cgroup) or host_port (it declares the port), host_port_shared (several do: it stays the node), "
            "ambiguous (the address changed hands during the record), unknown",
            Role.PROVENANCE,
        ),
    )


_PHASES: Final = (
    ("syn", "before the connection was established"),
    ("established", "while it might still send data"),
    ("closing", "after its FIN"),
)

COLUMNS: Final[tuple[Column, ...]] = (
    Column("window_start_ns", Type.TIME, Role.TIME, Merge.MIN, Stage.AGENT, "start of the agent's window, inclusive", "ns"),
    Column("window_end_ns", Type.TIME, Role.TIME, Merge.MAX, Stage.AGENT, "end of the agent's window, exclusive", "ns"),
    Column("first_seen_ns", Type.TIME, Role.TIME, Merge.MIN, Stage.AGENT, "first packet counted in this record", "ns"),
    Column("last_seen_ns", Type.TIME, Role.TIME, Merge.MAX, Stage.AGENT, "last packet counted in this record", "ns"),
    _key("cluster", Type.STRING, "cluster of the reporting node"),
    _key("node", Type.STRING, "reporting node"),
    _key("pod_uid", Type.STRING, "UID of the local pod whose interface carried the packets", nullable=True),
    _key("reporter", Type.STRING, "which end the local pod is: client, server, or unknown"),
    Column(
        "role_source", Type.STRING, Role.PROVENANCE, Merge.KEY, Stage.AGENT,
        "how client and server were told apart: handshake, conntrack, listener, first_packet or unknown",
    ),
    _key("src_ip", Type.IP, "address of the initiator (of the local pod when reporter is unknown)"),
    _key("src_port", Type.U16, "the initiator's port; null when elided, which is always when the initiator is known", nullable=True),
    _key("dst_ip", Type.IP, "address of the server: the backend's, after destination NAT"),
    _key("dst_port", Type.U16, "port of the server: the backend's, after destination NAT; 0 for protocols without ports"),
    _key("protocol", Type.U8, "IP protocol number (IANA): 1 ICMP, 6 TCP, 17 UDP, 58 ICMPv6, 132 SCTP"),
    _key("service_ip", Type.IP, "address the client connected to when destination NAT changed it", nullable=True),
    _key("service_port", Type.U16, "port the client connected to when destination NAT changed it", nullable=True),
    _key("counted_in", Type.STRING, "flow: from a connection's own entry; overflow: from the second map, used while the first is full; other: edges of a "
        "pod beyond its node's budget, added up, whose far end is :: and looked up as __other__"),
    _sum("connections", "connections", "connections (TCP SYN, first packet of other protocols) opened in the window"),
    _sum("connections_established", "connections", "connections that the other end answered for the first time in the window"),
    _sum("bytes_forward", "bytes", "L3 bytes from initiator to server as seen at the pod's hook (a GSO super-packet counts once)"),
    _sum("bytes_reverse", "bytes", "L3 bytes from server to initiator as seen at the pod's hook"),
    _sum("packets_forward", "packets", "packets from initiator to server at the hook (a GSO super-packet is one)"),
    _sum("packets_reverse", "packets", "packets from server to initiator at the hook"),
    _sum("segments_forward", "segments", "packets on the wire from initiator to server, after segmentation"),
    _sum("segments_reverse", "segments", "packets on the wire from server to initiator, after segmentation"),
    _tcp("connection_attempts", "attempts", "connect() called by the reporting pod"),
    _tcp("connection_failures", "failures", "connections of the reporting end that ended without having been established"),
    _tcp("resets", "resets", "established connections that a RST ended, sent or received"),
    _tcp("connection_timeouts", "timeouts", "established connections that the reporting end gave up after no answer"),
    *(
        _tcp(f"retransmits_{phase}", "retransmits", f"segments the reporting end sent again {when}, as TcpRetransSegs counts")
        for phase, when in _PHASES
    ),
    *(_tcp(f"rtos_{phase}", "rtos", f"retransmission timeouts of the reporting end {when}") for phase, when in _PHASES),
    _tcp("connect_sum_us", "us", "sum of the times from SYN to established, of connections established in the window"),
    _tcp("connect_count", "count", "connections in connect_sum_us"),
    _tcp("rtt_min_us", "us", "least round-trip time the kernel knows of any connection", Merge.MIN),
    _tcp("rtt_sum_us", "us", "sum of the round-trip times measured last: one a window of a live connection, one at its end"),
    _tcp("rtt_count", "count", "samples in rtt_sum_us"),
    *(
        _tcp(f"rtt_bucket_{i:02d}", "rtt", f"round-trip times in bucket {i} of model.histogram")
        for i in range(BUCKETS)
    ),
    _tcp("drops", "drops", "packets of this record that the kernel dropped on this node, whatever the reason"),
    _ruled("policy_allowed", "packets that the policies at the reporting pod let pass; null where no policy decides"),
    _ruled("policy_denied", "packets that the policies at the reporting pod dropped; null where no policy decides"),
    _ruled("policy_would_deny", "packets that passed, and that enforcing would have dropped (audit); null where no policy decides"),
    *(
        Column(name, Type.STRING, Role.PROVENANCE, Merge.LAST, Stage.AGENT, doc, nullable=True)
        for name, doc in (
            ("allowed_by", "tier, policy and rule that let packets pass at the reporting pod, as model.plan.Reason.key"),
            ("denied_by", "tier, policy and rule that denied (or would have) at the reporting pod, as model.plan.Reason.key"),
        )
    ),
    *(
        Column(f"{side}_dns_name", Type.STRING, Role.PROVENANCE, Merge.LAST, Stage.AGENT, doc, nullable=True)
        for side, doc in (
            ("src", "name by which the initiator's address was looked up"),
            ("dst", "name by which the reporting pod (else another of its node) looked up the address it connected to"),
        )
    ),
    *_end("src", "initiator"),
    *_end("dst", "server"),
    _key("service_namespace", Type.STRING, "namespace of the Service the client connected to", nullable=True, stage=Stage.COLLECTOR),
    _key("service", Type.STRING, "name of the Service the client connected to", nullable=True, stage=Stage.COLLECTOR),
    _key(
        "category", Type.STRING, "where it goes: intra_zone, inter_zone, inter_region, aws, internet, node, service or "
        "unknown; null in records of a version that did not say", nullable=True, stage=Stage.COLLECTOR,
    ),
    _key("zone_pair", Type.STRING, "zone of the initiator > zone of the server", nullable=True, stage=Stage.COLLECTOR),
)  # fmt: skip

AGENT_COLUMNS: Final = tuple(c for c in COLUMNS if c.stage is Stage.AGENT)
"""What an agent sends, in wire order."""

MAY_BE_LEFT_OUT: Final = frozenset(c.name for c in AGENT_COLUMNS if c.nullable and c.role is not Role.KEY)
"""What an agent of an older version need not send: the server takes it as null. Keys are never left out."""

COLLECTOR_COLUMNS: Final = tuple(c for c in COLUMNS if c.stage is Stage.COLLECTOR)
"""What the collector adds."""

BY_NAME: Final = {c.name: c for c in COLUMNS}

EVIDENCE_REQUIRED: Final = (
    "src_ip",
    "dst_ip",
    "protocol",
    "dst_port",
    "first_seen_ns",
    "last_seen_ns",
    "connections",
    "bytes_forward",
    "bytes_reverse",
)
"""Columns that a bundle's flows.parquet must have; the rest are optional there."""
