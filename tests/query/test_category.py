from __future__ import annotations

import pyarrow as pa
import pytest

from eastwest.query.category import CATEGORIES, with_category

A, B, C = ("eu-west-1a", "eu-west-1"), ("eu-west-1b", "eu-west-1"), ("us-east-1a", "us-east-1")
NOWHERE = (None, None)


def one(src: str, src_place: tuple, dst: str, dst_place: tuple) -> pa.Table:
    columns = {"kind": (src, dst), "zone": (src_place[0], dst_place[0]), "region": (src_place[1], dst_place[1])}
    return pa.table(
        {
            f"{side}_{name}": pa.array([pair[i]], pa.string())
            for i, side in enumerate(("src", "dst"))
            for name, pair in columns.items()
        }
    )


@pytest.mark.parametrize(
    ("src", "src_place", "dst", "dst_place", "category", "pair"),
    [
        ("pod", A, "pod", A, "intra_zone", "eu-west-1a>eu-west-1a"),
        ("pod", A, "pod", B, "inter_zone", "eu-west-1a>eu-west-1b"),
        ("pod", A, "pod", C, "inter_region", "eu-west-1a>us-east-1a"),
        ("pod", A, "aws", (None, "eu-west-1"), "aws", None),
        ("pod", A, "aws", (None, "us-east-1"), "aws", None),
        ("internet", NOWHERE, "pod", A, "internet", None),
        ("node", A, "pod", A, "node", "eu-west-1a>eu-west-1a"),
        ("pod", A, "service", NOWHERE, "service", None),
        ("pod", A, "unknown", NOWHERE, "unknown", None),
        ("pod", A, "pod", NOWHERE, "unknown", None),
    ],
)
def test_each_word(src: str, src_place: tuple, dst: str, dst_place: tuple, category: str, pair: str | None) -> None:
    got = with_category(one(src, src_place, dst, dst_place))
    assert got["category"].to_pylist() == [category]
    assert got["zone_pair"].to_pylist() == [pair]
    assert category in CATEGORIES
