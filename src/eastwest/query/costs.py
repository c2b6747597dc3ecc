"""What records cost, vectorised, and the answer to "what did this window cost". Amounts are estimates by flat rates.

Each end pays what a provider charges it: the sender for leaving, the receiver for what enters its zone. So the costs of
all pods add up to the total. `store.costs` says the same in SQL; a test holds the two together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from eastwest.model.prices import PriceTable
from eastwest.store.predicates import Predicate
from eastwest.store.protocol import Store
from eastwest.store.questions import By, Costs, Range, Talkers

Amounts = NDArray[np.float64]
Mask = NDArray[np.bool_]
Words = NDArray[np.object_]
Row = dict[str, Any]

PLACES: Final = ("src_kind", "src_zone", "src_region", "dst_kind", "dst_zone", "dst_region")
BILLED: Final = ("billed_forward", "billed_reverse")
_MAPPED: Final = bytes(10) + b"\xff\xff"
_L4_BYTES: Final = {6: 32, 17: 8}
"""Header that each segment behind the first of a super-packet repeats; TCP with timestamps."""


def prices_used(prices: PriceTable | None) -> Row | None:
    """The fields of the API's PricesUsed: what must stand beside every amount."""
    if prices is None:
        return None
    return {"name": prices.name, "as_of": prices.as_of, "source": prices.source, "currency": prices.currency}


def answer(store: Store, range_: Range, where: Predicate, prices: PriceTable | None, by: By, limit: int) -> Row:
    """The fields of the API's Costs, without its window and prices."""
    groups = store.ask(Costs(range_, where, prices)).to_pylist()
    rows = store.ask(Talkers(range_, by, "cost", where, limit, prices)).to_pylist()
    return {
        **_sum(groups),
        "bytes": sum(row["bytes"] for row in groups),
        "categories": _grouped(groups, "category"),
        "zone_pairs": _grouped([row for row in groups if row["zone_pair"] is not None], "zone_pair"),
        "rows": rows,
    }


def _grouped(groups: list[Row], name: str) -> list[Row]:
    """Sums per word of one column, the dearest first."""
    parts: dict[str, list[Row]] = {}
    for row in groups:
        parts.setdefault(row[name] or "unknown", []).append(row)
    rows = [{"name": word, "bytes": sum(r["bytes"] for r in part), **_sum(part)} for word, part in parts.items()]
    return sorted(rows, key=lambda r: (-(r["cost"] or 0.0), -r["bytes"], r["name"]))


def _sum(rows: list[Row]) -> Row:
    """cost (None when nothing has a price), unpriced_bytes and the reason that most of them have."""
    known = [row["cost"] for row in rows if row["cost"] is not None]
    reasons = [(row["unpriced_bytes"], row["unpriced_reason"]) for row in rows if row["unpriced_reason"]]
    return {
        "cost": math.fsum(known) if known else None,
        "unpriced_bytes": sum(row["unpriced_bytes"] for row in rows),
        "unpriced_reason": max(reasons)[1] if reasons else None,
    }


def costs(table: pa.Table, prices: PriceTable) -> Amounts:
    """What each row costs, shape (n,), in the table's currency; NaN where it cannot be known.

    Needs PLACES and BILLED; for few rows (group first): words are compared as objects.
    """
    src, dst = _Side.of(table, "src"), _Side.of(table, "dst")
    forward, reverse = (np.asarray(table[name].to_numpy(), np.float64) for name in BILLED)
    return _one_way(prices, src, dst, forward) + _one_way(prices, dst, src, reverse)


def with_billed(table: pa.Table) -> pa.Table:
    """Records with BILLED: L3 bytes on the wire, where each segment behind the first repeats its headers."""
    protocol = table["protocol"].to_numpy()
    l3 = np.where(_is_ipv4(table), 20, 40)
    l4 = np.select([protocol == number for number in _L4_BYTES], list(_L4_BYTES.values()), 0)
    for name, way in zip(BILLED, ("forward", "reverse"), strict=True):
        segments, packets = (table[f"{what}_{way}"].to_numpy().astype(np.int64) for what in ("segments", "packets"))
        extra = np.maximum(segments - packets, 0) * (l3 + l4)
        table = table.append_column(name, pa.array(table[f"bytes_{way}"].to_numpy() + extra.astype(np.uint64)))
    return table


@dataclass(frozen=True, slots=True)
class _Side:
    kind: Words
    zone: Words
    region: Words

    @classmethod
    def of(cls, table: pa.Table, side: str) -> _Side:
        return cls(*(_objects(table, f"{side}_{name}") for name in ("kind", "zone", "region")))

    @property
    def inside(self) -> Mask:
        """In the cluster: what somebody pays for."""
        return np.isin(self.kind.astype(str), ("pod", "node", "service"))

    def is_(self, kind: str) -> Mask:
        return np.asarray(self.kind == kind)


def _one_way(prices: PriceTable, sender: _Side, receiver: _Side, amount: Amounts) -> Amounts:
    """What `amount` bytes from sender to receiver cost."""
    know_zones = _known(sender.zone) & _known(receiver.zone)
    know_regions = _known(sender.region) & _known(receiver.region)
    other_region = know_regions & (sender.region != receiver.region)
    same_zone = know_zones & (sender.zone == receiver.zone)
    paid_between = _rate(prices, "inter_zone_out", sender.region) + _rate(prices, "inter_zone_in", receiver.region)
    region_out = _rate(prices, "inter_region_out", sender.region)
    at_home = _rate(prices, "aws_same_region", np.where(sender.inside, sender.region, receiver.region))
    internet = _rate(prices, "internet_out", sender.region)
    within = sender.inside & receiver.inside
    outside = (sender.inside | receiver.inside) & ~within
    on_internet, on_aws = sender.is_("internet") | receiver.is_("internet"), sender.is_("aws") | receiver.is_("aws")
    rate = np.select(
        [
            amount == 0,
            outside & on_internet & sender.inside,
            outside & on_internet,
            outside & on_aws & other_region & sender.inside,
            outside & on_aws & other_region,
            outside & on_aws & know_regions,
            within & other_region,
            within & same_zone,
            within & know_zones,
        ],
        [np.zeros(len(amount)), internet, 0.0, region_out, 0.0, at_home, region_out, 0.0, paid_between],
        math.nan,
    )
    cost: Amounts = amount * rate
    return cost


def _rate(prices: PriceTable, name: str, regions: Words) -> Amounts:
    """One rate per row, by region; an unknown region has the default rate. In currency per byte."""
    words, codes = np.unique(regions.astype(str), return_inverse=True)
    each = [getattr(prices.regions.get(word, prices.default), name) for word in words]
    per_byte: Amounts = np.array(each, np.float64)[codes] / prices.bytes_per_gb
    return per_byte


def _is_ipv4(table: pa.Table) -> Mask:
    array = table["src_ip"].combine_chunks()
    raw: Any = array.buffers()[1]
    octets = np.frombuffer(raw, np.uint8)[array.offset * 16 : (array.offset + len(array)) * 16].reshape(-1, 16)
    return np.asarray((octets[:, :12] == np.frombuffer(_MAPPED, np.uint8)).all(axis=1))


def _objects(table: pa.Table, name: str) -> Words:
    """One object per distinct word, None where null."""
    return np.asarray(table[name].combine_chunks().to_numpy(zero_copy_only=False), object)


def _known(words: Words) -> Mask:
    return np.asarray(words != None)  # noqa: E711 - elementwise
