"""The map is full: edges without the client's port, then a declared remainder; the books close all the time."""

from __future__ import annotations

import pytest

from bpf import packets as p
from bpf.flow_bench import FlowBench
from eastwest.agent.abi import FLOW_KEY
from eastwest.agent.bpf import keys
from eastwest.agent.sizes import Sizes
from eastwest.model.batch import Amount

pytestmark = pytest.mark.root
POD, PEER = "10.0.0.1", "10.0.0.2"
NOTHING = Amount(0, 0)


def fill(bench: FlowBench, n: int = 200) -> None:
    for port in range(n):
        bench.from_pod(p.ip(POD, "10.9.9.9", p.UDP, p.udp(1000 + port, 9)))


def test_overflow_keeps_the_edge() -> None:
    with FlowBench(sizes=Sizes(flows=16, overflow=64)) as bench:
        fill(bench)
        for port in range(40000, 40010):
            bench.from_pod(p.ip(POD, PEER, p.TCP, p.tcp(port, 80, p.SYN)))
            bench.to_pod(p.ip(PEER, POD, p.TCP, p.tcp(80, port, p.SYN | p.ACK)))
        found, books, _ = bench.drain(carry=False)
        assert books.unexplained == NOTHING
        assert books.lost == {}
        assert books.other["flow_map_full"] >= 184
        (edge,) = [r for r in found if r.dst == PEER]
        assert (edge.counted_in, edge.reporter, edge.source) == ("overflow", "client", "handshake")
        assert (edge.src_port, edge.dst_port) == (0, 80)
        assert (edge.connections, edge.connections_established) == (10, 10)
        assert (edge.packets_forward, edge.packets_reverse) == (10, 10)


def test_overflow_tells_roles_by_listening_sockets() -> None:
    with FlowBench(sizes=Sizes(flows=16, overflow=64)) as bench:
        fill(bench)
        bench.kernel.set_listeners(1, {(6, 0), (6, 8080), (17, 0)}, set())
        for port in range(40000, 40010):
            bench.to_pod(p.ip(PEER, POD, p.TCP, p.tcp(port, 8080, p.ACK, payload=b"in")))
            bench.from_pod(p.ip(POD, PEER, p.TCP, p.tcp(8080, port, p.ACK, payload=b"out!")))
            bench.from_pod(p.ip(POD, PEER, p.TCP, p.tcp(port, 5432, p.ACK)))
            bench.to_pod(p.ip(PEER, POD, p.TCP, p.tcp(5432, port, p.ACK)))
        found, books, _ = bench.drain(carry=False)
        assert books.unexplained == NOTHING
        edges = {
            (r.reporter, r.source, r.src, r.dst, r.dst_port, r.counted_in): r for r in found if PEER in (r.src, r.dst)
        }
        assert set(edges) == {
            ("server", "listener", PEER, POD, 8080, "overflow"),
            ("client", "listener", POD, PEER, 5432, "overflow"),
        }
        served = edges["server", "listener", PEER, POD, 8080, "overflow"]
        assert (served.bytes_forward, served.bytes_reverse) == (420, 440)


def test_both_full_is_a_declared_remainder() -> None:
    with FlowBench(sizes=Sizes(flows=16, overflow=4)) as bench:
        fill(bench)
        for host in range(1, 250):
            bench.to_pod(p.ip(f"10.1.0.{host}", POD, p.TCP, p.tcp(1, 2, p.SYN)))
        _, books, _ = bench.drain(carry=False)
        assert books.unexplained == NOTHING
        assert books.lost["overflow_full"].packets >= 230
        assert books.lost["overflow_full"].bytes == books.lost["overflow_full"].packets * 40


def test_overflow_entries_end_with_their_traffic() -> None:
    with FlowBench(sizes=Sizes(flows=16, overflow=64)) as bench:
        fill(bench)
        bench.to_pod(p.ip(PEER, POD, p.TCP, p.tcp(1, 2, p.SYN)))
        assert [r.counted_in for r in bench.drain(carry=False)[0]].count("overflow") == 2
        for _ in range(2):
            assert bench.drain(carry=False)[2].overflow_entries == 0
        assert len(keys(bench.kernel.maps["overflow"], FLOW_KEY)) == 0
