# ruff: noqa: S608 - column and table names come from the schema, every value is bound
"""Every question as one statement."""

from __future__ import annotations

from typing import Final

from eastwest.model.schema import COLUMNS, Stage, Type
from eastwest.store import denials, hosts
from eastwest.store.costs import sort_key, sums, with_costs
from eastwest.store.edges import EDGE_COLUMNS, EDGE_SUMS, edges
from eastwest.store.questions import (
    Costs,
    Denials,
    Edges,
    Established,
    Extent,
    Flows,
    History,
    KnownBatches,
    Lookups,
    NodeBooks,
    NodeGaps,
    NodeHistory,
    PodBooks,
    Question,
    Range,
    Records,
    Talkers,
    TcpSums,
    Totals,
    WindowBooks,
    Words,
)
from eastwest.store.source import Scope, relation
from eastwest.store.statement import Binder, Statement
from eastwest.store.summary import history, lookups, totals
from eastwest.store.verdicts import of_many
from eastwest.store.where import column, condition, type_of

PODS_LISTED: Final = 10_000
"""Pods named per edge in an answer to Edges; more are not told apart."""


def statement(question: Question, scope: Scope) -> Statement:
    """The SQL for `question`."""
    binder = Binder()
    match question:
        case Flows():
            sql = _flows(question, scope, binder)
        case Edges():
            sql = _edges(question, scope, binder)
        case Talkers():
            sql = _talkers(question, scope, binder)
        case Costs():
            sql = _costs(question, scope, binder)
        case Totals():
            sql = totals(question, scope, binder)
        case History():
            sql = history(question, scope, binder)
        case Lookups():
            sql = lookups(question, binder)
        case Words():
            sql = _words(question, scope, binder)
        case Records():
            sql = _records(question, binder)
        case NodeBooks():
            sql = _node_books(question, binder)
        case PodBooks():
            sql = _pod_books(question, binder)
        case WindowBooks():
            sql = _window_books(question, binder)
        case NodeHistory():
            sql = _NODE_HISTORY
        case NodeGaps():
            sql = _node_gaps(question, binder)
        case KnownBatches():
            sql = "SELECT cluster, node, boot_id, seq FROM batches"
        case Extent():
            sql = _EXTENT
        case Denials():
            sql = denials.denials(question, binder)
        case Established():
            sql = denials.established(question, scope, binder)
        case TcpSums():
            sql = denials.tcp_sums(question, binder)
    return Statement(sql, binder.parameters)


def doubts(range_: Range, scope: Scope) -> Statement:
    """One row `unsure`, `unnamed`, `hosted`: whether the range holds what Scope asks."""
    binder = Binder()
    reports = relation(range_, ["reporter", "src_kind", "dst_kind", "src_named_by", "dst_named_by"], scope, binder)
    sql = f"""SELECT max(reporter = 'unknown') AS unsure, max(src_kind = 'unknown' OR dst_kind = 'unknown') AS unnamed,
  max(ifNull(src_named_by IN {hosts.KNOWN} OR dst_named_by IN {hosts.KNOWN}, 0)) AS hosted
FROM {reports}"""
    return Statement(sql, binder.parameters)


def _records(question: Records, binder: Binder) -> str:
    """Always in the same order, so that equal evidence is equal to the byte."""
    columns = ", ".join(c.name for c in COLUMNS)
    order = ", ".join(c.name for c in COLUMNS if c.stage is Stage.AGENT)
    limit = binder.integer(question.limit)
    return f"SELECT {columns} FROM flows WHERE {_within(question, binder)} ORDER BY {order} LIMIT {limit}"


def _within(question: Records | NodeBooks | PodBooks | WindowBooks, binder: Binder) -> str:
    start, end = binder.integer(question.range.start_ns), binder.integer(question.range.end_ns)
    return f"window_start_ns >= {start} AND window_start_ns < {end}"


def _sort_key(name: str) -> tuple[str, str]:
    """(expression that is never NULL, its type for a bound value)."""
    if name == "cost":
        return sort_key(name), "UInt64"
    match type_of(name):
        case Type.STRING:
            return f"ifNull({column(name)}, '')", "String"
        case Type.IP:
            return f"ifNull({column(name)}, toIPv6('::'))", "IPv6"
        case Type.TIME:
            return f"ifNull({column(name)}, 0)", "Int64"
        case _:
            return f"toUInt64(ifNull({column(name)}, 0))", "UInt64"


