"""Connections onto edges: by the flow map's answer, else by the socket's own addresses."""

from __future__ import annotations

from typing import Any

import numpy as np

from eastwest.agent.abi import ROLE_SOURCES
from eastwest.agent.edges import KEY, SUMS, Edges
from eastwest.agent.sock.health import COLUMNS, add_up, of_edges, of_sums, on_the_wire, onto
from eastwest.agent.sock.ledger import INCREMENT
from eastwest.agent.sock.record import Role
from eastwest.agent.sock.sums import SUMS as SUM_ENTRY
from eastwest.model.flow import RoleSource, ip_bytes
from eastwest.model.histogram import BUCKETS

POD, SERVICE, BACKEND = (np.frombuffer(ip_bytes(a), np.uint8) for a in ("10.0.0.1", "10.96.0.1", "10.0.1.7"))
NETNS, IFINDEX = 4026532000, 9


def increment(remote: np.ndarray = SERVICE, port: int = 80, **fields: Any) -> np.ndarray:
    made = np.zeros(1, INCREMENT)
    made["local"], made["remote"], made["local_port"], made["remote_port"] = POD, remote, 40000, port
    made["netns"], made["role"], made["now_ns"] = NETNS, Role.CLIENT, 77
    for name, value in fields.items():
        made[name] = value
    return made


def edge_words(dst: np.ndarray, port: int, service: bool) -> np.ndarray:
    key = np.zeros(1, KEY)
    key["src"], key["dst"], key["dst_port"], key["ifindex"], key["protocol"], key["role"] = (
        POD,
        dst,
        port,
        IFINDEX,
        6,
        1,
    )
    key["role_source"] = ROLE_SOURCES.index(RoleSource.HANDSHAKE)
    if service:
        key["service"], key["service_port"] = SERVICE, 80
    return key.view(np.uint64).reshape(1, -1)


