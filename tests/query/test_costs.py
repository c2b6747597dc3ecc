"""An invoice worked out by hand: the same from records (numpy), from the store (SQL), and in the counters."""

from __future__ import annotations

import itertools
import json
import math
import random
from typing import Any

import pytest

from eastwest.model.flow import ip_bytes
from eastwest.model.prices import PriceTable, parse
from eastwest.query.costs import answer, costs, with_billed
from eastwest.query.metrics.pairs import FlowMetrics
from eastwest.runtime.openmetrics import Exposition
from eastwest.store.parts import cut
from eastwest.store.predicates import EVERYTHING
from eastwest.store.protocol import Store
from eastwest.store.questions import Edges, Flows, Range, Talkers
from store.conftest import engine, store  # noqa: F401  (fixtures)
from store.factories_flows import HOUR, NOON, record, table

GB = 1_073_741_824
A, B, C = ("eu-west-1a", "eu-west-1"), ("eu-west-1b", "eu-west-1"), ("us-east-1a", "us-east-1")
S3, S3_US, OUT = (None, "eu-west-1"), (None, "us-east-1"), (None, None)
DAY = Range(NOON - HOUR, NOON + HOUR)
PRICES: PriceTable = parse(
    json.dumps(
        {
            "name": "test", "as_of": "2026-01-01", "source": "made up", "currency": "USD", "bytes_per_gb": GB,
            "default": {
                "inter_zone_out": 0.01, "inter_zone_in": 0.02, "inter_region_out": 0.02, "internet_out": 0.09,
                "aws_same_region": 0.001,
            },
            "regions": {"us-east-1": {"internet_out": 0.05, "inter_region_out": 0.03, "inter_zone_in": 0.04}},
        }
    )
)  # fmt: skip

# source, destination, GB forward, GB reverse, what the source pays, what the destination pays, or why nobody knows
INVOICE: list[tuple[Any, ...]] = [
    ("pod", A, "pod", A, 100, 100, 0.0, 0.0),  # within a zone
    ("pod", A, "pod", B, 30, 20, 0.30 + 0.40, 0.60 + 0.20),  # out at 0.01, in at 0.02
    ("node", A, "pod", B, 10, 0, 0.10, 0.20),  # nodes pay, too
    ("pod", A, "pod", C, 10, 10, 0.20, 0.30),  # 10 x 0.02 one way, 10 x 0.03 the other
    ("pod", A, "internet", OUT, 5, 500, 0.45, 0.0),  # what comes in is free
    ("internet", OUT, "pod", C, 500, 20, 0.0, 1.00),  # 20 GB of answers at 0.05
    ("pod", A, "aws", S3, 70, 700, 0.77, 0.0),  # same region
    ("pod", A, "aws", S3_US, 4, 400, 0.08, 0.0),  # leaves the region; what comes back the sender pays
    ("pod", A, "pod", OUT, 1, 1, "zone_unknown"),
    ("pod", A, "service", OUT, 1, 0, "zone_unknown"),
    ("pod", A, "aws", OUT, 1, 1, "region_unknown"),
    ("pod", A, "unknown", OUT, 1, 0, "end_unknown"),
    ("unknown", OUT, "internet", OUT, 1, 0, "end_unknown"),
    ("pod", A, "pod", OUT, 0, 0, 0.0, 0.0),  # nothing was sent
]


def end(side: str, kind: str, place: tuple[str | None, str | None], ip: str) -> dict[str, Any]:
    name = f"{side}-{ip.rsplit('.', 1)[-1]}"
    values: dict[str, Any] = {"kind": kind, "zone": place[0], "region": place[1], "ip": ip}
    if kind == "pod":
        values |= {"namespace": side, "workload": name, "workload_kind": "Deployment", "pod": name}
    return {f"{side}_{key}": value for key, value in values.items()}


def row(n: int, line: tuple[Any, ...], **values: Any) -> dict[str, Any]:
    source, target = end("src", *line[:2], ip=f"10.0.{n}.1"), end("dst", *line[2:4], ip=f"10.1.{n}.1")
    return record(source, target, bytes_forward=int(line[4] * GB), bytes_reverse=int(line[5] * GB), **values)


ROWS = [row(n, line) for n, line in enumerate(INVOICE)]


def insert(store: Store, rows: list[dict[str, Any]]) -> None:  # noqa: F811
    for part in cut("b", table(*rows), []):
        store.insert(part)


def by_address(store: Store) -> dict[bytes, dict[str, Any]]:  # noqa: F811
    found = store.ask(Flows(DAY, sort="cost", limit=10_000, prices=PRICES)).to_pylist()
    amounts = [r["cost"] for r in found]
    assert amounts == sorted(amounts, key=lambda a: -1 if a is None else a, reverse=True), "not the dearest first"
    return {r["src_ip"]: r for r in found}


