"""What does not fit a node's budget is declared per pod; what fits is kept, however rare. Columns, and real packets."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.netlab import ASK, Node
from agent.receiver import Receiver, agent
from eastwest.agent.folding import OTHER, fold
from eastwest.model.batch import Amount
from eastwest.model.flow import ip_bytes
from eastwest.wire.batch import ColumnData, Maybe, Words
from store.factories_flows import NOON, record

Row = dict[str, Any]
SUMMED = ("bytes_forward", "bytes_reverse", "packets_forward", "connections", "retransmits_established")


def edge(pod: str, peer: int, port: int = 80, *, server: bool = False, **values: Any) -> Row:
    own, far = f"10.0.0.{pod[-1]}", f"10.9.{peer // 250}.{peer % 250}"
    ends = {"src_ip": far, "dst_ip": own} if server else {"src_ip": own, "dst_ip": far}
    return record(ends, pod_uid=pod, reporter="server" if server else "client", dst_port=port, **values)


def columns(rows: list[Row]) -> dict[str, ColumnData]:
    from api.factories_batches import columns as made

    return made(rows)


def table(folded: Any) -> list[Row]:
    def values(data: ColumnData) -> list[Any]:
        if isinstance(data, Words):
            return [data.words[c] for c in data.codes]
        if isinstance(data, Maybe):
            plain = values(data.values)
            return [v if ok else None for v, ok in zip(plain, data.valid.tolist(), strict=True)]
        return [row.tobytes() for row in data] if data.ndim == 2 else data.tolist()

    read = {name: values(data) for name, data in folded.columns.items()}
    assert {len(v) for v in read.values()} == {folded.rows}
    return [dict(zip(read, row, strict=True)) for row in zip(*read.values(), strict=True)]


def totals(rows: list[Row]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row["pod_uid"], Counter()).update({n: row[n] or 0 for n in SUMMED})
    return found


NOISY = [edge("noisy-1", n, bytes_forward=1000 + n, retransmits_established=n % 3) for n in range(500)]
QUIET = [edge("quiet-2", 7, 5432, bytes_forward=1), edge("quiet-2", 8, 9092, server=True, bytes_forward=2)]


def test_what_fits_is_left_alone() -> None:
    made = columns(NOISY + QUIET)
    assert fold(made, 502, 502).columns is made
    assert fold(made, 502, 502).edges == {}


def test_a_noisy_pod_gives_way_and_a_quiet_one_keeps_everything() -> None:
    folded = fold(columns(NOISY + QUIET), 502, 100)
    rows = table(folded)
    assert len(rows) == 101
    assert folded.edges == {"noisy-1": 402}
    kept = [row for row in rows if row["counted_in"] == "flow"]
    assert {(r["dst_port"], r["reporter"]) for r in kept if r["pod_uid"] == "quiet-2"} == {
        (5432, "client"),
        (9092, "server"),
    }
    (other,) = [row for row in rows if row["counted_in"] == "other"]
    assert (other["src_ip"], other["dst_ip"]) == (ip_bytes("10.0.0.1"), bytes(16))
    assert (other["src_dns_name"], other["dst_dns_name"], other["dst_port"], other["protocol"]) == (None, OTHER, 0, 6)
    assert min(r["bytes_forward"] for r in kept if r["pod_uid"] == "noisy-1") == 1402  # its largest stay
    assert totals(rows) == totals(NOISY + QUIET)


def test_one_edge_of_each_port_stays_before_a_second_of_any() -> None:
    rare = [edge("noisy-1", 600 + port, port, bytes_forward=1) for port in range(20)]
    kept = table(fold(columns(NOISY + rare), 520, 50))
    assert {r["dst_port"] for r in kept if r["counted_in"] == "flow"} == {80, *range(20)}


@pytest.mark.parametrize("budget", [1, 3, 17, 60])
def test_sums_stay_whatever_the_budget(budget: int) -> None:
    chance = np.random.default_rng(budget)
    rows = [
        edge(
            pod, n, int(chance.integers(5)), server=server, protocol=protocol, bytes_reverse=int(chance.integers(9999))
        )
        for n, (pod, server, protocol) in enumerate(
            itertools.islice(itertools.cycle(itertools.product(("a-1", "b-2", "c-3"), (True, False), (6, 17))), 75)
        )
    ]
    folded = fold(columns(rows), 75, budget)
    read = table(folded)
    others = [r for r in read if r["counted_in"] == "other"]
    assert len(read) - len(others) <= budget
    assert len(others) <= 12
    assert sum(folded.edges.values()) == 75 - (len(read) - len(others))
    assert totals(read) == totals(rows)
    assert all(r["window_start_ns"] == NOON for r in read)
    for r in others:
        assert (r["src_dns_name"], r["dst_dns_name"]) == ((OTHER, None) if r["reporter"] == "server" else (None, OTHER))


# --- real packets ------------------------------------------------------------------------------------------------------
FLOOD = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for n in range({count}):
        s.sendto(b"n", ("10.200.%d.%d" % (n // 250, n % 250), 9))
"""
FLOWS = """
import socket
for n in range({count}):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("", 20000 + n))
        s.sendto(b"n", ({host!r}, 9))
"""


