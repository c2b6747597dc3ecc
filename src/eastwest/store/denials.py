# ruff: noqa: S608 - column and table names come from the schema, every value is bound
"""What was denied, what was let through before, and how TCP does: the questions behind a rollout's gates.

Reads single reports, not edges: what matters is which pod decided. Ends are texts that are the same in every report of a
workload's traffic. Outside clients are one end each kind (the internet's clients come and go); outside servers are told
apart by name or address, because a policy is.
"""

from __future__ import annotations

from typing import Final

from eastwest.store.questions import Denials, Established, TcpSums
from eastwest.store.source import Scope, relation
from eastwest.store.statement import Binder
from eastwest.store.where import within


def _text(address: str) -> str:
    return rf"replaceRegexpOne(toString({address}), '^::ffff:(\\d+\\.\\d+\\.\\d+\\.\\d+)$', '\\1')"


def _known(side: str) -> str:
    """Conditions and texts of ends inside the cluster, for multiIf."""
    return f"""{side}_kind = 'pod' AND isNotNull({side}_workload),
    concat(ifNull({side}_namespace, ''), '/', ifNull({side}_workload, ''), '[', ifNull({side}_workload_kind, ''), ']'),
  {side}_kind = 'pod', concat(ifNull({side}_namespace, ''), '/', ifNull({side}_pod, '')),
  {side}_kind = 'node', concat('node:', ifNull({side}_node, {_text(f"{side}_ip")}))"""


_SOURCE: Final = f"multiIf({_known('src')}, toString(src_kind))"
_TARGET: Final = f"""multiIf({_known("dst")},
  dst_kind = 'service', concat('service:', ifNull(service_namespace, ''), '/', ifNull(service, '')),
  dst_kind = 'aws' AND isNotNull(dst_aws_service), concat('aws:', ifNull(dst_aws_service, ''), '/', ifNull(dst_region, '')),
  isNotNull(dst_dns_name), ifNull(dst_dns_name, ''),
  {_text("dst_ip")})"""

_SERVER: Final = "reporter = 'server'"
_OWN_NAMESPACE: Final = f"ifNull(if({_SERVER}, dst_namespace, src_namespace), '')"
"""Of the reporting pod, which is the source where nobody knows who began."""
_COUNTED_ONCE: Final = "greatest(sumIf(connections, reporter != 'server'), sumIf(connections, reporter = 'server'))"
_END_COLUMNS: Final = tuple(
    f"{side}_{name}"
    for side in ("src", "dst")
    for name in (
        "kind",
        "namespace",
        "workload",
        "workload_kind",
        "pod",
        "node",
        "ip",
        "region",
        "aws_service",
        "dns_name",
    )
)


def _among(column: str, namespaces: tuple[str, ...], binder: Binder) -> str:
    return f"{column} IN {binder.bind(list(namespaces), 'Array(String)')}"


def denials(question: Denials, binder: Binder) -> str:
    """Rows per pair of ends, port, reason and deciding namespace and node."""
    return f"""SELECT {_SOURCE} AS source, {_TARGET} AS target, protocol, dst_port, toString(ifNull(f.denied_by, '')) AS reason,
  {_OWN_NAMESPACE} AS namespace, toString(f.node) AS decided_on, any({_text("f.src_ip")}) AS src_address, any({_text("f.dst_ip")}) AS dst_address,
  sum(ifNull(policy_denied, 0)) AS denied, sum(ifNull(policy_would_deny, 0)) AS would_deny,
  {_COUNTED_ONCE} AS opened, max(last_seen_ns) AS last_ns
FROM flows AS f
WHERE {within(question.range, binder)} AND (ifNull(policy_denied, 0) > 0 OR ifNull(policy_would_deny, 0) > 0)
  AND {_among(_OWN_NAMESPACE, question.namespaces, binder)}
GROUP BY source, target, protocol, dst_port, reason, namespace, decided_on
ORDER BY source, target, protocol, dst_port, reason, namespace, decided_on"""


def established(question: Established, scope: Scope, binder: Binder) -> str:
    """Rows per pair of ends and port."""
    columns = (*_END_COLUMNS, "service_namespace", "service", "protocol", "dst_port", "reporter", "connections",
               "connections_established", "packets_forward", "packets_reverse", "last_seen_ns", "policy_denied",
               "policy_would_deny")  # fmt: skip
    inside = [_among(f"ifNull({side}_namespace, '')", question.namespaces, binder) for side in ("src", "dst")]
    where = [
        f"dst_port IN {binder.bind(list(question.ports), 'Array(UInt16)')}",
        f"({' OR '.join(inside)})",
        "reporter != 'unknown' AND ifNull(policy_denied, 0) = 0 AND ifNull(policy_would_deny, 0) = 0",
    ]
    older = "connections = 0 AND packets_forward > 0 AND packets_reverse > 0"
    count = f"connections_established + if({older}, 1, 0)"
    reports = relation(question.range, columns, scope, binder, where)
    return f"""SELECT {_SOURCE} AS source, {_TARGET} AS target, protocol, dst_port,
  greatest(sumIf({count}, NOT ({_SERVER})), sumIf({count}, {_SERVER})) AS answered, max(last_seen_ns) AS last_ns
FROM {reports} GROUP BY source, target, protocol, dst_port HAVING answered > 0"""


def tcp_sums(question: TcpSums, binder: Binder) -> str:
    """The reporting pods' own sends and connects."""
    in_range, once_more = within(question.range, binder), within(question.range, binder)
    pair = "(src_ip, dst_ip, protocol, dst_port)"
    retransmits = " + ".join(f"sum(retransmits_{phase})" for phase in ("syn", "established", "closing"))
    return f"""SELECT sum(if({_SERVER}, segments_reverse, segments_forward)) AS segments, {retransmits} AS retransmits,
  sum(connection_attempts) AS attempts, sum(connection_failures) + sum(connection_timeouts) AS failures
FROM flows
WHERE {in_range} AND protocol = 6 AND {_among(_OWN_NAMESPACE, question.namespaces, binder)}
  AND {pair} NOT IN (SELECT {pair} FROM flows WHERE {once_more} AND ifNull(policy_denied, 0) > 0)"""
