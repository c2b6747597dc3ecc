"""Agent records in, named records out: both ends, their places and Services, as of each record's own time.

Precedence: the reporting pod's own UID; an address that a pod, node or Service held at that time; an address that the
reporting node itself holds (link-local ones are on every node); of a node's port, the host-network pod whose socket its own
agent saw there, else the one that declares it (`hostports`); Amazon's published ranges (longest prefix, the specific service over EC2 over AMAZON); for what is private and nobody's, a name under
amazonaws.com by which it was looked up; a public address; unknown.

Fills `COLLECTOR_COLUMNS` and touches nothing else. No Python code runs per row, only per distinct end. Unknown is null.
Called for every batch by the collector, and for evidence bundles that hold addresses only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from eastwest.collector.hostports import DECLARED, SHARED, SOCKET, HostPorts, Key, each_distinct
from eastwest.collector.ranges import aws
from eastwest.collector.ranges.endpoints import endpoint
from eastwest.collector.ranges.public import is_public
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.ipindex import AMBIGUOUS, NOBODY
from eastwest.k8s.naming import End, Naming
from eastwest.model.flow import EndKind, Protocol, Reporter
from eastwest.model.schema import COLLECTOR_COLUMNS
from eastwest.query.category import with_category

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Arrow = Any  # an array or a chunked array: the stubs know neither dictionaries nor buffers

NAMED_BY: Final = (
    "unknown", "pod_uid", "pod_ip", "node_ip", "cluster_ip", "aws_ranges", "public_address", "ambiguous", "aws_dns",
    SOCKET, DECLARED, SHARED,
)  # fmt: skip
_BY_KIND: Final = {EndKind.POD: 2, EndKind.NODE: 3, EndKind.SERVICE: 4}
_END_FIELDS: Final[dict[str, Callable[[End], str | None]]] = {
    "kind": lambda end: end.kind.value,
    "namespace": lambda end: end.namespace,
    "workload": lambda end: end.workload,
    "workload_kind": lambda end: end.workload_kind,
    "pod": lambda end: end.pod,
    "node": lambda end: end.node,
    "zone": lambda end: end.zone,
    "region": lambda end: end.region,
}


class Enricher:
    """Names the ends of records from one inventory; keeps what it may between batches. For one thread."""

    def __init__(self, inventory: Inventory, ranges: Callable[[], aws.AwsRanges] = aws.shipped) -> None:
        self._inventory = inventory
        self._ranges = ranges
        self._naming: Naming | None = None
        self._book = _Book(())
        self._ports = HostPorts()

    def enrich(self, table: pa.Table) -> pa.Table:
        """`table` with every one of COLLECTOR_COLUMNS added (or replaced).

        Needs src_ip, dst_ip, dst_port, first_seen_ns and last_seen_ns; uses pod_uid, reporter, service_ip and
        service_port where they are there.
        """
        naming = self._inventory.naming()
        if naming is not self._naming:
            self._naming, self._book = naming, _Book(naming.ends)
            self._ports.take(naming)
        first, last = _numbers(table, "first_seen_ns"), _numbers(table, "last_seen_ns")
        local, local_is_dst = self._local(table, naming)
        named: dict[str, Any] = {}
        uids = _words(table, "pod_uid")
        of_host = _per_value(uids, lambda uid: int(self._ports.is_host_pod(uid)), 0) > 0
        for side in ("src", "dst"):
            ips = _addresses(table, f"{side}_ip")
            found = naming.resolve(ips, first, last)
            mine = (local != NOBODY) & (local_is_dst == (side == "dst"))
            how = np.where(mine, np.where(of_host, NAMED_BY.index(SOCKET), 1), 0)
            if side == "dst":
                bare = np.flatnonzero((found == NOBODY) & ~mine)
                ports = _numbers(table, "dst_port")[bare].astype(np.uint16)
                found[bare] = naming.resolve_service(ips[bare], ports, first[bare], last[bare])
                service = self._service(table, naming, first, last, found)
            self._own_node(table, naming, ips, found)
            if side == "dst":
                self._learn(table, ips, np.flatnonzero(mine & of_host))
                self._host_ports(table, ips, np.flatnonzero(~mine), found, how)
            found[mine] = local[mine]
            self._outside(ips, found)
            self._by_name(table, f"{side}_dns_name", found)
            named.update(self._book.columns(side, found, how))
        named |= self._book.service_columns(service)
        return _categorised(_append(table, named))

    def _local(self, table: pa.Table, naming: Naming) -> tuple[Ints, NDArray[np.bool_]]:
        """(index of the reporting pod by its UID or NOBODY, whether it is the destination)."""
        rows = table.num_rows
        if "pod_uid" not in table.column_names:
            return np.full(rows, NOBODY, np.int64), np.zeros(rows, bool)
        local = _per_value(table["pod_uid"], lambda uid: naming.pods_by_uid.get(uid, NOBODY), NOBODY)
        if "reporter" not in table.column_names:
            return np.full(rows, NOBODY, np.int64), np.zeros(rows, bool)
        server = _per_value(table["reporter"], lambda word: int(word == Reporter.SERVER), 0)
        return local, server.astype(bool)

    def _own_node(self, table: pa.Table, naming: Naming, ips: Bytes, found: Ints) -> None:
        """An address that nobody alone has is the reporting node's where that node has it."""
        if not naming.own_addresses:
            return
        rows = np.flatnonzero(found == NOBODY)
        nodes = _words(table, "node")
        for name in set(nodes.take(pa.array(rows, pa.int64())).to_pylist()) & naming.own_addresses.keys():
            home, own = naming.nodes_by_name.get(name, NOBODY), naming.own_addresses[name]
            there = rows[_per_value(nodes, lambda word, name=name: int(word == name), 0)[rows] > 0]  # type: ignore[misc]
            distinct, inverse = _distinct(ips[there])
            found[there[np.array([raw.tobytes() in own for raw in distinct], np.bool_)[inverse]]] = home

    def _learn(self, table: pa.Table, ips: Bytes, rows: NDArray[np.intp]) -> None:
        """Sockets of host-network pods that their own node's agent saw serving."""
        part = table.take(pa.array(rows, pa.int64())) if len(rows) else None
        if part is None or not {"node", "protocol"} <= set(part.column_names):
            return
        where: list[Any] = [part[name].to_pylist() for name in ("node", "protocol", "dst_port", "pod_uid")]
        told = zip(where[0], [ips[r].tobytes() for r in rows.tolist()], *where[1:], strict=True)
        self._ports.learn(((node, ip, protocol, port), uid) for node, ip, protocol, port, uid in set(told))

    def _host_ports(self, table: pa.Table, ips: Bytes, rows: NDArray[np.intp], found: Ints, how: Ints) -> None:
        """Far ends that are a node (or an address that the reporting node holds for a Service): whose port it is. A node
        says of its own TCP sockets whose they are."""
        if "protocol" not in table.column_names:
            return
        protocols, ports, reporters = _numbers(table, "protocol"), _numbers(table, "dst_port"), _words(table, "node")
        near = _per_value(_words(table, "reporter"), lambda word: int(word == Reporter.SERVER), 0) > 0
        rows = rows[
            (found[rows] >= 0) & self._book.has_ports[found[rows]] & ~(near & (protocols == Protocol.TCP))[rows]
        ]
        node_of = self._book.node_of

        def ask(at: int, first_ns: int, last_ns: int) -> tuple[int, str] | None:
            row = int(rows[at])
            node = node_of[found[row]]
            place = node if node is not None else reporters[row].as_py() or ""
            key: Key = (place, ips[row].tobytes(), int(protocols[row]), int(ports[row]))
            return self._ports.find(key, first_ns, last_ns, declared=node is not None)

        first, last = _numbers(table, "first_seen_ns")[rows], _numbers(table, "last_seen_ns")[rows]
        words = np.ascontiguousarray(ips[rows]).view(np.uint64).reshape(len(rows), 2)
        reporter = _per_value(reporters, _counter(), -1)[rows]
        agree = (found[rows], reporter, protocols[rows], ports[rows], words[:, 0], words[:, 1])
        for group, (end, word) in each_distinct(agree, first, last, ask):
            how[rows[group]] = NAMED_BY.index(word)
            if end >= 0:
                found[rows[group]] = end

    def _service(self, table: pa.Table, naming: Naming, first: Ints, last: Ints, dst: Ints) -> Ints:
        """Index of the Service the client connected to: behind service_ip, or the destination itself."""
        out = np.where((dst >= 0) & self._book.is_service[dst], dst, NOBODY)
        if "service_ip" not in table.column_names or table["service_ip"].null_count == table.num_rows:
            return out
        rows = np.flatnonzero(_valid(table["service_ip"]))
        ports = _numbers(table, "service_port")[rows].astype(np.uint16)
        ips = _addresses(table, "service_ip")[rows]
        out[rows] = naming.resolve_service(ips, ports, first[rows], last[rows])
        return out

    def _outside(self, ips: Bytes, found: Ints) -> None:
        """Name what nobody in the cluster holds: an AWS service, the internet, or nothing."""
        rows = np.flatnonzero(found == NOBODY)
        if not len(rows):
            return
        distinct, inverse = _distinct(ips[rows])
        ranges = self._ranges()
        found[rows] = np.array([self._outsider(raw.tobytes(), ranges) for raw in distinct], np.int64)[inverse]

    def _by_name(self, table: pa.Table, column: str, found: Ints) -> None:
        """What is private and nobody's may have a name under amazonaws.com: an interface endpoint, a database."""
        if column not in table.column_names or not (found == NOBODY).any():
            return
        named = _per_value(table[column], self._endpoint, NOBODY)
        found[:] = np.where(found == NOBODY, named, found)

    def _endpoint(self, name: str) -> int:
        told = endpoint(name)
        return NOBODY if told is None else self._book.outside((EndKind.AWS, told.service, told.region, True))

    def _outsider(self, raw: bytes, ranges: aws.AwsRanges) -> int:
        address = int.from_bytes(raw, "big")
        found = ranges.lookup(address)
        if found is not None:
            return self._book.outside((EndKind.AWS, found.service, found.region, False))
        if is_public(address):
            return self._book.outside((EndKind.INTERNET, None, None, False))
        return NOBODY