def rare(r: Receiver, port: int) -> list[Row]:
    return [x for x in r.records if x["dst_port"] == port]


@pytest.mark.root
def test_one_packet_among_ten_thousand_flows_is_an_edge(net: Node, server: Receiver, tmp_path: Path) -> None:
    noisy, quiet, target = net.pod("noisy"), net.pod("quiet"), net.pod("target")
    with agent(net, server, tmp_path, tick_s=2):
        flood = noisy.python(FLOWS.format(count=10_000, host=target.ipv4))
        quiet.run(f"import socket; socket.socket(2, 2).sendto(b'1', ({target.ipv4!r}, 4242))")
        assert flood.wait(60) == 0
    server.assert_books_closed()
    assert {(x["src_ip"], x["packets_forward"]) for x in rare(server, 4242)} == {(quiet.ipv4, 1)}
    opened = sum(x["connections"] for x in server.records if x["pod_uid"] == noisy.uid and x["dst_port"] == 9)
    assert opened == 10_000
    assert not [b for header, _ in server.batches for b in header.books if "edges_folded" in b.other]


@pytest.mark.root
def test_edges_beyond_the_budget_are_declared_and_the_rare_one_stays(
    net: Node, server: Receiver, tmp_path: Path
) -> None:
    noisy, quiet, target = net.pod("noisy"), net.pod("quiet"), net.pod("target")
    target.server(53, kind="udp")
    net.exec("ip", "route", "add", "blackhole", "10.200.0.0/16")
    with agent(net, server, tmp_path, "--edge-budget", "100", "--without", "sock,drops,dns", tick_s=2):
        flood = noisy.python(FLOOD.format(count=2000))
        quiet.run(ASK.format(family=2, host=target.ipv4, port=53, size=10))
        assert flood.wait(60) == 0
    server.assert_books_closed()
    assert {(x["src_ip"], x["reporter"]) for x in rare(server, 53)} >= {(quiet.ipv4, "client"), (quiet.ipv4, "server")}
    others = [x for x in server.records if x["counted_in"] == "other"]
    assert {(x["pod_uid"], x["src_ip"], x["dst_ip"], x["dst_dns_name"]) for x in others} == {
        (noisy.uid, noisy.ipv4, "::", OTHER)
    }
    sent = [x for x in server.records if x["pod_uid"] == noisy.uid]
    assert sum(x["connections"] for x in sent) == 2000
    declared = [b for header, _ in server.batches for b in header.books if "edges_folded" in b.other]
    assert {b.pod_uid for b in declared} == {noisy.uid}
    named = sum(1 for x in sent if x["counted_in"] != "other")
    assert sum(b.other["edges_folded"] for b in declared) == 2000 - named
    assert all(b.unexplained == Amount(0, 0) for b in declared)