def _flows(question: Flows, scope: Scope, binder: Binder) -> str:
    key, key_type = _sort_key(question.sort)
    way, beyond = ("DESC", "<") if question.descending else ("ASC", ">")
    inner = _priced(question, scope, binder)
    after = "1"
    if question.after is not None:
        value, edge = binder.bind(question.after.value, key_type), binder.bind(question.after.edge_id, "String")
        after = f"(sort_key, edge_id) {beyond} ({value}, {edge})"
    names = ", ".join(n for n in EDGE_COLUMNS if n != "rank")
    return f"""SELECT * FROM (
SELECT {names}, cost, if(isNull(cost), bytes_forward + bytes_reverse, 0) AS unpriced_bytes, unpriced_reason, {key} AS sort_key, count() OVER () AS total FROM {inner} WHERE {condition(question.where, binder)}
) WHERE {after} ORDER BY sort_key {way}, edge_id {way} LIMIT {binder.integer(question.limit)}"""


def _address(side: str) -> str:
    """Text of an address; a mapped one as IPv4."""
    return rf"replaceRegexpOne(toString({side}_ip), '^::ffff:(\\d+\\.\\d+\\.\\d+\\.\\d+)$', '\\1')"


def _end(side: str, level: str) -> str:
    """The parts of an end's identity on the map: kind, namespace, name, workload_kind, region."""
    owned = f"{side}_kind = 'pod' AND isNotNull({side}_workload)" if level == "workload" else "0"
    pod_name = f"{side}_workload" if level == "workload" else f"{side}_pod"
    inside = f"{side}_kind IN ('pod', 'service')"
    return f"""if({owned}, 'workload', toString({side}_kind)) AS source_kind,
  if({inside}, toString(ifNull({side}_namespace, '')), '') AS source_namespace,
  if({owned}, toString(ifNull({side}_workload_kind, '')), '') AS source_workload_kind,
  if({side}_kind = 'aws', toString(ifNull({side}_region, '')), '') AS source_region,
  toString(multiIf(
    {owned}, {pod_name}, {side}_kind = 'pod', ifNull({side}_pod, {_address(side)}),
    {side}_kind = 'node', ifNull({side}_node, {_address(side)}),
    {side}_kind = 'service', ifNull(service, {_address(side)}),
    {side}_kind = 'aws', ifNull({side}_aws_service, {_address(side)}),
    {side}_dns_name = '__other__', '__other__', {side}_kind = 'internet', ifNull({side}_dns_name, {_address(side)}),
    {_address(side)})) AS source_name""".replace("source_", "source_" if side == "src" else "target_")


_END_PARTS: Final = tuple(
    f"{end}_{part}" for end in ("source", "target") for part in ("kind", "namespace", "workload_kind", "region", "name")
)


def _known(side: str, end: str, level: str) -> str:
    """What else an edge knows of one end: its pods (behind a workload) or owner (of a pod), and its zones' extremes."""
    zones = f"min(e.{side}_zone) AS {end}_first_zone, max(e.{side}_zone) AS {end}_last_zone"
    if level == "workload":
        return f"groupUniqArray({PODS_LISTED})(e.{side}_pod) AS {end}_pods, {zones}"
    owner = f"any(e.{side}_workload) AS {end}_owner, any(e.{side}_workload_kind) AS {end}_owner_kind"
    return f"{owner}, {zones}"


