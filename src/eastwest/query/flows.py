"""The flow table: one page at a time, stable while new records arrive."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from eastwest.model.flow import ip_bytes, ip_from_bytes, protocol_name
from eastwest.model.prices import PriceTable
from eastwest.model.schema import BY_NAME, Type
from eastwest.query.errors import ParameterError
from eastwest.query.health import health
from eastwest.query.verdicts import verdict
from eastwest.store.predicates import Predicate
from eastwest.store.protocol import Store
from eastwest.store.questions import After, Flows, Range
from eastwest.store.where import DERIVED, NOT_OF_AN_EDGE, type_of

Row = dict[str, Any]

NOT_IN_A_ROW: Final = ("window_start_ns", "window_end_ns", "node", "pod_uid", "counted_in", "src_port", *NOT_OF_AN_EDGE)
SORTABLE: Final = tuple(name for name in (*BY_NAME, *DERIVED, "cost") if name not in NOT_IN_A_ROW)
_ADDRESSES: Final = ("src_ip", "dst_ip", "service_ip")


@dataclass(frozen=True, slots=True)
class Page:
    """Rows whose fields are those of the API's FlowRow; `range` is that of the first page."""

    range: Range
    rows: list[Row]
    next_cursor: str | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Table:
    """What is shown: the parts of a question that must not change between pages."""

    range: Range
    where: Predicate
    sort: str
    asked: str
    """The parameters as text, to notice a cursor of another question."""
    prices: PriceTable | None = None


def parse_sort(text: str) -> tuple[str, bool]:
    """(column, descending). Raises ParameterError."""
    name = text.removeprefix("-").strip()
    if name not in SORTABLE:
        raise ParameterError(
            "sort", f"{name!r} is not a column to sort by; for example -bytes_forward or src_namespace"
        )
    return name, text.startswith("-")


def page(store: Store, table: Table, limit: int, cursor: str | None) -> Page:
    """One page. Raises ParameterError for a cursor that is not of this table."""
    sort, descending = parse_sort(table.sort)
    range_, after = table.range, None
    if cursor is not None:
        range_, after = _open(cursor, table, sort)
    answer = store.ask(Flows(range_, table.where, sort, descending, limit + 1, after, table.prices)).to_pylist()
    rows = answer[:limit]
    more = len(answer) > limit
    next_cursor = _seal(range_, table, rows[-1]) if more else None
    total = answer[0]["total"] if answer else (0 if cursor is None else None)
    return Page(range_, [_row(row) for row in rows], next_cursor, total)


def _row(row: Row) -> Row:
    for name in _ADDRESSES:
        row[name] = None if row[name] is None else str(ip_from_bytes(row[name]))
    row["protocol"] = protocol_name(row["protocol"])
    port = f"{row['protocol']} {row['dst_port']}" if row["dst_port"] else row["protocol"]
    return row | health(row) | verdict(row, _end(row, "src"), _end(row, "dst"), port)


def _end(row: Row, side: str) -> str:
    """An end as policies speak of it: a workload, else what is known of the address."""
    owner = row[f"{side}_workload"] or row[f"{side}_pod"]
    if owner:
        return f"{row[f'{side}_namespace']}/{owner}"
    return str(row[f"{side}_dns_name"] or row[f"{side}_ip"])


def _digest(table: Table) -> str:
    return hashlib.sha256(f"{table.sort}\n{table.asked}".encode()).hexdigest()[:16]


def _seal(range_: Range, table: Table, last: Row) -> str:
    value = last["sort_key"]
    if isinstance(value, bytes):
        value = str(ip_from_bytes(value))
    content = [range_.start_ns, range_.end_ns, _digest(table), value, last["edge_id"]]
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _open(cursor: str, table: Table, sort: str) -> tuple[Range, After]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        start, end, digest, value, edge = json.loads(raw)
        range_ = Range(int(start), int(end))
        type_ = Type.U64 if sort == "cost" else type_of(sort)
        if type_ is Type.IP:
            value = "::ffff:" + value if "." in value else value
            ip_bytes(value)
        elif not isinstance(value, str if type_ is Type.STRING else int) or isinstance(value, bool):
            raise ValueError("the sort value has another type")
        if not (isinstance(edge, str) and 0 <= range_.start_ns < range_.end_ns < 2**63):
            raise ValueError("not made here")
        if isinstance(value, int) and not 0 <= value < 2**63:
            raise ValueError("out of range")
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ParameterError("cursor", "not a cursor of this server: start again without one") from None
    if digest != _digest(table):
        raise ParameterError("cursor", "belongs to another question: keep every other parameter, or start without it")
    return range_, After(value, edge)