def enrich(table: pa.Table, inventory: Inventory) -> pa.Table:
    """One table named from an inventory; see `Enricher.enrich`."""
    return Enricher(inventory).enrich(table)


Outside = tuple[EndKind, str | None, str | None, bool]
"""Kind, AWS service, region, and whether a name said so rather than the address."""


class _Book:
    """Every end there is by index: the inventory's, then those outside the cluster, then ambiguous and unknown (-2, -1)."""

    def __init__(self, ends: Sequence[End]) -> None:
        self._ends = ends
        self._outside: dict[Outside, int] = {}
        self._arrays: dict[str, Arrow] | None = None
        kinds = [end.kind is EndKind.SERVICE for end in ends]
        self.is_service = np.array([*kinds, False, False], bool)
        self.node_of = [end.node if end.kind is EndKind.NODE else None for end in ends]
        self.has_ports = self.is_service | np.array([*(n is not None for n in self.node_of), False, False], bool)

    def outside(self, key: Outside) -> int:
        """The index of an end outside the cluster."""
        if key not in self._outside:
            self._outside[key] = len(self._ends) + len(self._outside)
            self._arrays = None
        return self._outside[key]

    def columns(self, side: str, found: Ints, how: Ints) -> dict[str, Arrow]:
        """The columns of one side. `how`: index into NAMED_BY, 0 where the kind of end says it."""
        arrays = self._table()
        rows: Arrow = pa.array(np.where(found < 0, found + len(arrays["kind"]), found))
        out = {f"{side}_{name}": arrays[name].take(rows) for name in (*_END_FIELDS, "aws_service")}
        words: Arrow = pa.array(NAMED_BY)
        out[f"{side}_named_by"] = words.take(pa.array(np.where(how > 0, how, self._how[np.asarray(rows)])))
        return out

    def service_columns(self, found: Ints) -> dict[str, Arrow]:
        arrays = self._table()
        rows: Arrow = pa.array(np.where(found < 0, len(arrays["kind"]) - 1, found))
        return {"service": arrays["service"].take(rows), "service_namespace": arrays["namespace"].take(rows)}

    def _table(self) -> dict[str, Arrow]:
        """Each column's value for each end; the last two are ambiguous (-2) and unknown (-1)."""
        if self._arrays is None:
            outside = [End(kind, region=region) for kind, _, region, _ in self._outside]
            ends = [*self._ends, *outside, End(EndKind.UNKNOWN), End(EndKind.UNKNOWN)]
            services = [*(None for _ in self._ends), *(service for _, service, _, _ in self._outside), None, None]
            self._arrays = {name: _strings(map(get, ends)) for name, get in _END_FIELDS.items()}
            self._arrays["aws_service"] = _strings(services)
            self._arrays["service"] = _strings(end.service for end in ends)
            how = [_BY_KIND.get(end.kind, 0) for end in self._ends]
            how += [8 if by_dns else 5 if kind is EndKind.AWS else 6 for kind, _, _, by_dns in self._outside]
            self._how = np.array([*how, 7, 0], np.int64)
        return self._arrays


