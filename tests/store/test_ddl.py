"""The tables follow the schema, for the embedded engine and a user's ClickHouse alike."""

from __future__ import annotations

import re

import pytest

from eastwest.model.schema import COLUMNS, Merge
from eastwest.store.ddl import ROLLUP_ATTRIBUTES, ROLLUP_KEYS, ROLLUP_LEFT_OUT, Keeping, migrations, statements
from eastwest.store.remote import connection


def _columns(sql: str) -> dict[str, str]:
    body = sql[sql.index("(\n") + 2 : sql.index("\n)\nENGINE")]
    return dict(line.strip().rstrip(",").split(" ", 1) for line in body.split("\n"))


def test_every_column_has_its_place() -> None:
    flows, rollup, _ = statements(Keeping())
    assert list(_columns(flows)) == [c.name for c in COLUMNS]
    assert set(_columns(rollup)) == {"minute_ns", *(c.name for c in COLUMNS)} - set(ROLLUP_LEFT_OUT)


def test_types_say_what_is_unknown_and_how_rows_merge() -> None:
    flows, rollup, _ = map(_columns, statements(Keeping()))
    assert flows["src_ip"] == "IPv6 CODEC(ZSTD(1))"
    assert flows["service_port"].startswith("Nullable(UInt16)")
    assert flows["src_pod"] == "LowCardinality(Nullable(String))"
    assert flows["cluster"] == "LowCardinality(String)"
    for column in COLUMNS:
        if column.merge is Merge.SUM:
            wanted = "Nullable(UInt64)" if column.nullable else "UInt64"
            assert rollup[column.name].startswith(f"SimpleAggregateFunction(sum, {wanted})")
    assert rollup["rtt_min_us"].startswith("SimpleAggregateFunction(min, Nullable(UInt64))")
    assert rollup["first_seen_ns"].startswith("SimpleAggregateFunction(min")
    assert all("anyLast" in rollup[name] for name in ROLLUP_ATTRIBUTES)
    assert not any("Aggregate" in rollup[name] for name in ROLLUP_KEYS)


def test_rows_are_durable_deduplicated_and_dropped_by_the_hour() -> None:
    for sql in statements(Keeping(3600, 7200, 10800)):
        assert "fsync_after_insert = 1" in sql
        assert "non_replicated_deduplication_window = 10000" in sql
        assert "ttl_only_drop_parts = 1" in sql
    flows, rollup, batches = statements(Keeping(3600, 7200, 10800))
    assert "PARTITION BY toStartOfHour" in flows
    assert [int(s) for sql in (flows, rollup, batches) for s in re.findall(r"INTERVAL (\d+) SECOND", sql)] == [
        3600, 7200, 10800,
    ]  # fmt: skip


def test_a_recording_is_kept_for_ever() -> None:
    assert not any(
        "TTL" in sql for sql in (*statements(Keeping(None, None, None)), *migrations(Keeping(None, None, None)))
    )


def test_a_later_version_adds_its_columns_and_its_retention() -> None:
    sql = migrations(Keeping(3600, None, None))
    assert sql[0].count("ADD COLUMN IF NOT EXISTS") == len(COLUMNS)
    assert sql[-1].startswith("ALTER TABLE flows MODIFY TTL")


def test_the_address_of_a_users_clickhouse() -> None:
    assert connection("clickhouse://me:p%40ss@db.example/flows?secure=true") == {
        "host": "db.example", "port": 8443, "username": "me", "password": "p@ss", "database": "flows", "secure": True,
    }  # fmt: skip
    assert connection("clickhouse://db:9999")["port"] == 9999


@pytest.mark.parametrize("url", ["http://db", "clickhouse://", "clickhouse://db/x?mode=fast"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="clickhouse://"):
        connection(url)
