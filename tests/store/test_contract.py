"""What every Store answers, whatever engine is behind it."""

from __future__ import annotations

import ipaddress
from typing import Any

import pyarrow as pa
import pytest

from eastwest.model.batch import Amount, Books
from eastwest.model.schema import COLUMNS
from eastwest.store.errors import StoreRefusedError
from eastwest.store.parts import Part, Receipt, cut
from eastwest.store.predicates import Compare, Operator
from eastwest.store.protocol import Store
from eastwest.store.questions import (
    After,
    Edges,
    Extent,
    Flows,
    KnownBatches,
    NodeBooks,
    NodeGaps,
    NodeHistory,
    PodBooks,
    Range,
    Records,
    Talkers,
    WindowBooks,
    Words,
)
from store.factories_flows import HOUR, MINUTE, NOON, SECOND, aws, header, internet, pod, receipt, record, table

DAY = Range(NOON - 12 * HOUR, NOON + 12 * HOUR)
UI = pod("src", "shop", "ui", ip="10.0.0.1")
CARTS = pod("dst", "shop", "carts", ip="10.0.1.1", node="node-b")


def keep(store: Store, rows: pa.Table, block: str = "b1", *receipts: Receipt) -> None:
    for part in cut(block, rows, receipts):
        store.insert(part)


def rows(answer: pa.Table) -> list[dict[str, Any]]:
    return answer.to_pylist()


def test_records_come_back_as_they_went_in(store: Store) -> None:
    flows = table(record(UI, CARTS), record(UI, internet("dst", "2001:db8::1", "example.org"), at=NOON + SECOND))
    keep(store, flows)
    answer = store.ask(Records(DAY))
    assert answer.column_names == [c.name for c in COLUMNS]
    assert rows(answer) == rows(flows)


def test_a_journalled_block_of_an_older_version_goes_in_with_nulls(store: Store) -> None:
    newer = ["policy_allowed", "policy_denied", "policy_would_deny", "allowed_by", "denied_by"]
    for part in cut("old", table(record(UI, CARTS)), [receipt()]):
        rows_ = part.rows if part.table == "batches" else part.rows.drop_columns(newer)
        store.insert(Part(part.table, part.token, rows_))
    (got,) = rows(store.ask(Records(DAY)))
    assert [got[name] for name in newer] == [None] * 5
    assert rows(store.ask(Edges(DAY)))[0]["connections"] == 1  # the minutes are there, too


def test_the_same_token_changes_nothing(store: Store) -> None:
    for _ in range(3):
        keep(store, table(record(UI, CARTS)), "same", receipt())
    assert store.ask(Records(DAY)).num_rows == 1
    assert rows(store.ask(Edges(DAY)))[0]["connections"] == 1
    assert store.ask(KnownBatches()).num_rows == 1


def test_a_block_across_hours_is_cut_into_one_insert_each(store: Store) -> None:
    flows = table(*(record(UI, CARTS, at=NOON + h * HOUR) for h in (-1, 0, 1)))
    assert [p.table for p in cut("b", flows, [receipt()])] == ["flows"] * 3 + ["edges_1m", "batches"]
    keep(store, flows)
    assert store.ask(Records(DAY)).num_rows == 3


def test_wide_ranges_answer_from_minutes_to_the_byte(store: Store) -> None:
    keep(store, table(*(record(UI, CARTS, at=NOON + s * SECOND, bytes_forward=s) for s in range(0, 3600, 7))))
    for start, end in ((0, 3600), (1, 3599), (61, 1799), (5, 700)):
        asked = Range(NOON + start * SECOND, NOON + end * SECOND)
        expected = sum(s for s in range(0, 3600, 7) if start <= s < end)
        (edge,) = rows(store.ask(Edges(asked)))
        assert edge["bytes_forward"] == expected, (start, end)


def test_edges_are_summed_between_workloads_or_pods(store: Store) -> None:
    other = pod("src", "shop", "ui", 2, ip="10.0.0.2", node="node-b")
    keep(
        store, table(record(UI, CARTS), record(other, CARTS, service="carts", service_ip="10.96.0.1", service_port=80))
    )
    (edge,) = rows(store.ask(Edges(DAY)))
    assert (edge["source_kind"], edge["source_namespace"], edge["source_name"]) == ("workload", "shop", "ui")
    assert (edge["connections"], edge["bytes_forward"], edge["bytes_reverse"]) == (2, 200, 2000)
    assert sorted(edge["source_pods"]) == ["ui-1", "ui-2"]
    assert edge["via"] == {"1": None, "2": "carts", "3": 80}
    pods = rows(store.ask(Edges(DAY, "pod")))
    assert sorted(e["source_name"] for e in pods) == ["ui-1", "ui-2"]


