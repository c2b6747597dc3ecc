"""What traffic costs, from a dated price table that the user must check. Pure but for reading the table's file.

Format (`--prices FILE`, JSON): `name`, `as_of` (YYYY-MM-DD), `source`, `currency`, `bytes_per_gb`, `default` and
`regions`. `default` holds every rate, in currency per GB; `regions` maps a region to those that differ there. Rates:

- inter_zone_out, inter_zone_in: between zones of one region, charged to the sender and to the receiver
- inter_region_out: leaving a region for another one (also for an AWS service there), by the sender's region
- internet_out: leaving for the internet, by the sender's region; what comes in is free
- aws_same_region: to and from an AWS service of the same region

Flat rates only: monthly tiers, discounts, NAT gateways, load balancers and endpoints are not in it. An amount is an
estimate, and None where a zone or region that decides is not known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Amounts = NDArray[np.float64]
Mask = NDArray[np.bool_]

TCP_HEADER_BYTES: Final = 52
"""What each segment behind the first of a super-packet adds on the wire: IPv4 + TCP with timestamps."""


class PriceTableError(ValueError):
    """The file is not a price table; the text names the field."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Currency per GB."""

    inter_zone_out: float
    inter_zone_in: float
    inter_region_out: float
    internet_out: float
    aws_same_region: float


@dataclass(frozen=True, slots=True)
class PriceTable:
    name: str
    as_of: date
    source: str
    currency: str
    bytes_per_gb: int
    default: Rates
    regions: Mapping[str, Rates] = field(default_factory=dict)

    def rate(self, name: str, regions: NDArray[np.object_]) -> Amounts:
        """One rate per row, by region; an unknown region has the default rate. In currency per byte."""
        words, codes = np.unique(regions.astype(str), return_inverse=True)
        each = [getattr(self.regions.get(word, self.default), name) for word in words]
        return np.array(each, np.float64)[codes] / self.bytes_per_gb


def shipped() -> PriceTable:
    """The example table of this package."""
    return parse(files("eastwest.collector").joinpath("prices.json").read_text())


def read(path: Path) -> PriceTable:
    """Raises PriceTableError, OSError."""
    return parse(path.read_text())


def parse(text: str) -> PriceTable:
    """Raises PriceTableError naming the field."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise PriceTableError(f"not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise PriceTableError("expected an object")
    known = {f.name for f in fields(PriceTable)}
    if extra := sorted(set(raw) - known):
        raise PriceTableError(f"{extra[0]}: no such field; expected {', '.join(sorted(known))}")
    default = _rates(raw.get("default"), "default", {})
    regions = raw.get("regions", {})
    if not isinstance(regions, dict):
        raise PriceTableError("regions: expected an object")
    base = {f.name: getattr(default, f.name) for f in fields(Rates)}
    per_gb = raw.get("bytes_per_gb")
    if type(per_gb) is not int or per_gb <= 0:
        raise PriceTableError("bytes_per_gb: expected a whole number above 0, such as 1073741824")
    return PriceTable(
        name=_text(raw, "name"),
        as_of=_date(_text(raw, "as_of")),
        source=_text(raw, "source"),
        currency=_text(raw, "currency"),
        bytes_per_gb=per_gb,
        default=default,
        regions={name: _rates(rates, f"regions.{name}", base) for name, rates in regions.items()},
    )


def costs(table: pa.Table, prices: PriceTable) -> Amounts:
    """What each record cost, shape (n,), in the table's currency; NaN where it cannot be known.

    Bytes are those of the hook, plus the headers that segmentation adds where the record counts segments.
    """
    forward, reverse = _wire_bytes(table, "forward"), _wire_bytes(table, "reverse")
    src, dst = _Side.of(table, "src"), _Side.of(table, "dst")
    total = _one_way(prices, src, dst, forward) + _one_way(prices, dst, src, reverse)
    nothing_sent = (forward + reverse) == 0
    return np.where(nothing_sent, 0.0, total)


@dataclass(frozen=True, slots=True)
class _Side:
    kind: NDArray[np.object_]
    zone: NDArray[np.object_]
    region: NDArray[np.object_]

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
    rows = len(amount)
    know_zones = _known(sender.zone) & _known(receiver.zone)
    know_regions = _known(sender.region) & _known(receiver.region)
    other_region = know_regions & (sender.region != receiver.region)
    same_zone = know_zones & (sender.zone == receiver.zone)
    out, in_ = prices.rate("inter_zone_out", sender.region), prices.rate("inter_zone_in", receiver.region)
    region_out = prices.rate("inter_region_out", sender.region)

    aws_end = sender.is_("aws") | receiver.is_("aws")
    at_home = np.where(sender.inside, sender.region, receiver.region)
    aws = np.where(other_region & sender.inside, region_out, prices.rate("aws_same_region", at_home))
    aws = np.where(other_region & ~sender.inside, 0.0, np.where(know_regions, aws, math.nan))
    inside = np.select([other_region, same_zone, know_zones], [region_out, np.zeros(rows), out + in_], math.nan)
    internet = np.where(sender.inside, prices.rate("internet_out", sender.region), 0.0)

    rate = np.select(
        [sender.is_("internet") | receiver.is_("internet"), aws_end, sender.inside & receiver.inside],
        [internet, aws, inside],
        math.nan,
    )
    return np.where(amount == 0, 0.0, amount * rate)


def _wire_bytes(table: pa.Table, direction: str) -> Amounts:
    counted = _numbers(table, f"bytes_{direction}")
    if f"segments_{direction}" not in table.column_names:
        return counted
    extra = _numbers(table, f"segments_{direction}") - _numbers(table, f"packets_{direction}")
    return np.asarray(counted + np.maximum(extra, 0) * TCP_HEADER_BYTES)


def _numbers(table: pa.Table, name: str) -> Amounts:
    return np.asarray(table[name].to_numpy(), np.float64)


def _objects(table: pa.Table, name: str) -> NDArray[np.object_]:
    """Text, None where null; one object per distinct word."""
    return np.asarray(table[name].combine_chunks().to_numpy(zero_copy_only=False), object)


def _known(words: NDArray[np.object_]) -> Mask:
    return np.asarray(words != None)  # noqa: E711 - elementwise


def _rates(raw: Any, where: str, base: Mapping[str, float]) -> Rates:
    if not isinstance(raw, dict):
        raise PriceTableError(f"{where}: expected an object of rates")
    names = [f.name for f in fields(Rates)]
    if extra := sorted(set(raw) - set(names)):
        raise PriceTableError(f"{where}.{extra[0]}: no such rate; expected {', '.join(names)}")
    values = {**base, **raw}
    for name in names:
        value = values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not (0 <= value < math.inf):
            raise PriceTableError(f"{where}.{name}: expected a price per GB, 0 or more")
    return Rates(**{name: float(values[name]) for name in names})


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise PriceTableError(f"{name}: expected text")
    return value


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise PriceTableError(f"as_of: {text!r} is not a date such as 2026-11-22") from None
