"""Coverage in figures and sentences, from the books as a store answers them."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from eastwest.query.coverage.accounts import Accounts, coverage
from eastwest.store.parts import Part
from eastwest.store.protocol import Status
from eastwest.store.questions import NodeBooks, NodeGaps, NodeHistory, Question, Range

S = 1_000_000_000
NOW = 1_795_348_800 * S
RANGE = Range(NOW - 900 * S, NOW)


class Books:
    """A Store that knows the books of some nodes."""

    def __init__(self) -> None:
        self.tables: dict[type, list[dict[str, Any]]] = {NodeHistory: [], NodeBooks: [], NodeGaps: []}

    def node(
        self, name: str = "node-a", *, cluster: str = "c1", late_s: float = 0, reported: bool = True, **values: Any
    ) -> Books:
        last = NOW - int(late_s * S)
        key = {"cluster": cluster, "node": name}
        self.tables[NodeHistory].append(
            key | {"first_window_start_ns": NOW - 3600 * S, "last_window_end_ns": last, "window_ns": 5 * S}
        )
        nothing: dict[str, list[Any]] = {"1": [], "2": [], "3": []}
        if reported:
            self.tables[NodeBooks].append(
                key
                | {
                    "batches": 10,
                    "hook_bytes": 1000,
                    "hook_packets": 10,
                    "recorded_bytes": 1000,
                    "recorded_packets": 10,
                }
                | {"lost": nothing, "shipping": nothing, "hooks": "[]", "skew_ns": -1_000_000}
                | values
            )
        return self

    def gap(self, name: str, start_s: int, end_s: int) -> Books:
        gap = {"gap_start_ns": NOW - start_s * S, "gap_end_ns": NOW - end_s * S}
        self.tables[NodeGaps].append({"cluster": "c1", "node": name} | gap)
        return self

    def ask(self, question: Question) -> pa.Table:
        rows = self.tables[type(question)]
        return pa.Table.from_pylist(rows) if rows else pa.table({})

    def insert(self, part: Part) -> None: ...

    def status(self) -> Status:
        return Status(True, "fake")

    def accounts(self, expected: tuple[str, ...] = (), range_: Range = RANGE, *, recorded: bool = False) -> Accounts:
        return coverage(self, range_, NOW, expected, recorded=recorded)


def lost(cause: str, size: int, packets: int) -> dict[str, list[Any]]:
    return {"1": [cause], "2": [size], "3": [packets]}


def test_closed_books_are_complete_without_words() -> None:
    found = Books().node("node-a").node("node-b").accounts(("node-a", "node-b"))
    assert (found.complete, found.ratio, found.sentences) == (True, 1.0, [])
    assert (found.hook_bytes, found.unexplained_bytes, found.unexplained_packets) == (2000, 0, 0)


def test_nobody_reported() -> None:
    found = Books().accounts()
    assert (found.complete, found.ratio, found.hook_bytes) == (False, None, None)
    assert found.sentences == ["No agent has reported in this range."]


def test_declared_losses_close_the_books_but_are_told() -> None:
    found = Books().node(recorded_bytes=900, recorded_packets=9, lost=lost("flow_map_full", 100, 1)).accounts()
    assert (found.ratio, found.unexplained_bytes, found.lost) == (
        0.9,
        0,
        {"flow_map_full": {"bytes": 100, "packets": 1}},
    )
    assert found.sentences == ["node-a: 100 bytes in 1 packets lost to flow map full."]
    assert not found.complete


def test_batches_that_never_arrived_were_at_the_hook_too() -> None:
    found = Books().node(shipping=lost("buffer_full", 500, 5)).accounts()
    assert (found.hook_bytes, found.recorded_bytes, found.unexplained_bytes) == (1500, 1000, 0)


@pytest.mark.parametrize("hook", [1200, 800])
def test_what_nobody_explains_comes_first(hook: int) -> None:
    found = Books().node("node-a", late_s=600).node("node-b", hook_bytes=hook).accounts()
    assert found.unexplained_bytes == hook - 1000
    assert found.sentences[0].startswith(f"node-b: {hook - 1000} bytes")
    assert found.sentences[1] == (
        "node-a: silent; its last window is older than three of its windows. It ended at 2026-11-22 11:50:00 UTC."
    )


def test_silent_and_never() -> None:
    found = Books().node("node-a", late_s=19).node("node-b", late_s=17).accounts(("node-a", "node-b", "node-c"))
    assert {n.node: n.state for n in found.nodes} == {"node-a": "silent", "node-b": "reporting", "node-c": "never"}
    assert found.nodes[0].gaps_ns == [(NOW - 19 * S, NOW)]
    assert not found.complete


def test_a_node_that_fell_silent_later_was_reporting_then() -> None:
    earlier = Range(NOW - 1800 * S, NOW - 900 * S)
    (node,) = Books().node(late_s=600).accounts(range_=earlier).nodes
    assert (node.state, node.gaps_ns) == ("reporting", [])


def test_a_node_that_is_long_gone_is_not_missed() -> None:
    assert Books().node(late_s=3000, reported=False).accounts().nodes == []


def test_a_recording_ends_where_it_ends() -> None:
    found = Books().node(late_s=600).accounts(recorded=True)
    assert (found.complete, found.nodes[0].state, found.nodes[0].gaps_ns) == (True, "reporting", [])


def test_gaps_hooks_and_clocks_are_told() -> None:
    hooks = json.dumps([{"name": "conntrack", "state": "refused", "reason": "EACCES", "columns": ["service_ip"]}])
    found = Books().node(hooks=hooks, skew_ns=5 * S).gap("node-a", 300, 240).accounts()
    assert found.sentences == [
        "node-a: 1 gap without a report, 60 s in all: 2026-11-22 11:55:00 to 11:56:00 UTC.",
        "node-a: its clock is 5.0 s ahead of the server's.",
        "node-a: the kernel refused hook conntrack (EACCES); unknown without it: service_ip.",
    ]


def test_an_outage_is_told_from_what_waited_to_what_was_lost() -> None:
    """The server was away for ten minutes, the buffer was too small for the first of them."""
    late = {
        "late_windows": 96,
        "late_start_ns": NOW - 700 * S,
        "late_end_ns": NOW - 220 * S,
        "longest_wait_ns": 481 * S,
    }
    books = Books().node(shipping=lost("buffer_full", 500, 5), **late).node("node-b")
    found = books.gap("node-a", 820, 700).accounts()
    assert found.sentences == [
        "node-a: 500 bytes in 5 packets waited for the server until the agent's memory for them was full, and are lost "
        "(--spool DIR at the agent keeps windows on disk).",
        "node-a: 1 gap without a report, 120 s in all: 2026-11-22 11:46:20 to 11:48:20 UTC.",
    ]
    assert found.notes == [
        "node-a: 96 windows from 2026-11-22 11:48:20 to 11:56:20 UTC waited with the agent for the server, 481 s at the longest; "
        "they came in and are counted."
    ]
    only_late = Books().node(**(late | {"late_windows": 1})).accounts()
    assert (only_late.complete, only_late.sentences) == (True, [])
    assert only_late.notes[0].startswith("node-a: 1 window from")


def test_of_many_gaps_the_longest_are_told() -> None:
    books = Books().node()
    for start, end in ((800, 790), (700, 600), (500, 495), (400, 300), (200, 150)):
        books.gap("node-a", start, end)
    (said,) = books.accounts().sentences
    assert said == (
        "node-a: 5 gaps without a report, 265 s in all: 2026-11-22 11:48:20 to 11:50:00 UTC, 2026-11-22 11:53:20 to 11:55:00 UTC, "
        "2026-11-22 11:56:40 to 11:57:30 UTC and shorter ones."
    )


def test_a_hook_that_works_in_another_way_says_what_that_cannot_tell() -> None:
    ways = [{"name": "conntrack", "state": "on", "reason": "by netlink: several backends stay unknown", "columns": []}]
    plain = [{"name": "tcx", "state": "on", "reason": None, "columns": []}]
    found = Books().node(hooks=json.dumps(plain + ways)).accounts()
    assert found.sentences == ["node-a: hook conntrack works by netlink: several backends stay unknown."]


def test_a_clock_that_is_behind_is_told_too() -> None:
    (said,) = Books().node(skew_ns=-7 * S).accounts().sentences
    assert said == "node-a: its clock is 7.0 s behind the server's, or its batches take that long to arrive."


def test_a_window_whose_edges_did_not_fit_is_marked() -> None:
    found = Books().node(folded_edges=12).accounts()
    assert (found.complete, found.ratio, found.nodes[0].folded_edges) == (False, 1.0, 12)
    assert found.sentences == [
        "node-a: 12 edges beyond the node's budget have no name: they add up in __other__ of their pods."
    ]


def test_what_passed_a_hook_by_counts_as_lost_and_says_what_to_do() -> None:
    found = Books().node(shipping=lost("hook_bypass", 1000, 5)).accounts()
    assert (found.ratio, found.unexplained_bytes, found.complete) == (0.5, 0, False)
    (said,) = found.sentences
    assert said.startswith("node-a: 1000 bytes in 5 packets passed pods' interfaces without reaching a hook")
    assert "--by pod" in said


def test_nodes_of_several_clusters_keep_their_cluster() -> None:
    found = Books().node("node-a").node("node-a", cluster="c2").accounts()
    assert [n.node for n in found.nodes] == ["c1/node-a", "c2/node-a"]


def test_a_refused_hook_names_some_of_its_columns_and_counts_the_rest() -> None:
    def told(*columns: str) -> list[str]:
        hook = {"name": "sock", "state": "refused", "reason": "EPERM", "columns": columns}
        return Books().node(hooks=json.dumps([hook])).accounts().sentences

    refused = "node-a: the kernel refused hook sock (EPERM)"
    assert told() == [f"{refused}."]
    assert told(*"abcd") == [f"{refused}; unknown without it: a, b, c, d."]
    assert told(*"abcdefgh") == [f"{refused}; unknown without it: a, b, c and 5 more columns."]