def _edges(question: Edges, scope: Scope, binder: Binder) -> str:
    inner = _priced(question, scope, binder)
    ends = f"{_end('src', question.level)},\n  {_end('dst', question.level)}"
    keys = ", ".join((*_END_PARTS, "protocol", "dst_port"))
    added = ", ".join(f"sum(e.{n}) AS {n}" for n in EDGE_SUMS)
    known = f"{_known('src', 'source', question.level)}, {_known('dst', 'target', question.level)}"
    return f"""SELECT {keys}, {added}, {sums("e.cost", "e.bytes_forward + e.bytes_reverse")}, min(e.first_seen_ns) AS first_seen_ns, max(e.last_seen_ns) AS last_seen_ns, {known},
  argMax(tuple(e.service_namespace, e.service, e.service_port), (isNotNull(e.service_ip), e.bytes_forward)) AS via,
  min(e.rtt_min_us) AS rtt_min_us, if(uniqExact(e.category) = 1, any(e.category), NULL) AS category,
  max(e.dst_dns_name) AS dst_dns_name, argMin(e.reporter, e.rank) AS reporter, argMin(e.role_source, e.rank) AS role_source,
  {of_many()}
FROM (SELECT *, {ends} FROM {inner} WHERE {condition(question.where, binder)}) AS e GROUP BY {keys}"""


def _talkers(question: Talkers, scope: Scope, binder: Binder) -> str:
    inner = _priced(question, scope, binder)
    name = {"pod": "pod", "workload": "workload", "namespace": "namespace"}[question.by]
    kind = {"pod": "'pod'", "workload": "ifNull({side}_workload_kind, '')", "namespace": "'namespace'"}[question.by]

    def side(end: str, sent: str, received: str) -> str:
        space = f"ifNull({end}_namespace, '')"
        return (
            f"tuple(toString({space}), toString(ifNull({end}_{name}, '')), toString({kind.format(side=end)}), "
            f"{sent}, {received}, {end}_kind = 'pod', cost_{end})"
        )

    ends = f"[{side('src', 'bytes_forward', 'bytes_reverse')}, {side('dst', 'bytes_reverse', 'bytes_forward')}]"
    # A namespace (or workload) talking to itself counts each connection once.
    distinct = "arrayDistinct(arrayMap(x -> (x.1, x.2, x.3), ends))"
    return f"""SELECT nullIf(end.1, '') AS namespace, end.2 AS name, nullIf(end.3, '') AS kind,
  sum(end.4) AS bytes_sent, sum(end.5) AS bytes_received,
  sum(byte_share) AS bytes, sum(packet_share) AS packets, sum(connection_share) AS connections,
  {sums("end.7", "byte_share")}
FROM (
  SELECT {ends} AS ends, length({distinct}) = 1 AND src_kind = 'pod' AND dst_kind = 'pod' AS twice,
    bytes_forward + bytes_reverse AS b, packets_forward + packets_reverse AS p, connections AS c, unpriced_reason
  FROM {inner} WHERE {condition(question.where, binder)}
)
ARRAY JOIN ends AS end, if(twice, [b, 0], [b, b]) AS byte_share, if(twice, [p, 0], [p, p]) AS packet_share,
  if(twice, [c, 0], [c, c]) AS connection_share
WHERE end.6 AND end.2 != ''
GROUP BY namespace, name, kind ORDER BY {question.metric} DESC NULLS LAST, name LIMIT {binder.integer(question.limit)}"""


def _costs(question: Costs, scope: Scope, binder: Binder) -> str:
    inner = _priced(question, scope, binder)
    return f"""SELECT e.category AS category, e.zone_pair AS zone_pair, sum(e.bytes_forward + e.bytes_reverse) AS bytes,
  {sums("e.cost", "e.bytes_forward + e.bytes_reverse")}
FROM (SELECT * FROM {inner} WHERE {condition(question.where, binder)}) AS e GROUP BY category, zone_pair"""


def _priced(question: Flows | Edges | Talkers | Costs, scope: Scope, binder: Binder) -> str:
    """The edges of a question with what they cost."""
    return with_costs(edges(question.range, question.where, scope, binder), question.prices, binder)


def _words(question: Words, scope: Scope, binder: Binder) -> str:
    name = column(question.column)
    reports = relation(question.range, [name], scope, binder, [f"isNotNull({name})", f"{name} != ''"])
    part = binder.bind(question.part, "String")
    return f"""SELECT toString({name}) AS word FROM {reports} WHERE positionCaseInsensitive(toString({name}), {part}) > 0
GROUP BY word ORDER BY count() DESC, word LIMIT {binder.integer(question.limit)}"""


