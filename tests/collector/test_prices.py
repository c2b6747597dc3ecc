"""A price table is taken whole or refused by field."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from eastwest.collector.prices import read, shipped
from eastwest.model.prices import PriceTableError, parse

GB = 1_073_741_824

TABLE: dict[str, Any] = {
    "name": "test", "as_of": "2026-01-01", "source": "made up", "currency": "USD", "bytes_per_gb": GB,
    "default": {
        "inter_zone_out": 0.01, "inter_zone_in": 0.01, "inter_region_out": 0.02, "internet_out": 0.09,
        "aws_same_region": 0.0,
    },
    "regions": {"us-east-1": {"internet_out": 0.05, "inter_region_out": 0.03}},
}  # fmt: skip


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
    file.write_text("{")
    with pytest.raises(PriceTableError, match=r"prices\.json: not JSON"):
        read(file)
