"""An invoice worked out by hand, and the table's own rules."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from eastwest.collector.prices import PriceTableError, costs, parse, read, shipped

GB = 1_073_741_824
A, B, C = ("eu-west-1a", "eu-west-1"), ("eu-west-1b", "eu-west-1"), ("us-east-1a", "us-east-1")
S3, S3_US, OUT = (None, "eu-west-1"), (None, "us-east-1"), (None, None)

TABLE: dict[str, Any] = {
    "name": "test", "as_of": "2026-01-01", "source": "made up", "currency": "USD", "bytes_per_gb": GB,
    "default": {
        "inter_zone_out": 0.01, "inter_zone_in": 0.01, "inter_region_out": 0.02, "internet_out": 0.09,
        "aws_same_region": 0.0,
    },
    "regions": {"us-east-1": {"internet_out": 0.05, "inter_region_out": 0.03}},
}  # fmt: skip

# source, destination, GB forward, GB reverse, dollars by hand
INVOICE: list[tuple[str, tuple, str, tuple, float, float, float]] = [
    ("pod", A, "pod", A, 100, 100, 0.0),  # within a zone
    ("pod", A, "pod", B, 30, 20, 1.00),  # 50 GB, charged 0.01 at each end
    ("node", A, "pod", B, 10, 0, 0.20),  # nodes pay too
    ("pod", A, "pod", C, 10, 10, 0.50),  # 10 x 0.02 one way, 10 x 0.03 the other
    ("pod", A, "internet", OUT, 5, 500, 0.45),  # what comes in is free
    ("internet", OUT, "pod", C, 500, 20, 1.00),  # 20 GB of answers at 0.05
    ("pod", A, "aws", S3, 70, 700, 0.0),  # same region
    ("pod", A, "aws", S3_US, 4, 400, 0.08),  # leaves the region; what comes back the sender pays
    ("pod", A, "pod", OUT, 1, 1, math.nan),  # nobody knows where that is
    ("pod", A, "pod", OUT, 0, 0, 0.0),  # nothing was sent
]


def records(rows: list[tuple]) -> pa.Table:
    def text(values: list[Any]) -> pa.Array:
        return pa.array(values, pa.string())

    return pa.table(
        {
            "src_kind": text([r[0] for r in rows]), "src_zone": text([r[1][0] for r in rows]),
            "src_region": text([r[1][1] for r in rows]), "dst_kind": text([r[2] for r in rows]),
            "dst_zone": text([r[3][0] for r in rows]), "dst_region": text([r[3][1] for r in rows]),
            "bytes_forward": pa.array([int(r[4] * GB) for r in rows], pa.uint64()),
            "bytes_reverse": pa.array([int(r[5] * GB) for r in rows], pa.uint64()),
        }
    )  # fmt: skip


def test_the_invoice() -> None:
    got = costs(records(INVOICE), parse(json.dumps(TABLE)))
    assert got.tolist() == pytest.approx([row[-1] for row in INVOICE], nan_ok=True)


def test_segmentation_adds_its_headers() -> None:
    table = records([("pod", A, "pod", B, 1, 0, 0)])
    for name, value in {
        "packets_forward": 10,
        "segments_forward": 1010,
        "packets_reverse": 3,
        "segments_reverse": 3,
    }.items():
        table = table.append_column(name, pa.array([value], pa.uint64()))
    (got,) = costs(table, parse(json.dumps(TABLE)))
    assert got == pytest.approx((GB + 1000 * 52) / GB * 0.02)


def test_the_example_says_what_it_is() -> None:
    table = shipped()
    assert table.as_of == date(2026, 11, 22)
    assert "Check every number" in table.source


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"as_of": "yesterday"}, "as_of"),
        ({"bytes_per_gb": 0}, "bytes_per_gb"),
        ({"default": {"internet_out": 1}}, "default.inter_zone_out"),
        ({"default": {**TABLE["default"], "internet_out": -1}}, "default.internet_out"),
        ({"default": {**TABLE["default"], "internet_out": math.nan}}, "default.internet_out"),
        ({"regions": {"us-east-1": {"internet": 1}}}, "regions.us-east-1.internet"),
        ({"colour": "red"}, "colour: no such field"),
        ({"name": None}, "name"),
    ],
)
def test_a_bad_table_is_refused_by_field(change: dict[str, Any], words: str) -> None:
    with pytest.raises(PriceTableError, match=words.replace(".", r"\.")):
        parse(json.dumps(TABLE | change))


def test_a_user_s_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(TABLE))
    assert read(file).regions["us-east-1"].internet_out == 0.05
    assert read(file).regions["us-east-1"].inter_zone_out == 0.01  # from the default
    with pytest.raises(PriceTableError, match="not JSON"):
        parse("{")
