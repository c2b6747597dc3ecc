# ruff: noqa: S608 - every value is bound
"""What an edge costs, in SQL: the rules of `query.costs` as columns, so that the store can sort and add up by them.

cost_src, cost_dst  what each end pays; null where it cannot be known
cost                their sum
unpriced_reason     a word of model.prices.UNPRICED where it is null
"""

from __future__ import annotations

from typing import Final

from eastwest.model.prices import PriceTable
from eastwest.store.statement import Binder

_INSIDE: Final = "('pod', 'node', 'service')"
UNIT: Final = 10**12
"""Amounts are sorted as whole numbers of this part of the currency: floats do not survive text to the last bit."""


def with_costs(edges: str, prices: PriceTable | None, binder: Binder) -> str:
    """A subquery over `edges` (a subquery with EDGE_COLUMNS) that adds the four columns."""
    if prices is None:
        nothing = ", ".join(f"CAST(NULL AS Nullable(Float64)) AS {n}" for n in ("cost_src", "cost_dst", "cost"))
        return f"(SELECT *, {nothing}, 'no_price_table' AS unpriced_reason FROM {edges})"
    rates = _Rates(prices, binder)
    out_src, in_dst = rates.paid("src", "dst", "forward")
    out_dst, in_src = rates.paid("dst", "src", "reverse")
    return f"""(
SELECT *, {out_src} + {in_src} AS cost_src, {out_dst} + {in_dst} AS cost_dst, cost_src + cost_dst AS cost,
  multiIf(isNotNull(cost), NULL, src_kind = 'unknown' OR dst_kind = 'unknown', 'end_unknown',
    src_kind = 'aws' OR dst_kind = 'aws', 'region_unknown', 'zone_unknown') AS unpriced_reason
FROM {edges}
)"""


def sums(cost: str = "cost", weight: str = "bytes_forward + bytes_reverse") -> str:
    """The aggregates of an answer that adds edges up: cost (null when nothing has a price) and what is not in it."""
    return f"""sum({cost}) AS cost, sumIf({weight}, isNull({cost})) AS unpriced_bytes,
  argMaxIf(unpriced_reason, {weight}, isNull({cost})) AS unpriced_reason"""


def sort_key(name: str) -> str:
    """A whole number that orders amounts; unknown is below 0."""
    return f"ifNull(toUInt64(round({name} * {UNIT})) + 1, 0)"


class _Rates:
    """Expressions of one price table, in currency per byte."""

    def __init__(self, prices: PriceTable, binder: Binder) -> None:
        self._prices, self._binder = prices, binder
        self._regions = binder.bind(list(prices.regions), "Array(String)") if prices.regions else None
        self._bound: dict[str, tuple[str, str]] = {}

    def _rate(self, name: str, region: str) -> str:
        if name not in self._bound:
            per_byte = self._prices.bytes_per_gb
            each = [getattr(rates, name) / per_byte for rates in self._prices.regions.values()]
            default = self._binder.bind(getattr(self._prices.default, name) / per_byte, "Float64")
            self._bound[name] = self._binder.bind(each, "Array(Float64)") if each else "", default
        special, default = self._bound[name]
        if not special:
            return default
        return f"transform(toString(ifNull({region}, '')), {self._regions}, {special}, {default})"

    def paid(self, sender: str, receiver: str, way: str) -> tuple[str, str]:
        """What the sender and what the receiver pay for one direction of an edge."""
        s_in, r_in = f"{sender}_kind IN {_INSIDE}", f"{receiver}_kind IN {_INSIDE}"
        s_region, r_region = f"{sender}_region", f"{receiver}_region"
        know_regions = f"isNotNull({s_region}) AND isNotNull({r_region})"
        other_region = f"{know_regions} AND {s_region} != {r_region}"
        know_zones = f"isNotNull({sender}_zone) AND isNotNull({receiver}_zone)"
        same_zone = f"{know_zones} AND {sender}_zone = {receiver}_zone"
        internet = f"'internet' IN ({sender}_kind, {receiver}_kind) AND ({s_in} OR {r_in})"
        aws = f"'aws' IN ({sender}_kind, {receiver}_kind) AND ({s_in} OR {r_in})"
        billed = f"(wire_bytes_{way} - 14 * greatest(segments_{way}, packets_{way}))"

        def each(to_internet: str, aws_away: str, aws_home: str, away: str, next_door: str) -> str:
            return f"""multiIf(bytes_{way} = 0, 0.,
  {internet}, {to_internet},
  {aws} AND {other_region}, {aws_away}, {aws} AND {know_regions}, {aws_home},
  {s_in} AND {r_in} AND {other_region}, {away}, {s_in} AND {r_in} AND {same_zone}, 0.,
  {s_in} AND {r_in} AND {know_zones}, {next_door}, NULL) * {billed}"""

        region_out = self._rate("inter_region_out", s_region)
        home = self._rate("aws_same_region", s_region)
        if_inside = f"if({s_in}, {{}}, 0.)"
        leaving = each(
            if_inside.format(self._rate("internet_out", s_region)),
            if_inside.format(region_out),
            if_inside.format(home),
            region_out,
            self._rate("inter_zone_out", s_region),
        )
        arriving = each(
            "0.",
            "0.",
            f"if({r_in}, {self._rate('aws_same_region', r_region)}, 0.)",
            "0.",
            self._rate("inter_zone_in", r_region),
        )
        return leaving, arriving