def test_external_ends_keep_their_names_at_both_levels(store: Store) -> None:
    s3, web = aws("dst", "52.216.1.1", "S3", "us-east-1"), internet("dst", "93.184.216.34")
    keep(store, table(record(UI, s3, dst_port=443), record(UI, web, dst_port=443)))
    for level in ("workload", "pod"):
        names = {(e["target_kind"], e["target_name"], e["target_region"]) for e in rows(store.ask(Edges(DAY, level)))}
        assert names == {("aws", "S3", "us-east-1"), ("internet", "93.184.216.34", "")}


def test_pages_follow_each_other_also_where_names_are_missing(store: Store) -> None:
    ends = [CARTS, *(internet("dst", f"93.184.216.{i}") for i in range(5))]
    keep(store, table(*(record(UI, end) for end in ends)))
    for sort, descending in (
        ("bytes_forward", True),
        ("dst_namespace", False),
        ("dst_ip", True),
        ("first_seen_ns", False),
    ):
        found: list[str] = []
        after = None
        while page := rows(store.ask(Flows(DAY, sort=sort, descending=descending, limit=2, after=after))):
            found += [row["edge_id"] for row in page]
            value = page[-1]["sort_key"]
            after = After(str(ipaddress.IPv6Address(value)) if isinstance(value, bytes) else value, found[-1])
        assert len(found) == len(set(found)) == 6, sort


def test_conditions_are_two_valued(store: Store) -> None:
    keep(store, table(record(UI, CARTS), record(UI, internet("dst", "93.184.216.34"))))

    def count(operator: Operator) -> int:
        return store.ask(Flows(DAY, Compare("dst_namespace", operator, "shop"))).num_rows

    assert (count(Operator.EQ), count(Operator.NE)) == (1, 1)


def test_a_hostile_value_is_only_a_value(store: Store) -> None:
    keep(store, table(record(UI, CARTS)))
    for text in ("'; DROP TABLE flows; --", "\\", "{p0:String}", "%", "\0", "é'\n"):
        assert store.ask(Flows(DAY, Compare("src_namespace", Operator.EQ, text))).num_rows == 0
    assert store.ask(Flows(DAY)).num_rows == 1


def test_talkers_count_a_connection_once_per_end(store: Store) -> None:
    inside = pod("dst", "shop", "ui", 2, ip="10.0.0.2")
    keep(store, table(record(UI, CARTS), record(UI, inside, bytes_forward=11, bytes_reverse=12)))
    by_pod = {r["name"]: (r["bytes_sent"], r["bytes_received"], r["bytes"]) for r in rows(store.ask(Talkers(DAY)))}
    assert by_pod == {"ui-1": (111, 1012, 1123), "carts-1": (1000, 100, 1100), "ui-2": (12, 11, 23)}
    (shop,) = rows(store.ask(Talkers(DAY, "namespace")))
    assert (shop["name"], shop["bytes"], shop["connections"]) == ("shop", 1123, 2)
    most = rows(store.ask(Talkers(DAY, "workload", "connections", limit=1)))
    assert [(r["namespace"], r["name"], r["kind"]) for r in most] == [("shop", "ui", "Deployment")]


def test_words_are_found_by_any_part(store: Store) -> None:
    keep(store, table(record(UI, CARTS)))
    assert rows(store.ask(Words(DAY, "dst_workload", "ART"))) == [{"word": "carts"}]
    assert rows(store.ask(Words(DAY, "dst_workload", "%"))) == []


def test_books_are_summed_per_node_with_losses_by_cause(store: Store) -> None:
    lossy = Books("uid-1", "veth1", Amount(100, 10), Amount(70, 7), {"map_full": Amount(30, 3)})
    batches = [
        receipt(0),
        Receipt(
            header(1, at=NOON + 5 * SECOND, books=(lossy,), shipping_lost={"full": Amount(5, 1)}), NOON + 11 * SECOND
        ),
    ]
    keep(store, table(), "b", *batches)
    (node,) = rows(store.ask(NodeBooks(DAY)))
    assert (node["node"], node["hook_bytes"], node["recorded_bytes"]) == ("node-a", 1200, 1170)
    assert node["lost"] == {"1": ["map_full"], "2": [30], "3": [3]}
    assert node["shipping"] == {"1": ["full"], "2": [5], "3": [1]}
    assert node["skew_ns"] == -SECOND
    (history,) = rows(store.ask(NodeHistory()))
    assert history["last_window_end_ns"] == NOON + 10 * SECOND
    assert history["window_ns"] == 5 * SECOND


