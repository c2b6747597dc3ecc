"""A dated table of what traffic costs per GB, as a plain value, and its JSON form.

Format (`--prices FILE`, JSON): `name`, `as_of` (YYYY-MM-DD), `source`, `currency`, `bytes_per_gb`, `default` and
`regions`. `default` holds every rate, in currency per GB; `regions` maps a region to those that differ there. Flat rates
only: monthly tiers, discounts, NAT gateways, load balancers and endpoints are not in it. Which traffic is charged at
which rate is `query.costs` (records) and `store.costs` (SQL).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, Final

UNPRICED: Final = ("no_price_table", "end_unknown", "zone_unknown", "region_unknown")
"""Why an amount is unknown: no table; an end that nobody could name; two ends in the cluster of which one's zone is not
known; an AWS service, or the pod that uses it, whose region is not known."""


class PriceTableError(ValueError):
    """The file is not a price table; the text names the field."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Currency per GB.

    inter_zone_out, inter_zone_in: between zones of one region, charged to the sender and to the receiver;
    inter_region_out: leaving a region for another one (also for an AWS service there), by the sender's region;
    internet_out: leaving for the internet, by the sender's region (what comes in is free);
    aws_same_region: to and from an AWS service of the same region.
    """

    inter_zone_out: float
    inter_zone_in: float
    inter_region_out: float
    internet_out: float
    aws_same_region: float


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Rates with their date and source, which are shown beside every amount made with them."""

    name: str
    as_of: date
    source: str
    currency: str
    bytes_per_gb: int
    default: Rates
    regions: Mapping[str, Rates] = field(default_factory=dict)


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