def _node_books(question: NodeBooks, binder: Binder) -> str:
    return f"""SELECT cluster, node, count() AS batches, sum(b.records) AS records,
  sum(b.hook_bytes) AS hook_bytes, sum(b.hook_packets) AS hook_packets,
  sum(b.recorded_bytes) AS recorded_bytes, sum(b.recorded_packets) AS recorded_packets,
  sum(b.folded_edges) AS folded_edges, sumMap(b.lost_causes, b.lost_bytes, b.lost_packets) AS lost,
  sumMap(b.shipping_causes, b.shipping_bytes, b.shipping_packets) AS shipping,
  max(b.window_end_ns) AS last_window_end_ns, argMax(b.hooks, b.window_end_ns) AS hooks,
  argMax(b.sent_at_ns - b.received_at_ns, b.received_at_ns) AS skew_ns
FROM batches AS b WHERE {_within(question, binder)} GROUP BY cluster, node ORDER BY cluster, node"""


_AMOUNT: Final = "Tuple(bytes Int64, packets Int64)"
_BOOK: Final = (
    f"Tuple(pod_uid String, interface String, hook {_AMOUNT}, recorded {_AMOUNT}, "
    f"lost Map(String, {_AMOUNT}), unseen Map(String, {_AMOUNT}))"
)


def _causes(name: str) -> str:
    values = f"mapValues(book.{name})"
    return f"sumMap(mapKeys(book.{name}), tupleElement({values}, 1), tupleElement({values}, 2)) AS {name}"


def _pod_books(question: PodBooks, binder: Binder) -> str:
    sums = ", ".join(
        f"sum(book.{what}.{unit}) AS {what}_{unit}" for what in ("hook", "recorded") for unit in ("bytes", "packets")
    )
    return f"""SELECT cluster, node, book.pod_uid AS pod_uid, book.interface AS interface, {sums},
  {_causes("lost")}, {_causes("unseen")}
FROM (
  SELECT cluster, node, arrayJoin(JSONExtract(books, 'Array({_BOOK})')) AS book
  FROM batches WHERE {_within(question, binder)}
)
GROUP BY cluster, node, pod_uid, interface
ORDER BY arraySum(unseen.2) + abs(hook_bytes - recorded_bytes) DESC, cluster, node, pod_uid, interface
LIMIT {binder.integer(question.limit)}"""


def _window_books(question: WindowBooks, binder: Binder) -> str:
    return f"""SELECT cluster, node, window_start_ns, window_end_ns, hook_bytes, hook_packets, recorded_bytes, recorded_packets,
  tuple(lost_causes, lost_bytes, lost_packets) AS lost,
  tuple(shipping_causes, shipping_bytes, shipping_packets) AS shipping, sent_at_ns - received_at_ns AS skew_ns,
  folded_edges
FROM batches WHERE {_within(question, binder)}
ORDER BY window_start_ns DESC, cluster, node LIMIT {binder.integer(question.limit)}"""


_NODE_HISTORY: Final = """SELECT cluster, node, min(b.window_start_ns) AS first_window_start_ns,
  max(b.window_end_ns) AS last_window_end_ns, toInt64(median(b.window_end_ns - b.window_start_ns)) AS window_ns
FROM batches AS b GROUP BY cluster, node ORDER BY cluster, node"""


def _node_gaps(question: NodeGaps, binder: Binder) -> str:
    """The end of one stretch of windows to the start of the next, over the whole history of a node."""
    start, end = binder.integer(question.range.start_ns), binder.integer(question.range.end_ns)
    return f"""SELECT cluster, node, greatest(covered_to, {start}) AS gap_start_ns, least(window_start_ns, {end}) AS gap_end_ns
FROM (
  SELECT cluster, node, window_start_ns,
    max(window_end_ns) OVER (PARTITION BY cluster, node ORDER BY window_start_ns, window_end_ns
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered_to
  FROM batches WHERE window_end_ns > {start} - 3600000000000
)
WHERE covered_to > 0 AND window_start_ns > covered_to + {binder.integer(question.tolerance_ns)}
  AND window_start_ns > {start} AND covered_to < {end}
ORDER BY cluster, node, gap_start_ns"""


_EXTENT: Final = """SELECT if(count() = 0, NULL, min(window_start_ns)) AS first_ns,
  if(count() = 0, NULL, max(window_end_ns)) AS last_ns, sum(records) AS rows,
  (SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()) AS disk_bytes
FROM batches"""