def test_windows_that_waited_for_the_server_are_counted_with_their_span(store: Store) -> None:
    in_time = [receipt(0), receipt(1, at=NOON + 5 * SECOND)]
    keep(store, table(), "a", *in_time)
    (node,) = rows(store.ask(NodeBooks(DAY)))
    assert node["late_windows"] == 0
    late = [
        Receipt(header(i, at=at, sent_at_ns=NOON + 100 * SECOND), NOON + 101 * SECOND)
        for i, at in ((2, NOON + 20 * SECOND), (3, NOON + 30 * SECOND))
    ]
    keep(store, table(), "b", *late)
    (node,) = rows(store.ask(NodeBooks(DAY)))
    assert node["late_windows"] == 2
    assert (node["late_start_ns"], node["late_end_ns"]) == (NOON + 20 * SECOND, NOON + 35 * SECOND)
    assert node["longest_wait_ns"] == 75 * SECOND


def test_books_per_pod_and_per_window(store: Store) -> None:
    fine, lossy, passed = (
        Books("uid-1", "v1", Amount(100, 10), Amount(100, 10)),
        Books(
            "uid-2",
            "v2",
            Amount(90, 9),
            Amount(60, 6),
            {"map_full": Amount(10, 1), "other": Amount(20, 2)},
            {"edges_folded": 7},
        ),
        Books(None, "v3", Amount(5, 1), Amount(5, 1), unseen={"hook_bypass": Amount(500, 5)}),
    )
    times = (NOON, NOON + 5 * SECOND)
    made = [Receipt(header(i, at=at, books=(fine, lossy, passed)), at + 6 * SECOND) for i, at in enumerate(times)]
    keep(store, table(), "b", *made)
    pods = rows(store.ask(PodBooks(DAY)))
    assert [(p["pod_uid"], p["interface"], p["hook_bytes"], p["recorded_packets"]) for p in pods] == [
        ("", "v3", 10, 2),  # what is missing most comes first
        ("uid-2", "v2", 180, 12),
        ("uid-1", "v1", 200, 20),
    ]
    assert pods[0]["unseen"] == {"1": ["hook_bypass"], "2": [1000], "3": [10]}
    assert pods[1]["lost"] == {"1": ["map_full", "other"], "2": [20, 40], "3": [2, 4]}
    assert pods[2]["lost"] == {"1": [], "2": [], "3": []}
    windows = rows(store.ask(WindowBooks(DAY)))
    assert [w["window_start_ns"] for w in windows] == [NOON + 5 * SECOND, NOON]
    assert (windows[0]["hook_bytes"], windows[0]["shipping"]) == (195, {"1": ["hook_bypass"], "2": [500], "3": [5]})
    assert windows[0]["lost"]["2"] == [10, 20]
    assert windows[0]["folded_edges"] == 7
    (node,) = rows(store.ask(NodeBooks(DAY)))
    assert node["folded_edges"] == 14


def test_gaps_lie_between_windows(store: Store) -> None:
    keep(store, table(), "b", *(receipt(i, at=NOON + s * SECOND) for i, s in enumerate((0, 5, 30, 35))))
    gaps = rows(store.ask(NodeGaps(Range(NOON, NOON + MINUTE))))
    assert [(g["gap_start_ns"] - NOON, g["gap_end_ns"] - NOON) for g in gaps] == [(10 * SECOND, 30 * SECOND)]


def test_an_empty_store_answers(store: Store) -> None:
    (extent,) = rows(store.ask(Extent()))
    assert (extent["first_ns"], extent["last_ns"], extent["rows"]) == (None, None, 0)
    for question in (Flows(DAY), Edges(DAY), Talkers(DAY), Records(DAY), NodeBooks(DAY), NodeHistory(), NodeGaps(DAY)):
        assert store.ask(question).num_rows == 0


def test_what_the_engine_refuses_says_why(store: Store) -> None:
    with pytest.raises(StoreRefusedError, match="nowhere"):
        store.insert(Part("nowhere", "t", pa.table({"a": [1]})))
    assert store.status().ready
