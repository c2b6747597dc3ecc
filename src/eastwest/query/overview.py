"""A range in one look: sums over its edges, and what its pods' lookups came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eastwest.model.flow import Workload
from eastwest.store.predicates import Predicate
from eastwest.store.protocol import Store
from eastwest.store.questions import Lookups, Range, Totals

Row = dict[str, Any]

ANSWERED: Final = "NOERROR"
MOST_ROWS: Final = 10
_PHASES: Final = ("syn", "established", "closing")


def overview(
    store: Store,
    range_: Range,
    where: Predicate,
    owners: Mapping[str, Workload],
    namespace: str | None = None,
    *,
    hooked: bool = True,
) -> Row:
    """The fields of the API's Overview, without its window.

    owners: workload by UID of its pods. hooked: whether any node's DNS hook was on; without it lookups are not known.
    """
    (row,) = store.ask(Totals(range_, where)).to_pylist()
    for what in ("retransmits", "rtos"):
        known = [v for phase in _PHASES if (v := row.pop(f"{what}_{phase}")) is not None]
        row[what] = sum(known) if known else None
    row["segments"] = row.pop("segments_forward") + row.pop("segments_reverse")
    return row | {"dns": lookups(store, range_, owners, namespace, hooked=hooked)}


def lookups(store: Store, range_: Range, owners: Mapping[str, Workload], namespace: str | None, *, hooked: bool) -> Row:
    """The fields of the API's LookupSummary."""
    spaces = {name.strip() for name in (namespace or "").split(",") if name.strip()}
    total: dict[str, int] = {}
    by_owner: dict[tuple[str | None, str, str | None], dict[str, int]] = {}
    for told in store.ask(Lookups(range_)).to_pylist():
        owner = owners.get(told["pod_uid"] or "")
        if spaces and (owner is None or owner.namespace not in spaces):
            continue
        key = (owner.namespace, owner.name, owner.kind) if owner else (None, told["pod_uid"] or "unknown", None)
        for counts in (total, by_owner.setdefault(key, {})):
            counts[told["outcome"]] = counts.get(told["outcome"], 0) + told["lookups"]
    rows: list[Row] = [
        {"namespace": key[0], "name": key[1], "kind": key[2], "lookups": sum(counts.values()), "errors": _errors(counts),
         "outcomes": counts}
        for key, counts in by_owner.items()
        if _errors(counts)
    ]  # fmt: skip
    rows.sort(key=lambda r: (-r["errors"], str(r["namespace"]), r["name"]))
    known = hooked or bool(total)
    return {
        "lookups": sum(total.values()) if known else None,
        "errors": _errors(total) if known else None,
        "outcomes": dict(sorted(total.items())),
        "rows": rows[:MOST_ROWS],
    }


def _errors(counts: Mapping[str, int]) -> int:
    return sum(counts.values()) - counts.get(ANSWERED, 0)