def test_the_invoice(store: Store) -> None:  # noqa: F811
    wanted = [math.nan if isinstance(line[6], str) else line[6] + line[7] for line in INVOICE]
    assert costs(with_billed(table(*ROWS)), PRICES).tolist() == pytest.approx(wanted, nan_ok=True)
    insert(store, ROWS)
    found = by_address(store)
    for n, line in enumerate(INVOICE):
        got = found[ip_bytes(f"10.0.{n}.1")]
        reason = line[6] if isinstance(line[6], str) else None
        assert (got["cost"] is None, got["unpriced_reason"]) == (reason is not None, reason), line
        assert got["unpriced_bytes"] == (int((line[4] + line[5]) * GB) if reason else 0), line
        assert reason or got["cost"] == pytest.approx(wanted[n]), line


def test_without_a_table_nothing_has_a_price(store: Store) -> None:  # noqa: F811
    insert(store, ROWS[1:2])
    (flow,) = store.ask(Flows(DAY)).to_pylist()
    (edge,) = store.ask(Edges(DAY)).to_pylist()
    for got in (flow, edge, answer(store, DAY, EVERYTHING, None, "pod", 5)):
        assert (got["cost"], got["unpriced_bytes"], got["unpriced_reason"]) == (None, 50 * GB, "no_price_table")


def test_who_pays(store: Store) -> None:  # noqa: F811
    insert(store, ROWS)
    priced = [(line[6], line[7]) for line in INVOICE if not isinstance(line[6], str)]
    got = answer(store, DAY, EVERYTHING, PRICES, "namespace", 10)
    assert got["cost"] == pytest.approx(math.fsum(a + b for a, b in priced))
    assert sum(c["cost"] or 0 for c in got["categories"]) == pytest.approx(got["cost"])
    assert sum(c["bytes"] for c in got["categories"]) == got["bytes"]
    assert (got["unpriced_bytes"], got["unpriced_reason"]) == (7 * GB, "zone_unknown")
    payers = {r["name"]: r["cost"] for r in got["rows"]}
    assert payers["dst"] == pytest.approx(0.80 + 0.20 + 0.30 + 1.00)  # pods only: nodes are in no namespace
    assert payers["src"] == pytest.approx(0.70 + 0.20 + 0.45 + 0.77 + 0.08)
    dearest = store.ask(Talkers(DAY, "pod", "cost", limit=1, prices=PRICES)).to_pylist()
    assert [r["name"] for r in dearest] == ["dst-1"]


def test_what_segmentation_repeats_is_billed(store: Store) -> None:  # noqa: F811
    base = {"packets_forward": 10, "segments_forward": 1010}
    kinds = [({}, 52), ({"protocol": 17}, 28), ({"src_ip": "2001:db8::1", "dst_ip": "2001:db8::2"}, 72)]
    rows = [row(1, (*INVOICE[1][:4], 1, 0), **base, **more) for more, _ in kinds]
    wanted = [(GB + 1000 * header) / GB * 0.03 for _, header in kinds]
    assert costs(with_billed(table(*rows)), PRICES).tolist() == pytest.approx(wanted)
    insert(store, rows)
    got = [r["cost"] for r in store.ask(Flows(DAY, prices=PRICES)).to_pylist()]
    assert sorted(got) == pytest.approx(sorted(wanted))


def test_records_and_store_agree_on_every_combination(store: Store) -> None:  # noqa: F811
    chance = random.Random(5)
    places = (A, B, C, S3, OUT)
    kinds = ("pod", "node", "service", "aws", "internet", "unknown")
    rows = []
    for n, (k1, p1, k2, p2) in enumerate(itertools.product(kinds, places, kinds, places)):
        sizes = {f"bytes_{way}": chance.choice((0, chance.randrange(1, 10 * GB))) for way in ("forward", "reverse")}
        source, target = end("src", k1, p1, f"10.{n // 256}.{n % 256}.1"), end("dst", k2, p2, "10.200.0.1")
        rows.append(record(source, target, **sizes))
    insert(store, rows)
    found = by_address(store)
    for made, amount in zip(rows, costs(with_billed(table(*rows)), PRICES).tolist(), strict=True):
        got = found[made["src_ip"]]["cost"]
        assert math.isnan(amount) if got is None else got == pytest.approx(amount, abs=1e-12), made


def test_counters_add_up_to_the_invoice() -> None:
    metrics = FlowMetrics(limit=3, prices=PRICES)
    metrics.take(table(*ROWS), 1000.0)
    out = Exposition()
    metrics.render(out, 2000.0)
    lines = [line for line in out.finish().decode().splitlines() if not line.startswith("#")]

    def total(name: str) -> float:
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))

    assert total("eastwest_pair_cost_total") == pytest.approx(
        math.fsum(line[6] + line[7] for line in INVOICE if not isinstance(line[6], str))
    )
    known_ends = 5 * GB  # reports with an unknown end wait for the other end's
    assert total("eastwest_pair_unpriced_bytes_total") >= known_ends
    (info,) = [line for line in lines if line.startswith("eastwest_price_table_info")]
    assert 'as_of="2026-01-01"' in info
    assert 'source="made up"' in info
