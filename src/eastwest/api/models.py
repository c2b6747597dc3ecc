"""The shapes of the HTTP API: what the CLI prints with --json and what the console's types are generated from.

Unknown is null, never 0 or ''. Times are int64 nanoseconds since the Unix epoch unless a name says otherwise.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

EndKind = Literal["workload", "pod", "node", "service", "aws", "internet", "unknown"]


class Window(BaseModel):
    """The time range that was answered; `recorded` is true when it comes from an evidence bundle."""

    start_ns: int
    end_ns: int
    recorded: bool = False


class Loss(BaseModel):
    bytes: int
    packets: int


class HookReport(BaseModel):
    name: str
    state: Literal["on", "off", "refused"]
    reason: str | None = None
    columns: list[str] = Field(default_factory=list, description="columns that are unknown without this hook")


class NodeCoverage(BaseModel):
    """The books of one node over the window."""

    node: str
    state: Literal["reporting", "silent", "never"] = Field(
        description="silent: it reported once, but not for three of its windows"
    )
    last_window_end_ns: int | None
    hook_bytes: int | None
    hook_packets: int | None
    recorded_bytes: int | None
    recorded_packets: int | None
    lost: dict[str, Loss] = Field(default_factory=dict, description="declared losses by cause")
    unexplained_bytes: int | None = Field(description="hook - recorded - every declared cause; must be 0")
    unexplained_packets: int | None
    folded_edges: int = Field(0, description="edges beyond the node's budget that add up in __other__ of their pods")
    gaps_ns: list[tuple[int, int]] = Field(
        default_factory=list, description="windows inside the range without a report"
    )
    clock_skew_ns: int | None = None
    hooks: list[HookReport] = Field(default_factory=list)


class PodCoverage(BaseModel):
    """The books of one pod's interface over the window."""

    node: str
    namespace: str | None
    pod: str | None = Field(description="null when the inventory does not know the UID")
    pod_uid: str | None = Field(description="null: an interface whose pod was never known")
    interface: str
    hook_bytes: int
    hook_packets: int
    recorded_bytes: int
    recorded_packets: int
    lost: dict[str, Loss]
    unexplained_bytes: int
    unexplained_packets: int
    ratio: float


class WindowCoverage(BaseModel):
    """The books of one node for one window of its agent."""

    node: str
    window_start_ns: int
    window_end_ns: int
    clock_skew_ns: int
    folded_edges: int
    hook_bytes: int
    hook_packets: int
    recorded_bytes: int
    recorded_packets: int
    lost: dict[str, Loss]
    unexplained_bytes: int
    unexplained_packets: int
    ratio: float


class Coverage(BaseModel):
    """How much of what happened is in the data. `ratio` is recorded/hook bytes, null when nothing was reported."""

    window: Window
    complete: bool
    ratio: float | None
    hook_bytes: int | None
    recorded_bytes: int | None
    lost: dict[str, Loss] = Field(default_factory=dict)
    unexplained_bytes: int | None
    unexplained_packets: int | None
    nodes: list[NodeCoverage]
    sentences: list[str] = Field(description="what is missing and why, in words, worst first; empty when complete")
    pods: list[PodCoverage] | None = Field(None, description="with by=pod: the worst first")
    windows: list[WindowCoverage] | None = Field(None, description="with by=window: the newest first")


class MapNode(BaseModel):
    id: str
    kind: EndKind
    namespace: str | None
    name: str = Field(description="the bare workload or pod name, node name, AWS service, or address group")
    zone: str | None = Field(description="null when unknown or when a workload spans several")
    workload: str | None = None
    workload_kind: str | None = None
    region: str | None = None
    pods: int | None = Field(None, description="pods seen behind a workload in this window")


class TcpHealth(BaseModel):
    """How the connections of an edge fared; null where no hook of the node says (see coverage: hooks).

    Retransmissions, timeouts and drops are those of both ends; the rest is the reporting end's.
    """

    connection_attempts: int | None = None
    connection_failures: int | None = Field(None, description="ended without having been established")
    resets: int | None = Field(None, description="established connections that a RST ended, sent or received")
    connection_timeouts: int | None = Field(None, description="established connections given up after no answer")
    retransmits: int | None = Field(None, description="segments sent again, all phases")
    retransmits_syn: int | None = None
    retransmits_established: int | None = None
    retransmits_closing: int | None = None
    rtos: int | None = Field(None, description="retransmission timeouts, all phases")
    rtos_syn: int | None = None
    rtos_established: int | None = None
    rtos_closing: int | None = None
    connect_mean_us: float | None = Field(None, description="SYN to established")
    rtt_min_us: int | None = None
    rtt_mean_us: float | None = None
    rtt_p50_us: float | None = Field(None, description="from a histogram: within a factor of 2")
    rtt_p99_us: float | None = None
    drops: int | None = Field(None, description="packets of any protocol that the kernel dropped on the ends' nodes")