def _strings(values: Iterable[str | None]) -> Arrow:
    return pa.array(list(values), pa.string())


def _append(table: pa.Table, named: dict[str, Arrow]) -> pa.Table:
    for column in COLLECTOR_COLUMNS:
        values = named.get(column.name)
        at = table.schema.get_field_index(column.name)
        if values is None and at >= 0:
            continue
        if values is None:
            values = pa.nulls(table.num_rows, pa.string())
        field = pa.field(column.name, pa.string(), nullable=column.nullable)
        table = table.append_column(field, values) if at < 0 else table.set_column(at, field, values)
    return table


def _categorised(table: pa.Table) -> pa.Table:
    found = with_category(table.drop_columns(["category", "zone_pair"]))
    return table.set_column(table.schema.get_field_index("category"), "category", found["category"]).set_column(
        table.schema.get_field_index("zone_pair"), "zone_pair", found["zone_pair"]
    )


def _addresses(table: pa.Table, name: str) -> Bytes:
    """(n, 16); zeros where null."""
    array: Arrow = table[name].combine_chunks()
    raw = np.frombuffer(array.buffers()[1], np.uint8) if len(array) else np.zeros(0, np.uint8)
    return raw[array.offset * 16 : (array.offset + len(array)) * 16].reshape(len(array), 16)