def translating(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A flow map that holds connections to the Service's port 80 only."""
    assert set(keys["ifindex"].tolist()) <= {IFINDEX, 0}
    found = keys["peer_port"] == 80
    return np.where(found[:, None], edge_words(BACKEND, 8080, True), 0), found


def test_a_connection_joins_the_edge_its_packets_are_recorded_under() -> None:
    increments = np.concatenate(
        [
            increment(retransmits=(1, 2, 0), rtt_min_us=50, connect_us=10, attempts=1),
            increment(local_port=40001, retransmits=(0, 5, 1), rtt_min_us=0),
            increment(local_port=40002, rtt_min_us=30, connect_us=20, attempts=1, failures=1),
        ]
    )
    health = of_edges(increments, {NETNS: IFINDEX}, translating)
    assert health.words.tolist() == edge_words(BACKEND, 8080, True).tolist()
    assert health.unresolved == 0
    one = {name: column.tolist() for name, column in health.columns.items()}
    assert set(one) == set(COLUMNS)
    assert (one["retransmits_syn"], one["retransmits_established"], one["retransmits_closing"]) == ([1], [7], [1])
    assert (one["rtt_min_us"], one["connect_sum_us"], one["connect_count"]) == ([30], [30], [2])
    assert (one["connection_attempts"], one["connection_failures"]) == ([2], [1])


def test_a_connection_without_a_flow_keeps_its_own_addresses_and_is_counted() -> None:
    health = of_edges(increment(port=81, failures=1), {NETNS: IFINDEX}, translating)
    assert health.words.tolist() == edge_words(SERVICE, 81, False).tolist()
    assert health.unresolved == 1
    server = of_edges(increment(port=81, role=Role.SERVER, local_port=8080, netns=1), {NETNS: IFINDEX}, translating)
    key = server.words.view(KEY).reshape(-1)[0]
    assert (key["dst"].tolist(), key["dst_port"], key["src_port"], key["ifindex"]) == (POD.tolist(), 8080, 0, 0)


def test_edges_without_packets_are_added_and_the_others_keep_their_place() -> None:
    words = np.concatenate([edge_words(BACKEND, 9, False), edge_words(BACKEND, 8080, True)])
    edges = Edges(
        words,
        np.arange(2 * len(SUMS), dtype=np.uint64).reshape(2, -1),
        *np.ones((2, 2), np.uint64),
        np.zeros((2, 2), np.uint32),
    )
    health = of_edges(
        np.concatenate([increment(resets=3), increment(port=81, failures=1)]), {NETNS: IFINDEX}, translating
    )
    joined, columns = onto(edges, health)
    assert len(joined) == 3
    assert joined.words[:2].tolist() == words.tolist()
    assert joined.sums[2].tolist() == [0] * len(SUMS)
    assert joined.first_ns[2] == joined.last_ns[2] == 77
    assert columns["resets"].tolist() == [0, 3, 0]
    assert columns["connection_failures"].tolist() == [0, 0, 1]


def test_nothing_onto_nothing() -> None:
    empty = Edges(
        np.empty((0, 8), np.uint64),
        np.empty((0, len(SUMS)), np.uint64),
        *np.empty((2, 0), np.uint64),
        np.empty((0, 2), np.uint32),
    )
    joined, columns = onto(empty, of_edges(np.empty(0, INCREMENT), {}, translating))
    assert len(joined) == 0
    assert columns["resets"].shape == (0,)


def test_parts_add_up_to_the_whole() -> None:
    increments = np.concatenate(
        [
            increment(local_port=40000 + i, port=80 + i % 3, retransmits=(i, 2 * i, 1), rtt_min_us=rtt, now_ns=100 + i)
            for i, rtt in enumerate((50, 0, 30, 0, 0, 70, 20, 9, 0))
        ]
    )
    increments["rtt_histogram"][:, 2] = increments["rtt_count"] = 3
    increments["rtt_sum_us"] = np.arange(len(increments)) * 1000
    parts = [increments[:2], increments[2:2], increments[2:5], increments[5:]]
    whole = of_edges(increments, {NETNS: IFINDEX}, translating)
    made = add_up([of_edges(part, {NETNS: IFINDEX}, translating) for part in parts])
    assert (made.words == whole.words).all()
    assert made.times_ns.tolist() == whole.times_ns.tolist()
    assert made.unresolved == whole.unresolved == 6
    assert {n: c.tolist() for n, c in made.columns.items()} == {n: c.tolist() for n, c in whole.columns.items()}


def test_a_pod_that_talks_to_itself_is_not_on_the_wire() -> None:
    inside = ("127.0.0.1", "127.8.0.9", "::1", "10.0.0.1")
    outside = ("126.0.0.1", "128.0.0.1", "10.0.0.2", "::2", "fd00::7f", "fd00::1")
    ends = [increment(np.frombuffer(ip_bytes(a), np.uint8)) for a in (*inside, *outside)]
    assert on_the_wire(np.concatenate(ends)).tolist() == [False] * len(inside) + [True] * len(outside)
    assert on_the_wire(ends[0][:0]).size == 0


def sums(*edges: tuple[np.ndarray, int], **fields: Any) -> np.ndarray:
    """What the kernel added up: (words of the edge, number of the window) each."""
    made = np.zeros(len(edges), SUM_ENTRY)
    for i, (words, window) in enumerate(edges):
        made["key"]["words"][i], made["key"]["window"][i] = words[0], window
    for name, value in fields.items():
        made["value"][name] = value
    return made


def test_what_the_kernel_added_up_is_what_would_have_been_added_up_here() -> None:
    increments = np.concatenate(
        [
            increment(attempts=1, connect_us=10, rtt_min_us=50, rtt_count=1, rtt_sum_us=60, rtt_histogram=one_in(1)),
            increment(attempts=1, failures=1, retransmits=(1, 2, 3), rtos=(4, 5, 6), resets=7, timeouts=8, now_ns=99),
            increment(attempts=1, connect_us=5, rtt_min_us=40, rtt_count=1, rtt_sum_us=50, rtt_histogram=one_in(1)),
        ]
    )
    here = of_edges(increments, {NETNS: IFINDEX}, translating)
    there = of_sums(
        sums(
            (edge_words(BACKEND, 8080, True), 3),
            attempts=3, failures=1, resets=7, timeouts=8, retransmits=(1, 2, 3), rtos=(4, 5, 6), connect_count=2,
            connect_sum_us=15, rtt_min_us=40, rtt_sum_us=110, rtt_histogram=2 * one_in(1), now_ns=99,
        )
    )  # fmt: skip
    assert (here.words == there.words).all()
    assert here.columns.keys() == there.columns.keys() == set(COLUMNS)
    assert {n: c.tolist() for n, c in here.columns.items()} == {n: c.tolist() for n, c in there.columns.items()}
    assert here.times_ns.tolist() == there.times_ns.tolist() == [99]


def test_an_edge_of_two_windows_without_an_agent_is_one_edge() -> None:
    edge, other = edge_words(BACKEND, 8080, True), edge_words(POD, 9, False)
    found = of_sums(sums((edge, 3), (other, 3), (edge, 4), attempts=(1, 10, 100), rtt_min_us=(30, 0, 20)))
    by_edge = {w.tobytes(): i for i, w in enumerate(found.words)}
    assert len(by_edge) == len(found.words) == 2
    assert found.columns["connection_attempts"][by_edge[edge.tobytes()]] == 101
    assert found.columns["rtt_min_us"][by_edge[edge.tobytes()]] == 20
    assert found.columns["connection_attempts"][by_edge[other.tobytes()]] == 10


def test_nothing_added_up_is_nothing() -> None:
    found = add_up([of_sums(sums()), of_edges(increment()[:0], {}, translating), of_sums(sums())])
    assert len(found.words) == 0
    assert found.columns.keys() == set(COLUMNS)


def one_in(bucket: int) -> np.ndarray:
    return (np.arange(BUCKETS) == bucket).astype(np.uint32)