class PricesUsed(BaseModel):
    """The table behind every amount of an answer: flat rates, so an estimate. Check it against your bill."""

    name: str
    as_of: date = Field(description="the day the table speaks of")
    source: str = Field(description="where its figures come from")
    currency: str


class Cost(BaseModel):
    """An amount in the currency of the answer's `prices`. Where only a part has a price, it is the cost of that part."""

    cost: float | None = Field(None, description="null when nothing of it has a known price")
    unpriced_bytes: int = Field(0, description="L3 bytes that are not in `cost` because their price is not known")
    unpriced_reason: Literal["no_price_table", "end_unknown", "zone_unknown", "region_unknown"] | None = Field(
        None, description="why, for most of unpriced_bytes; null when all is priced"
    )


class Verdict(BaseModel):
    """What the policies did to an edge; all null where no end's node decides (enforcement off or refused).

    Counts are those of both ends added up: what egress denied never reached ingress.
    """

    verdict: Literal["denied", "partly", "would_deny", "allowed"] | None = Field(
        None, description="denied: nothing passed some end; partly: some did; would_deny: audit; null: nobody decided"
    )
    policy_allowed: int | None = Field(None, description="packets")
    policy_denied: int | None = Field(None, description="packets")
    policy_would_deny: int | None = Field(None, description="packets that audit let pass")
    egress_denied_by: str | None = Field(None, description="tier, policy and rule, or isolation; the last of the range")
    ingress_denied_by: str | None = None
    egress_allowed_by: str | None = None
    ingress_allowed_by: str | None = None
    missing: str | None = Field(None, description="the rule that is missing, end by end, in words")


class MapEdge(TcpHealth, Verdict, Cost):
    """One edge per (source, target, protocol, dst_port); source is the initiator, dst_port the backend's."""

    source: str
    target: str
    protocol: str
    dst_port: int
    service: str | None
    service_namespace: str | None = None
    service_port: int | None
    bytes_forward: int
    bytes_reverse: int
    packets_forward: int
    packets_reverse: int
    segments_forward: int
    segments_reverse: int
    connections: int
    connections_established: int
    first_seen_ns: int
    last_seen_ns: int
    reporter: Literal["client", "server", "unknown"] = Field(description="whose report the figures are")
    role_source: str
    category: str | None = Field(None, description="as in FlowRow; null when several are behind the edge")
    dst_dns_name: str | None = Field(None, description="a name by which the target was looked up")


class ServiceMap(BaseModel):
    window: Window
    level: Literal["workload", "pod"]
    nodes: list[MapNode]
    edges: list[MapEdge]
    coverage: Coverage
    prices: PricesUsed | None = None


class FlowRow(TcpHealth, Verdict, Cost):
    """One row of the flow table: an edge between two pods or external ends in the window."""

    src_kind: str
    src_namespace: str | None
    src_workload: str | None
    src_workload_kind: str | None
    src_pod: str | None
    src_node: str | None
    src_zone: str | None
    src_region: str | None
    src_aws_service: str | None
    src_dns_name: str | None
    src_ip: str
    src_named_by: str | None
    dst_kind: str
    dst_namespace: str | None
    dst_workload: str | None
    dst_workload_kind: str | None
    dst_pod: str | None
    dst_node: str | None
    dst_zone: str | None
    dst_region: str | None
    dst_aws_service: str | None
    dst_dns_name: str | None
    dst_ip: str
    dst_named_by: str | None
    protocol: str
    dst_port: int
    service_namespace: str | None
    service: str | None
    service_ip: str | None
    service_port: int | None
    category: str | None
    zone_pair: str | None = Field(description="zone of the initiator > zone of the server")
    reporter: str
    role_source: str
    connections: int
    connections_established: int
    bytes_forward: int
    bytes_reverse: int
    packets_forward: int
    packets_reverse: int
    segments_forward: int
    segments_reverse: int
    wire_bytes_forward: int = Field(description="derived: L2 frames after segmentation, without preamble and FCS")
    wire_bytes_reverse: int
    first_seen_ns: int
    last_seen_ns: int


class FlowPage(BaseModel):
    window: Window
    rows: list[FlowRow]
    next_cursor: str | None
    total: int | None = Field(None, description="rows in the whole answer, when known")
    prices: PricesUsed | None = None


class TopRow(Cost):
    """`cost` is what this end pays: all pods together pay what all edges cost."""

    namespace: str | None
    name: str
    kind: str
    bytes: int
    packets: int
    connections: int
    bytes_sent: int
    bytes_received: int