def _numbers(table: pa.Table, name: str) -> Ints:
    """Whole numbers, 0 where null."""
    column: Arrow = table[name]
    values: Ints = pc.fill_null(column, 0).combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)
    return values


def _words(table: pa.Table, name: str) -> Arrow:
    """A column of text, all null where the table has none."""
    return table[name] if name in table.column_names else pa.chunked_array([pa.nulls(table.num_rows, pa.string())])


def _counter() -> Callable[[str], int]:
    """Numbers words as they come."""
    numbers: dict[str, int] = {}
    return lambda word: numbers.setdefault(word, len(numbers))


def _valid(column: Arrow) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = column.is_valid().combine_chunks().to_numpy(zero_copy_only=False)
    return valid


def _per_value(column: Arrow, answer: Callable[[str], int], missing: int) -> Ints:
    """`answer` of each row's text, asked once per distinct text."""
    encoded = column.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    answers = np.array(
        [missing if word is None else answer(word) for word in encoded.dictionary.to_pylist()] + [missing]
    )
    codes = encoded.indices.fill_null(len(answers) - 1).to_numpy(zero_copy_only=False)
    out: Ints = answers[codes]
    return out


def _distinct(ips: Bytes) -> tuple[Bytes, NDArray[np.intp]]:
    """Distinct (m, 16) addresses, and for each row which one it is."""
    words = np.ascontiguousarray(ips).view(np.uint64).reshape(len(ips), 2)
    mixed = words[:, 0] * np.uint64(0x9E3779B97F4A7C15) ^ words[:, 1]
    _, index, inverse = np.unique(mixed, return_index=True, return_inverse=True)
    if not (words[index][inverse] == words).all():  # two addresses mixed to one number: take the slow way
        exact, slow = np.unique(ips, axis=0, return_inverse=True)
        return exact, slow.reshape(-1)
    return ips[index], inverse


__all__ = ["AMBIGUOUS", "NAMED_BY", "Enricher", "enrich"]
