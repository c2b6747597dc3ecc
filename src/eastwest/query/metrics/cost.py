"""What workload pairs cost, as counters: the dated price table is published beside them.

Amounts are kept in whole units of 10**-12 of the currency, so that they only rise and add up exactly.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Final

import numpy as np
import pyarrow as pa

from eastwest.model.prices import PriceTable
from eastwest.query.costs import costs
from eastwest.query.metrics.labels import PAIR, CappedCounters
from eastwest.runtime.openmetrics import Exposition, Family, Kind, label_text

UNIT: Final = 10**12
CURRENCY: Final = "currency"

PAIR_COST: Final = Family(
    "eastwest_pair_cost",
    Kind.COUNTER,
    "Estimated cost of traffic between two workloads, by the table in eastwest_price_table_info.",
    labels=(*PAIR, CURRENCY),
)
PAIR_UNPRICED: Final = Family(
    "eastwest_pair_unpriced_bytes",
    Kind.COUNTER,
    "L3 bytes between two workloads that are not in eastwest_pair_cost: a zone, region or end is not known.",
    "bytes",
    PAIR,
)
PRICE_TABLE: Final = Family(
    "eastwest_price_table", Kind.INFO, "The price table in use.", labels=("name", "as_of", "source", CURRENCY)
)
PRICES_AS_OF: Final = Family(
    "eastwest_price_table_as_of_seconds", Kind.GAUGE, "The day the price table speaks of, Unix time.", "seconds"
)
FAMILIES: Final = (PAIR_COST, PAIR_UNPRICED, PRICE_TABLE, PRICES_AS_OF)


class CostCounters:
    """Not thread-safe: `metrics.FlowMetrics` guards it. Without a price table it publishes nothing."""

    def __init__(self, limit: int, prices: PriceTable | None) -> None:
        self._prices = prices
        self._pairs = CappedCounters(len(PAIR), 2, limit)

    def add(self, grouped: pa.Table, now_s: float) -> None:
        """Count rows with PAIR, PLACES, BILLED and the bytes of both directions."""
        if self._prices is None:
            return
        amounts = costs(grouped, self._prices)
        unknown = np.isnan(amounts)
        size = grouped["bytes_forward"].to_numpy() + grouped["bytes_reverse"].to_numpy()
        columns = {
            "cost": np.where(unknown, 0, np.rint(np.nan_to_num(amounts) * UNIT)).astype(np.uint64),
            "unpriced": np.where(unknown, size, 0).astype(np.uint64),
        }
        table = grouped.select(list(PAIR))
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values))
        self._pairs.add_grouped(table, PAIR, list(columns), now_s)

    def render(self, out: Exposition) -> None:
        """Write every family."""
        prices = self._prices
        if prices is None:
            return
        names, sums, created = self._pairs.read()
        amounts = [amount / UNIT for amount in sums[:, 0].tolist()]
        out.write(PAIR_COST, [label_text(PAIR_COST.labels, (*n, prices.currency)) for n in names], amounts, created)
        out.write(PAIR_UNPRICED, [label_text(PAIR, n) for n in names], sums[:, 1], created)
        said = (prices.name, prices.as_of.isoformat(), prices.source, prices.currency)
        out.write(PRICE_TABLE, [label_text(PRICE_TABLE.labels, said)], [1])
        out.write(PRICES_AS_OF, [""], [datetime.combine(prices.as_of, time(), UTC).timestamp()])
