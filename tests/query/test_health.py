"""Figures of an edge's health: known zero, unknown null, and nothing in between."""

from __future__ import annotations

from typing import Any

import pytest

from eastwest.api.models.edge import TcpHealth
from eastwest.query.health import BUCKET_COLUMNS, SUMS, health


def row(**values: Any) -> dict[str, Any]:
    return {**dict.fromkeys((*SUMS, "rtt_min_us")), **values}


def test_what_is_unknown_stays_unknown() -> None:
    assert set(health(row()).values()) == {None}
    assert set(health(row())) == set(TcpHealth.model_fields)


def test_a_known_zero_is_zero_and_a_mean_of_nothing_is_unknown() -> None:
    seen = health(row(**dict.fromkeys(SUMS, 0)))
    assert (seen["retransmits"], seen["resets"], seen["drops"]) == (0, 0, 0)
    assert seen["rtt_mean_us"] is seen["rtt_p50_us"] is seen["connect_mean_us"] is None


def test_totals_means_and_quantiles() -> None:
    buckets = dict.fromkeys(BUCKET_COLUMNS, 0) | {"rtt_bucket_03": 99, "rtt_bucket_09": 1}
    seen = health(
        row(
            retransmits_syn=1,
            retransmits_established=2,
            retransmits_closing=None,
            rtt_sum_us=600,
            rtt_count=3,
            **buckets,
        )
    )
    assert seen["retransmits"] == 3
    assert seen["rtt_mean_us"] == pytest.approx(200)
    p50, p99 = seen["rtt_p50_us"], seen["rtt_p99_us"]
    assert p50 is not None
    assert p99 is not None
    assert 128 <= p50 <= p99 <= 256
