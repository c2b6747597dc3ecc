# ruff: noqa: S608 - column and table names come from the schema, every value is bound
"""Reports that know a host-network pod by its node's address only, given the name that another report knows it by.

The agent of a host-network pod's own node names it by its socket; the other end sees the node's address. Without this the
two reports of one connection would be two edges. A server is named by the port (one pod, or pods of one workload); a client
only where its node's reports of the same server tell of one pod and of nobody else: else the node's reports stand for all
of them, and the server's report is left out where they are all pods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from eastwest.store.questions import Range
from eastwest.store.source import Scope, relation
from eastwest.store.statement import Binder

_NAMES: Final = ("kind", "namespace", "workload", "workload_kind", "pod", "node", "zone", "region", "named_by")
_TUPLE: Final = ("cluster", "src_ip", "dst_ip", "protocol", "dst_port")
BY_SOCKET: Final = "host_socket"
KNOWN: Final = f"('{BY_SOCKET}', 'host_port')"
"""Words of `named_by` that tell a host-network pod (collector.hostports)."""


def named(reports: str, columns: Sequence[str], range_: Range, scope: Scope, binder: Binder) -> str:
    """A subquery with the `columns` of `reports` (which has a rank, too), far ends named where another report does."""
    lines = [_renamed(c) for c in columns]
    return f"""SELECT {", ".join(lines)}, r.rank AS rank FROM ({reports}) AS r
  LEFT ANY JOIN {_clients(range_, scope, binder)} AS c USING ({", ".join(_TUPLE)})
  LEFT ANY JOIN {_servers(range_, scope, binder)} AS s USING ({", ".join(_TUPLE)})
  WHERE NOT (r.rank = 2 AND r.src_kind = 'node' AND c.pods > 1 AND c.nodes = 0)
    AND NOT (r.rank = 1 AND r.dst_kind = 'node' AND s.workloads > 1)"""


_CLIENT: Final = "(r.rank = 2 AND r.src_kind = 'node' AND c.pods = 1 AND c.nodes = 0)"
_SERVER: Final = "(r.dst_kind = 'node' AND s.workloads = 1)"


def _renamed(name: str) -> str:
    side, _, rest = name.partition("_")
    if rest in _NAMES and side in ("src", "dst"):
        at = _NAMES.index(rest) + 1
        which, found = (_CLIENT, "c") if side == "src" else (_SERVER, "s")
        value = f"tupleElement({found}.names, {at})"
        if rest == "kind":
            value = "'pod'"
        return f"if({which}, {value}, r.{name}) AS {name}"
    if name == "category":
        at = len(_NAMES) + 1
        return f"multiIf({_CLIENT}, tupleElement(c.names, {at}), {_SERVER}, tupleElement(s.names, {at}), r.{name}) AS {name}"
    return f"r.{name} AS {name}"


def _clients(range_: Range, scope: Scope, binder: Binder) -> str:
    """By connection: how many pods of its node are clients of it, whether anybody else there is, and the last one's names."""
    read = relation(
        range_,
        [*_TUPLE, *(f"src_{n}" for n in _NAMES), "category", "last_seen_ns"],
        scope,
        binder,
        ["reporter = 'client'", f"(src_named_by = '{BY_SOCKET}' OR src_kind = 'node')"],
    )
    names = ", ".join(f"src_{n}" for n in _NAMES)
    return f"""(
    SELECT {", ".join(_TUPLE)}, uniqExactIf((src_namespace, src_pod), src_kind = 'pod') AS pods, countIf(src_kind = 'node') AS nodes,
      argMax(tuple({names}, category), (src_kind = 'pod', last_seen_ns)) AS names
    FROM {read} GROUP BY {", ".join(_TUPLE)} HAVING pods > 0
  )"""


def _servers(range_: Range, scope: Scope, binder: Binder) -> str:
    """By connection: how many workloads of its node serve it, and the names of the pod that did last; sockets before claims."""
    read = relation(
        range_,
        [*_TUPLE, *(f"dst_{n}" for n in _NAMES), "category", "last_seen_ns"],
        scope,
        binder,
        [f"dst_named_by IN {KNOWN}"],
    )
    names = ", ".join(f"dst_{n}" for n in _NAMES)
    return f"""(
    SELECT {", ".join(_TUPLE)}, uniqExact((dst_namespace, dst_workload)) AS workloads,
      argMax(tuple({names}, category), (dst_named_by = '{BY_SOCKET}', last_seen_ns)) AS names
    FROM {read} GROUP BY {", ".join(_TUPLE)}
  )"""