class Top(BaseModel):
    window: Window
    by: Literal["pod", "workload", "namespace"]
    metric: Literal["bytes", "packets", "connections", "cost"]
    rows: list[TopRow]
    prices: PricesUsed | None = None


class CostGroup(Cost):
    """The edges of one category, or between two zones (initiator's > server's)."""

    name: str
    bytes: int


class Costs(Cost):
    """What a window cost, by flat rates: an estimate."""

    window: Window
    prices: PricesUsed | None = Field(description="null when the server has no price table")
    by: Literal["pod", "workload", "namespace"]
    bytes: int
    categories: list[CostGroup] = Field(description="dearest first; every edge is in one of them")
    zone_pairs: list[CostGroup] = Field(description="dearest first; edges whose two zones are known")
    rows: list[TopRow] = Field(description="who pays, most first")


class LookupRow(BaseModel):
    """Whose lookups failed."""

    namespace: str | None
    name: str = Field(description="the workload; the pod's UID where the inventory does not know it")
    kind: str | None
    lookups: int
    errors: int = Field(description="every outcome but NOERROR")
    outcomes: dict[str, int]


class LookupSummary(BaseModel):
    """What pods asked DNS, and what became of it. NXDOMAIN is often a search path at work."""

    lookups: int | None = Field(description="null where no agent's DNS hook is on")
    errors: int | None
    outcomes: dict[str, int] = Field(description="by response code; no_answer where none came")
    rows: list[LookupRow] = Field(description="most errors first, at most 10; only workloads with errors")


class Overview(BaseModel):
    """A range in one look. Sums are over the edges of the flow table; null where no hook of any node tells."""

    window: Window
    edges: int
    bytes: int
    connections: int
    connections_established: int
    connection_failures: int | None
    resets: int | None
    retransmits: int | None
    rtos: int | None
    segments: int
    drops: int | None
    policy_allowed: int | None
    policy_denied: int | None
    policy_would_deny: int | None
    denied_edges: int
    would_deny_edges: int
    dns: LookupSummary


class FilterIssue(BaseModel):
    """Why a filter was not understood: `position` and `end` are character offsets, end exclusive."""

    message: str
    position: int
    end: int


class FilterCheck(BaseModel):
    """Answer of /api/v1/filter/complete: lint and completions at the cursor."""

    error: FilterIssue | None
    completions: list[str]
    replace_from: int = Field(description="offset where a completion replaces text up to the cursor")


class Problem(BaseModel):
    """RFC 9457 problem details; `parameter` names what to change."""

    title: str
    detail: str
    status: int
    parameter: str | None = None
    position: int | None = None
    end: int | None = None


class StoreHealth(BaseModel):
    ready: bool
    engine: str
    restarts: int = Field(description="times the store's process was started again after it died")
    rows: int | None = None
    disk_bytes: int | None = None


class AwsRangesUsed(BaseModel):
    source: str
    created_s: float = Field(description="when Amazon made them, Unix time")
    prefixes: int
    complaint: str | None = Field(description="why the newest copy is not in use; null when all is well")


class Health(BaseModel):
    """200 with ok, 503 with anything else."""

    status: Literal["ok", "starting", "degraded"]
    version: str
    started_ns: int
    recorded: bool = Field(description="the server plays an evidence bundle and takes no new flows")
    store: StoreHealth
    last_batch_ns: int | None = Field(None, description="when the newest accepted batch arrived; null before the first")
    aws_ranges: AwsRangesUsed | None = Field(None, description="what addresses of AWS services are named by")
    reasons: list[str] = Field(default_factory=list, description="why the status is not ok")


class InventoryNode(BaseModel):
    name: str
    zone: str | None
    region: str | None
    ips: list[str]


class InventoryPort(BaseModel):
    port: int
    protocol: str
    name: str | None = None
    target_port: int | str | None = None


class InventoryService(BaseModel):
    namespace: str
    name: str
    type: str
    cluster_ips: list[str]
    ports: list[InventoryPort]


class InventoryPod(BaseModel):
    namespace: str
    name: str
    uid: str | None
    workload: str
    workload_kind: str
    node: str | None
    zone: str | None
    ips: list[str]
    host_network: bool
    phase: str | None


class InventoryWorkload(BaseModel):
    namespace: str
    kind: str
    name: str
    pods: int


class Inventory(BaseModel):
    """The cluster's objects as the server knows them at `as_of_ns`."""

    as_of_ns: int
    source: str = Field(description="where the objects come from: manifests, lab, bundle or none")
    namespaces: list[str]
    nodes: list[InventoryNode]
    workloads: list[InventoryWorkload]
    pods: list[InventoryPod]
    services: list[InventoryService]


