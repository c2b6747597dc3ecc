"""Everything a store can be asked. Answers are Arrow tables; each question says which columns.

A record belongs to the range that its agent window began in, so that adjacent ranges never count a record twice.
An *edge* is what both ends' reports of one traffic relation become: one row per (cluster, source address and pod,
destination address and pod, protocol, server port), read from the client's reports if there are any in the range, else
the server's, else those that could not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eastwest.model.prices import PriceTable
from eastwest.store.predicates import EVERYTHING, Predicate

Level = Literal["workload", "pod"]
By = Literal["pod", "workload", "namespace"]
Metric = Literal["bytes", "packets", "connections", "cost"]


@dataclass(frozen=True, slots=True)
class Range:
    """[start_ns, end_ns)."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class After:
    """Resume below a row: its value in the sort column and its edge_id."""

    value: str | int
    edge_id: str


@dataclass(frozen=True, slots=True)
class Flows:
    """Edges as rows: all columns of an edge, `edge_id`, `total` (rows of the whole answer, from the first page on), and
    by `prices` cost, unpriced_bytes and unpriced_reason."""

    range: Range
    where: Predicate = EVERYTHING
    sort: str = "bytes_forward"
    descending: bool = True
    limit: int = 100
    after: After | None = None
    prices: PriceTable | None = None


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges summed between workloads or pods: for src and dst each the parts of an end's identity, then the sums."""

    range: Range
    level: Level = "workload"
    where: Predicate = EVERYTHING
    prices: PriceTable | None = None


@dataclass(frozen=True, slots=True)
class Talkers:
    """namespace, name, kind, bytes, packets, connections, bytes_sent, bytes_received, and by `prices` what this end pays:
    cost, unpriced_bytes, unpriced_reason; most of `metric` first."""

    range: Range
    by: By = "pod"
    metric: Metric = "bytes"
    where: Predicate = EVERYTHING
    limit: int = 20
    prices: PriceTable | None = None


@dataclass(frozen=True, slots=True)
class Costs:
    """Per (category, zone_pair): bytes, cost, unpriced_bytes, unpriced_reason. Every edge is in exactly one row."""

    range: Range
    where: Predicate = EVERYTHING
    prices: PriceTable | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """The distinct values of a text column in the range that contain `part`, most frequent first: `word`."""

    range: Range
    column: str
    part: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Records:
    """The stored records themselves, every column of the schema, for an evidence bundle."""

    range: Range
    limit: int = 5_000_000


@dataclass(frozen=True, slots=True)
class NodeBooks:
    """Per (cluster, node) with a batch in the range: sums of the books, losses by cause, newest hooks, skew; and of the windows
    that waited for the server (`late_`): how many, from when to when, the longest wait."""

    range: Range


@dataclass(frozen=True, slots=True)
class PodBooks:
    """Per (cluster, node, pod_uid, interface): sums of the books and losses by cause, those with the greatest loss first.
    pod_uid is '' where the pod was never known. `lost` and `unseen` are (causes, bytes, packets)."""

    range: Range
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class WindowBooks:
    """Per (cluster, node, window): its books, losses by cause and skew, newest first."""

    range: Range
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class NodeHistory:
    """Per (cluster, node) ever seen: first_window_start_ns, last_window_end_ns, window_ns (the usual length)."""


@dataclass(frozen=True, slots=True)
class NodeGaps:
    """Per (cluster, node): stretches within the range that no batch covers, longer than `tolerance_ns`."""

    range: Range
    tolerance_ns: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class KnownBatches:
    """Names of all batches kept: cluster, node, boot_id, seq."""


@dataclass(frozen=True, slots=True)
class Extent:
    """One row: first_ns, last_ns (of windows; null when empty), rows, disk_bytes."""


@dataclass(frozen=True, slots=True)
class Denials:
    """What pods of some namespaces denied, or would have: source, target, protocol, dst_port, reason, namespace and
    decided_on (node) of the pod that decided, src_address and dst_address (one of them), denied and would_deny (packets),
    opened (connections), last_ns.

    Ends are workloads as `ns/name[Kind]`; outside ends are put together as far as a rollout needs (see store.denials).
    """

    range: Range
    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Established:
    """What was let through before: source, target, protocol, dst_port as in `Denials`, answered (connections), last_ns.

    Connections that the other end answered, or that are older than the range and carry data both ways, with a pod of
    `namespaces` at one end, and that no policy denied or would have denied. Only for servers' ports in `ports`.
    """

    range: Range
    namespaces: tuple[str, ...]
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TcpSums:
    """One row: segments, retransmits, attempts, failures of the pods of some namespaces, without connections between
    ends that a policy denied in the range. Null where no hook tells."""

    range: Range
    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """One row: edges, bytes, connections, TCP health, drops and verdicts of all edges, denied_edges, would_deny_edges."""

    range: Range
    where: Predicate = EVERYTHING


@dataclass(frozen=True, slots=True)
class History:
    """Per `step` (when it began, at multiples of step_ns; whole minutes for ranges of 10 minutes and more) with anything
    in it: the columns of Totals, and `batches`, the agents' windows that began in it."""

    range: Range
    step_ns: int
    where: Predicate = EVERYTHING


@dataclass(frozen=True, slots=True)
class Lookups:
    """Per (pod_uid, outcome): lookups, of the questions that pods asked themselves; from agents whose DNS hook is on."""

    range: Range


Question = (
    Flows
    | Totals
    | History
    | Lookups
    | Edges
    | Talkers
    | Costs
    | Words
    | Records
    | NodeBooks
    | PodBooks
    | WindowBooks
    | NodeHistory
    | NodeGaps
    | KnownBatches
    | Extent
    | Denials
    | Established
    | TcpSums
)
