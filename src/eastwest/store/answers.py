# ruff: noqa: S608 - column and table names come from the schema, every value is bound
"""Every question as one statement."""

from __future__ import annotations

from typing import Final

from eastwest.model.schema import COLUMNS, Stage, Type
from eastwest.store import books, denials, hosts
from eastwest.store.costs import sort_key, sums, with_costs
from eastwest.store.edges import EDGE_COLUMNS, EDGE_SUMS, edges
from eastwest.store.ends import END_PARTS, identity, known_of
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
from eastwest.store.where import column, condition, type_of, within


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
            sql = books.node_books(question, binder)
        case PodBooks():
            sql = books.pod_books(question, binder)
        case WindowBooks():
            sql = books.window_books(question, binder)
        case NodeHistory():
            sql = books.NODE_HISTORY
        case NodeGaps():
            sql = books.node_gaps(question, binder)
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
    return f"SELECT {columns} FROM flows WHERE {within(question.range, binder)} ORDER BY {order} LIMIT {limit}"


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


def _edges(question: Edges, scope: Scope, binder: Binder) -> str:
    inner = _priced(question, scope, binder)
    both = f"{identity('src', question.level)},\n  {identity('dst', question.level)}"
    keys = ", ".join((*END_PARTS, "protocol", "dst_port"))
    added = ", ".join(f"sum(e.{n}) AS {n}" for n in EDGE_SUMS)
    known = f"{known_of('src', 'source', question.level)}, {known_of('dst', 'target', question.level)}"
    return f"""SELECT {keys}, {added}, {sums("e.cost", "e.bytes_forward + e.bytes_reverse")}, min(e.first_seen_ns) AS first_seen_ns, max(e.last_seen_ns) AS last_seen_ns, {known},
  argMax(tuple(e.service_namespace, e.service, e.service_port), (isNotNull(e.service_ip), e.bytes_forward)) AS via,
  min(e.rtt_min_us) AS rtt_min_us, if(uniqExact(e.category) = 1, any(e.category), NULL) AS category,
  max(e.dst_dns_name) AS dst_dns_name, argMin(e.reporter, e.rank) AS reporter, argMin(e.role_source, e.rank) AS role_source,
  {of_many()}
FROM (SELECT *, {both} FROM {inner} WHERE {condition(question.where, binder)}) AS e GROUP BY {keys}"""


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


_EXTENT: Final = """SELECT if(count() = 0, NULL, min(window_start_ns)) AS first_ns,
  if(count() = 0, NULL, max(window_end_ns)) AS last_ns, sum(records) AS rows,
  (SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()) AS disk_bytes
FROM batches"""