class LiveEvent(BaseModel):
    """One server-sent event (`event: flows`): new records became visible; fetch again what is shown."""

    window_end_ns: int = Field(description="end of the newest window received so far")
    rows: int = Field(description="records that became visible since the last event")
    batches: int
    nodes: int = Field(description="nodes that sent them")


class Login(BaseModel):
    token: str


class Session(BaseModel):
    """Whether this server asks for a token, and whether the caller already has one."""

    token_required: bool
    signed_in: bool


class PolicyBeyond(BaseModel):
    """A permission that no recorded connection used, and why it is there."""

    reason: Literal["dns-tcp", "probe", "cidr-widening", "declared"]
    permission: str


class PolicyRule(BaseModel):
    """One generated rule and the connections it rests on."""

    direction: Literal["ingress", "egress"]
    peer: str
    ports: list[str]
    connections: int
    first_seen_ns: int | None
    last_seen_ns: int | None
    beyond: list[PolicyBeyond]


class PolicyText(BaseModel):
    name: str = Field(description="namespace/name")
    yaml: str


class PolicyChange(BaseModel):
    """What the generated policies permit otherwise than the current ones, seen from one workload."""

    change: Literal["added", "removed"]
    direction: Literal["ingress", "egress"]
    peers: list[str] = Field(description="workloads as namespace/name[Kind], outside ends as CIDRs; at most 50")
    more_peers: int
    ports: str
    sentence: str


class WorkloadPolicy(BaseModel):
    """What is known of one workload, and the policies that select it."""

    namespace: str
    kind: str
    name: str
    learning: Literal["ready", "partial", "gaps", "not-run"]
    learning_text: str
    watched_seconds: float
    pods: int
    started: int = Field(description="pods that started inside the range")
    gaps: list[str] = Field(description="what the record lacks, in words")
    not_observed: list[Literal["ingress", "egress"]]
    generated: PolicyText | None
    current: list[PolicyText]
    changes: list[PolicyChange]
    rules: list[PolicyRule]


class PolicyDenied(BaseModel):
    """Recorded connections between two ends that the policies would deny."""

    src: str
    dst: str
    protocol: str
    dst_port: int
    connections: int
    reason: str
    missing_rule: str = Field(description="YAML ready to apply; empty where no NetworkPolicy can say it")


class PolicyUnused(BaseModel):
    """A permission that no recorded connection used: a rule, or one port of it."""

    policy: str
    direction: Literal["ingress", "egress"]
    rule: int
    port: str | None
    reason: str


class PolicyReplay(BaseModel):
    """Every recorded connection through a set of policies. `attempts` were never answered: nothing breaks."""

    flows: int = Field(description="flow records")
    connections: int = Field(description="distinct connections")
    allowed: int
    denied: list[PolicyDenied]
    attempts: list[PolicyDenied]
    unused: list[PolicyUnused]
    skipped: dict[str, int] = Field(description="distinct connections that could not be judged, by reason")


class PolicyLeftOut(BaseModel):
    reason: str
    src: str
    dst: str
    protocol: str
    dst_port: int
    connections: int


class Policies(BaseModel):
    """Policies generated from a range beside those in force. `replay` is of the generated ones over the same range."""

    window: Window
    workloads: list[WorkloadPolicy]
    default_deny: list[PolicyText]
    replay: PolicyReplay
    gaps: list[str] = Field(
        description="why `eastwest policy generate` refuses without --accept-gaps; empty = it does not"
    )
    beyond: dict[str, int] = Field(description="permissions beyond what was seen, by reason")
    left_out: list[PolicyLeftOut] = Field(description="traffic that makes no rule")
    indistinguishable: list[str] = Field(description="workloads that no label tells apart")
    skipped_namespaces: list[str] = Field(description="without any traffic, so left as they are")


class PolicyEdge(BaseModel):
    """What the policies do to an edge of the service map: the same source, target, protocol and dst_port."""

    source: str
    target: str
    protocol: str
    dst_port: int
    state: Literal["allowed", "denied", "attempt", "unknown"] = Field(
        description="attempt: denied, but nobody ever answered; unknown: it cannot be judged"
    )
    connections: int = Field(description="how many of the edge's connections the state speaks of")
    reason: str
    missing_rule: str


class PolicyEffect(BaseModel):
    window: Window
    set: Literal["current", "generated"]
    level: Literal["workload", "pod"]
    policies: int = Field(description="NetworkPolicies and ClusterNetworkPolicies of the set; 0 allows everything")
    edges: list[PolicyEdge]
    unused: list[PolicyUnused]
