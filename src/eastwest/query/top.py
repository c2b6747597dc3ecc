"""Who moves the most."""

from __future__ import annotations

from typing import Any

from eastwest.model.prices import PriceTable
from eastwest.store.predicates import Predicate
from eastwest.store.protocol import Store
from eastwest.store.questions import By, Metric, Range, Talkers


def top(
    store: Store,
    range_: Range,
    by: By,
    metric: Metric,
    where: Predicate,
    limit: int,
    prices: PriceTable | None = None,
) -> list[dict[str, Any]]:
    """Rows whose fields are those of the API's TopRow."""
    return store.ask(Talkers(range_, by, metric, where, limit, prices)).to_pylist()
