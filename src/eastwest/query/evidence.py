"""Evidence bundles: a window of the store out as a zip, and a bundle back in as records and an inventory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from eastwest import __version__
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.raw import Problem, RawObject, load_text
from eastwest.k8s.sources import ObjectSource
from eastwest.k8s.write import cluster_files
from eastwest.model.schema import AGENT_COLUMNS, COLUMNS, Column, Stage
from eastwest.query.category import with_category
from eastwest.query.coverage.accounts import coverage
from eastwest.store.parts import ARROW, Part, cut
from eastwest.store.protocol import Store
from eastwest.store.questions import Range, Records
from eastwest.wire.bundle import Bundle, write_zip

_SIDES: Final = {f"{side}_{name}" for side in ("src", "dst") for name in ("kind", "zone", "region")}
_WORDS: Final = {"reporter": "client", "role_source": "unknown", "counted_in": "flow", "node": "recorded"}
"""What a record without these columns says: its source is the initiator, as the bundle's format promises."""


def bundle(
    store: Store,
    inventory: Inventory,
    range_: Range,
    now_ns: int,
    *,
    recorded: bool = False,
    told: Mapping[str, Any] | None = None,
) -> bytes:
    """Records, cluster objects and coverage of a range as one zip. `told`: the coverage that a recording brought, whose
    books the store does not have."""
    flows = store.ask(Records(range_))
    accounts = told or asdict(coverage(store, range_, now_ns, recorded=recorded))
    window = {"start_ns": range_.start_ns, "end_ns": range_.end_ns, "recorded": True}
    clusters = pc.unique(flows.column("cluster")).to_pylist()
    made = Bundle(
        window_start_ns=range_.start_ns,
        window_end_ns=range_.end_ns,
        flows=flows,
        cluster_files=cluster_files(inventory.versions(range_.start_ns, range_.end_ns)),
        coverage={**accounts, "window": window},
        cluster=",".join(sorted(str(c) for c in clusters)),
        tool_version=__version__,
    )
    out = io.BytesIO()
    write_zip(out, made)
    return out.getvalue()


def inventory(played: Bundle) -> Inventory:
    """The bundle's cluster objects, each valid for as long as its annotations say."""
    found: list[RawObject] = []
    problems: list[Problem] = []
    for name, text in played.cluster_files.items():
        load_text(text, name, found, problems)
    made = Inventory([ObjectSource(found)])
    made.poll()
    return made


def span(played: Bundle) -> Range:
    """The window that the bundle states, widened to hold every record."""
    flows = played.flows
    column = "window_start_ns" if "window_start_ns" in flows.column_names else "first_seen_ns"
    if not flows.num_rows:
        return Range(played.window_start_ns, max(played.window_end_ns, played.window_start_ns + 1))
    first, last = pc.min(flows.column(column)).as_py(), pc.max(flows.column(column)).as_py()
    return Range(min(played.window_start_ns, first), max(played.window_end_ns, last + 1))


def parts(played: Bundle, enrich: Callable[[pa.Table], pa.Table]) -> Iterator[Part]:
    """The bundle's records as parts for an empty store; ends without names are named from its cluster objects."""
    flows = _completed(played)
    if not {"category", "zone_pair"} & set(flows.column_names) and set(flows.column_names) >= _SIDES:
        flows = with_category(flows)  # a bundle of a version that did not say; its names stand
    missing = [c.name for c in COLUMNS if c.name not in flows.column_names]
    if missing or flows.column("src_kind").null_count or flows.column("dst_kind").null_count:
        flows = enrich(flows)
    yield from cut("bundle", flows, [])


def _completed(played: Bundle) -> pa.Table:
    """Every agent column; what the bundle leaves out is null, 0 for sums, or what its format implies."""
    flows = played.flows
    columns: dict[str, Any] = {name: flows.column(name) for name in flows.column_names}
    for column in AGENT_COLUMNS:
        given = columns.get(column.name)
        if given is None or (given.null_count and not column.nullable):
            default = _default(column, columns, played, flows.num_rows)
            columns[column.name] = default if given is None else pc.coalesce(given, default)
    if "src_kind" not in columns or "dst_kind" not in columns:
        columns = {n: c for n, c in columns.items() if _stage(n) is Stage.AGENT}
    return pa.table(columns)


def _stage(name: str) -> Stage:
    return next(c.stage for c in COLUMNS if c.name == name)


def _default(column: Column, columns: dict[str, Any], played: Bundle, rows: int) -> Any:
    match column.name:
        case "window_start_ns":
            return columns["first_seen_ns"]
        case "window_end_ns":
            return pc.add(columns["last_seen_ns"], 1)
        case "connections_established":
            return columns["connections"]
        case "cluster":
            return pa.array([played.cluster or "recorded"] * rows, pa.string())
        case name if name in _WORDS:
            return pa.array([_WORDS[name]] * rows, pa.string())
    if column.nullable:
        return pa.nulls(rows, ARROW[column.type])
    return pa.array([0] * rows, ARROW[column.type])
