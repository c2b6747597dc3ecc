"""Flow records as columns to `Evidence`: millions of records are grouped here; the rest of the library only sees
distinct connections. Called by the command line on a bundle and by the server on its store."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from eastwest.model.cluster import ClusterState
from eastwest.model.flow import EndKind, Reporter, ip_from_bytes
from eastwest.policy.evidence import Evidence, Outsider, Side, answered

Ints = NDArray[np.int64]
_KEYS: Final = (
    "src_ip", "dst_ip", "protocol", "dst_port", "reporter", "src_namespace", "src_pod", "dst_namespace", "dst_pod", "src_kind",
    "dst_kind", "src_dns_name", "dst_dns_name",
)  # fmt: skip
_SIDE_NAMES: Final = ("kind", "namespace", "pod", "workload_kind", "workload", "node", "aws_service", "region", "dns_name",
                      "named_by")  # fmt: skip
COLUMNS: Final = frozenset(
    {"reporter", "pod_uid", "service_ip", "service_port", "service_namespace", "service", "connections_established"}
    | {f"{side}_{name}" for side in ("src", "dst") for name in _SIDE_NAMES}
)
"""What of the optional columns is read."""
_OUTSIDE: Final = {kind.value for kind in EndKind} - {EndKind.POD.value}


def group(table: pa.Table, cluster: ClusterState, start_ns: int, end_ns: int) -> Evidence:
    """Distinct (ends, protocol, port); reports of both ends become one row, the larger count of the two."""
    table = table.unify_dictionaries().combine_chunks()
    rows = table.num_rows
    by_report = _group_ids([_codes(table, name) for name in _KEYS if name in table.column_names], rows)
    first = _firsts(by_report)
    sums = {name: _sum(table, name, by_report) for name in ("connections", "bytes_forward", "bytes_reverse")}
    established = None
    if "connections_established" in table.column_names:
        established = _sum(table, "connections_established", by_report)
    head = _take(table, first)
    protocol = _plain(head, "protocol")
    ok = answered(protocol, sums["connections"], established, sums["bytes_forward"], sums["bytes_reverse"])
    directed = np.ones(len(first), bool)
    if "reporter" in head.column_names:
        directed = np.array([word in (Reporter.CLIENT, Reporter.SERVER) for word in head["reporter"].to_pylist()], bool)
    first_ns, last_ns = _extremes(table, by_report, len(first))

    pair = _group_ids([_codes(head, n) for n in _KEYS if n in head.column_names and n != "reporter"], len(first))
    lead = _firsts(pair)
    edges = _take(head, lead)
    count = len(lead)
    ends = _Ends(cluster)
    src, dst = (ends.side(edges, side) for side in ("src", "dst"))
    service_port = (
        _plain(head, "service_port") if "service_port" in head.column_names else np.zeros(len(first), np.int64)
    )
    return Evidence(
        src=src,
        dst=dst,
        protocol=_plain(edges, "protocol").astype(np.uint8),
        port=_plain(edges, "dst_port").astype(np.uint16),
        service_port=_reduce(np.maximum, service_port, pair, count, 0).astype(np.uint16),
        connections=_reduce(np.maximum, sums["connections"], pair, count, 0),
        established=_any(ok & directed, pair, count) | (_any(ok, pair, count) & ~_any(directed, pair, count)),
        directed=_any(directed, pair, count),
        first_ns=_reduce(np.minimum, first_ns, pair, count, np.iinfo(np.int64).max),
        last_ns=_reduce(np.maximum, last_ns, pair, count, 0),
        outsiders=tuple(ends.outsiders),
        records=rows,
        start_ns=start_ns,
        end_ns=end_ns,
    )


class _Ends:
    """Ends by name in the cluster; the rest as outsiders."""

    def __init__(self, cluster: ClusterState) -> None:
        self._pods = {(p.namespace, p.name): i for i, p in enumerate(cluster.pods)}
        self._workloads: dict[tuple[str, str, str], int] = {}
        for i, p in enumerate(cluster.pods):
            self._workloads.setdefault((p.namespace, p.workload.kind, p.workload.name), i)
        self.outsiders: list[Outsider] = []
        self._ids: dict[Outsider, int] = {}

    def side(self, edges: pa.Table, side: str) -> Side:
        absent = [None] * edges.num_rows
        columns = [
            edges[f"{side}_{n}"].to_pylist() if f"{side}_{n}" in edges.column_names else absent for n in _SIDE_NAMES
        ]
        services = [
            edges[n].to_pylist() if n in edges.column_names else absent for n in ("service_namespace", "service")
        ]
        addresses: list[Any] = edges[f"{side}_ip"].to_pylist()
        pods, outsiders = np.full(len(addresses), -1, np.int32), np.full(len(addresses), -1, np.int32)
        for at, (raw, *row) in enumerate(zip(addresses, *columns, *services, strict=True)):
            kind, namespace, pod, workload_kind, workload, node, aws, region, dns_name, named_by, space, service = row
            index = -1
            if kind == EndKind.POD:
                index = self._pods.get((namespace, pod), -1)
                if index < 0:
                    index = self._workloads.get((namespace, workload_kind, workload), -1)
            if index >= 0:
                pods[at] = index
                continue
            known = kind if kind in _OUTSIDE else EndKind.UNKNOWN
            outsider = Outsider(
                EndKind(known), str(ip_from_bytes(raw)), node, aws, region, dns_name,
                (space, service) if kind == EndKind.SERVICE and space and service else None,
                ambiguous=named_by == "ambiguous" or kind == EndKind.POD,
            )  # fmt: skip
            outsiders[at] = self._id(outsider)
        flat = np.frombuffer(b"".join(addresses), np.uint8).reshape(len(addresses), 16)
        return Side(pods, outsiders, flat)

    def _id(self, outsider: Outsider) -> int:
        found = self._ids.setdefault(outsider, len(self.outsiders))
        if found == len(self.outsiders):
            self.outsiders.append(outsider)
        return found


def _take(table: pa.Table, rows: Ints) -> pa.Table:
    """Some rows, with text as plain text again."""
    which: Any = pa.array(rows, pa.int64())
    taken = table.take(which)
    fields = [f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in taken.schema]
    return taken.cast(pa.schema(fields))


def _codes(table: pa.Table, name: str) -> tuple[NDArray[np.int32], int]:
    """Each value as a small number, null as the last; and how many there are."""
    column: Any = table[name]
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    count = len(column.dictionary)
    indices = column.indices.fill_null(count) if column.null_count else column.indices
    return indices.to_numpy(zero_copy_only=False), count + 1


def _group_ids(columns: list[tuple[NDArray[np.int32], int]], rows: int) -> Ints:
    """Equal rows, equal number, in the order of first appearance."""
    ids, size = np.zeros(rows, np.int64), 1
    for codes, count in columns:
        if size * count > 1 << 62:
            ids = _numbered(ids)
            size = int(ids.max(initial=0)) + 1
        ids *= count
        ids += codes
        size *= count
    return _numbered(ids)


def _numbered(ids: Ints) -> Ints:
    encoded: Any = pa.array(ids)
    out: Ints = encoded.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return out


def _firsts(ids: Ints) -> Ints:
    """The row where each number appears first."""
    out = np.zeros(int(ids.max(initial=-1)) + 1, np.int64)
    out[ids[::-1]] = np.arange(len(ids) - 1, -1, -1)
    return out


def _plain(table: pa.Table, name: str) -> Ints:
    column: Any = table[name]
    values: Ints = pc.fill_null(column, 0).to_numpy().astype(np.int64)
    return values


def _sum(table: pa.Table, name: str, ids: Ints) -> Ints:
    return np.bincount(ids, _plain(table, name), int(ids.max(initial=-1)) + 1).astype(np.int64)


def _extremes(table: pa.Table, ids: Ints, count: int) -> tuple[Ints, Ints]:
    first = _reduce(np.minimum, _plain(table, "first_seen_ns"), ids, count, np.iinfo(np.int64).max)
    return first, _reduce(np.maximum, _plain(table, "last_seen_ns"), ids, count, 0)


def _reduce(how: np.ufunc, values: Ints, ids: Ints, count: int, start: int) -> Ints:
    out = np.full(count, start, np.int64)
    how.at(out, ids, values)
    return out


def _any(flags: NDArray[np.bool_], ids: Ints, count: int) -> NDArray[np.bool_]:
    out = np.zeros(count, bool)
    out[ids[flags]] = True
    return out
