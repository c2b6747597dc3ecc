"""One connection through its life: who opened it, windows, an end, a second life on the same 5-tuple."""

from __future__ import annotations

import time

import pytest

from bpf import packets as p
from bpf.flow_bench import FlowBench
from eastwest.agent.sizes import Patience, Sizes
from eastwest.model.batch import Amount

pytestmark = pytest.mark.root
POD, PEER = "10.0.0.1", "10.0.0.2"
AT_ONCE = Patience(carry_ns=0, closed_ns=0, idle_tcp_ns=10**15, idle_other_ns=10**15)
NOTHING = Amount(0, 0)


def out(flags: int, seq: int = 1, size: int = 0, port: int = 40000) -> bytes:
    return p.ip(POD, PEER, p.TCP, p.tcp(port, 80, flags, seq, bytes(size)))


def back(flags: int, seq: int = 1, size: int = 0, port: int = 40000) -> bytes:
    return p.ip(PEER, POD, p.TCP, p.tcp(80, port, flags, seq, bytes(size)))


def test_a_syn_ack_alone_tells_who_opened() -> None:
    with FlowBench() as bench:
        bench.from_pod(p.ip(POD, PEER, p.TCP, p.tcp(80, 40000, p.SYN | p.ACK)))
        (row,), _, _ = bench.drain(carry=False)
        assert (row.reporter, row.source, row.dst, row.dst_port) == ("server", "handshake", POD, 80)
        assert row.connections == 0  # its opening was before our time


def test_mid_connection_is_unknown_and_keeps_both_ports() -> None:
    with FlowBench() as bench:
        bench.to_pod(back(p.ACK, size=10))
        (row,), _, _ = bench.drain()
        assert (row.reporter, row.source) == ("unknown", "unknown")
        assert (row.src, row.src_port, row.dst, row.dst_port) == (POD, 40000, PEER, 80)
        assert (row.connections, row.connections_established) == (0, 0)
        assert (row.bytes_forward, row.bytes_reverse) == (0, 50)


def test_mid_connection_a_listening_socket_tells() -> None:
    with FlowBench() as bench:
        bench.kernel.set_listeners(1, {(6, 0), (6, 8080)}, set())
        bench.to_pod(p.ip(PEER, POD, p.TCP, p.tcp(5000, 8080, p.ACK, payload=b"x")))
        (row,), _, _ = bench.drain()
        assert (row.reporter, row.source) == ("server", "listener")
        assert (row.src, row.src_port, row.dst_port) == (PEER, 0, 8080)


def test_a_listener_found_later_names_the_next_window() -> None:
    with FlowBench() as bench:
        frame = p.ip(PEER, POD, p.TCP, p.tcp(5000, 8080, p.ACK, payload=b"x"))
        bench.to_pod(frame)
        assert bench.drain()[0][0].reporter == "unknown"
        bench.kernel.set_listeners(1, {(6, 0), (6, 8080)}, set())
        bench.to_pod(frame)
        assert bench.drain()[0][0].reporter == "server"


def test_a_syn_later_tells_better_than_a_listener() -> None:
    with FlowBench() as bench:
        bench.to_pod(back(p.ACK))
        bench.from_pod(out(p.SYN, 77))
        bench.to_pod(back(p.SYN | p.ACK))
        (row,), _, _ = bench.drain()
        assert (row.reporter, row.source, row.connections, row.connections_established) == ("client", "handshake", 1, 1)


def test_increments_by_window() -> None:
    with FlowBench() as bench:
        bench.from_pod(out(p.SYN))
        bench.to_pod(back(p.SYN | p.ACK))
        (first,), books, _ = bench.drain()
        assert (first.connections, first.connections_established) == (1, 1)
        assert books.unexplained == NOTHING
        for size in (10, 20):
            bench.from_pod(out(p.ACK, size=size))
            (row,), books, _ = bench.drain()
            assert (row.bytes_forward, row.bytes_reverse, row.connections) == (40 + size, 0, 0)
            assert (row.reporter, row.src_port) == ("client", 0)
            assert books.hook == books.recorded == Amount(40 + size, 1)
        assert bench.drain()[0] == []


def test_refused_is_opened_but_not_established() -> None:
    with FlowBench() as bench:
        bench.from_pod(out(p.SYN))
        bench.to_pod(back(p.RST | p.ACK))
        (row,), _, _ = bench.drain()
        assert (row.connections, row.connections_established) == (1, 0)


def test_the_same_syn_again_is_a_retransmission() -> None:
    with FlowBench() as bench:
        bench.from_pod(out(p.SYN, 5), out(p.SYN, 5), out(p.SYN, 5))
        (row,), _, _ = bench.drain(carry=False)
        assert (row.connections, row.packets_forward) == (1, 3)


def test_a_new_syn_restarts_the_entry() -> None:
    with FlowBench() as bench:
        for seq in (5, 6, 7):
            bench.from_pod(out(p.SYN, seq))
            bench.to_pod(back(p.SYN | p.ACK))
        (row,), _, drained = bench.drain()
        assert (row.connections, row.connections_established, drained.entries) == (3, 3, 1)


def test_a_new_connection_the_other_way_round_changes_roles() -> None:
    with FlowBench() as bench:
        bench.from_pod(out(p.SYN, 5))
        bench.to_pod(back(p.SYN | p.ACK))
        assert bench.drain()[0][0].reporter == "client"
        bench.to_pod(back(p.SYN, 99))
        bench.from_pod(out(p.SYN | p.ACK, 100))
        (row,), _, _ = bench.drain()
        assert (row.reporter, row.src, row.dst, row.dst_port) == ("server", PEER, POD, 40000)


def test_not_answered_yet_waits_for_the_next_window_in_both_accounts() -> None:
    with FlowBench() as bench:
        bench.from_pod(out(p.SYN, size=5))
        found, books, drained = bench.drain()
        assert (found, books.hook, books.recorded, drained.carried) == ([], NOTHING, NOTHING, 1)
        bench.to_pod(back(p.SYN | p.ACK))
        (row,), books, drained = bench.drain()
        assert (row.bytes_forward, row.bytes_reverse, row.connections) == (45, 40, 1)
        assert books.hook == books.recorded == Amount(85, 2)
        assert drained.carried == 0


def test_never_answered_waits_only_so_long() -> None:
    with FlowBench(patience=Patience(carry_ns=50_000_000)) as bench:
        bench.from_pod(out(p.SYN))
        windows = 0
        deadline = time.monotonic() + 5
        while not (found := bench.drain()[0]):
            windows += 1
            assert time.monotonic() < deadline
        assert (found[0].connections, found[0].connections_established) == (1, 0)
        assert windows > 0


def test_the_last_drain_leaves_nothing_behind() -> None:
    with FlowBench() as bench:
        bench.from_pod(out(p.SYN))
        (row,), books, _ = bench.drain(carry=False)
        assert row.connections == 1
        assert books.unexplained == NOTHING


@pytest.mark.parametrize("end", [(p.RST, None), (p.FIN | p.ACK, p.FIN | p.ACK)])
def test_closed_entries_are_deleted(end: tuple[int, int | None]) -> None:
    with FlowBench(patience=AT_ONCE) as bench:
        bench.from_pod(out(p.SYN))
        bench.to_pod(back(p.SYN | p.ACK))
        assert bench.drain()[2].entries == 1
        assert bench.drain()[2].entries == 1  # open and idle: kept
        bench.from_pod(out(end[0]))
        if end[1] is not None:
            assert bench.drain()[2].deleted == 0  # half closed: kept
            bench.to_pod(back(end[1]))
        found, books, drained = bench.drain()
        assert len(found) == 1
        assert books.unexplained == NOTHING
        assert (drained.entries, drained.deleted) == (0, 1)
        assert bench.drain()[0] == []


def test_a_closed_entry_with_fresh_packets_is_kept() -> None:
    with FlowBench(patience=AT_ONCE) as bench:
        bench.from_pod(out(p.SYN))
        bench.from_pod(out(p.RST))
        quiet = bench.kernel.turn()
        bench.from_pod(out(p.SYN, 8))  # counts into the new window while the old one is drained
        drained = bench.kernel.drain(quiet, lambda _: None)
        assert (drained.deleted, drained.entries) == (0, 1)


def test_idle_entries_are_deleted_by_protocol() -> None:
    with FlowBench(patience=Patience(carry_ns=0, idle_other_ns=0)) as bench:
        bench.to_pod(p.ip(PEER, POD, p.UDP, p.udp(1, 2)))
        bench.to_pod(back(p.SYN))
        bench.from_pod(out(p.SYN | p.ACK))
        found, _, drained = bench.drain()
        assert len(found) == 2
        assert (drained.entries, drained.deleted) == (1, 1)


def test_a_connection_that_sleeps_past_the_idle_limit_is_recorded_once_and_keeps_its_ends() -> None:
    """Its entry is forgotten. What comes later opens nothing, and the server's socket still tells who serves."""
    with FlowBench(patience=Patience(carry_ns=0, idle_tcp_ns=0)) as bench:
        bench.kernel.set_listeners(1, {(6, 0), (6, 80)}, set())
        bench.to_pod(p.ip(PEER, POD, p.TCP, p.tcp(40000, 80, p.SYN)))
        bench.from_pod(p.ip(POD, PEER, p.TCP, p.tcp(80, 40000, p.SYN | p.ACK)))
        (first,), _, drained = bench.drain()
        assert (first.connections, first.connections_established) == (1, 1)
        assert (drained.entries, drained.deleted) == (0, 1)  # it sleeps
        bench.from_pod(p.ip(POD, PEER, p.TCP, p.tcp(80, 40000, p.ACK, payload=bytes(7))))  # the server speaks first
        bench.to_pod(p.ip(PEER, POD, p.TCP, p.tcp(40000, 80, p.ACK, payload=bytes(5))))
        (later,), books, _ = bench.drain()
        assert (later.reporter, later.src, later.src_port, later.dst, later.dst_port) == ("server", PEER, 0, POD, 80)
        assert (later.connections, later.connections_established) == (0, 0)
        assert (later.bytes_forward, later.bytes_reverse) == (45, 47)
        assert books.unexplained == NOTHING


def test_more_records_than_fit_come_in_chunks() -> None:
    with FlowBench(sizes=Sizes(1024, 64, 16)) as bench:
        for port in range(100):
            bench.to_pod(p.ip(PEER, POD, p.TCP, p.tcp(1000 + port, 80, p.ACK)))
        found, books, drained = bench.drain()
        assert len(found) == 100
        assert (drained.runs, drained.entries) == (7, 100)
        assert books.unexplained == NOTHING


def test_a_held_interface_waits_with_all_its_counts() -> None:
    with FlowBench() as bench:
        bench.kernel.add_interface(1, held=True)
        for _ in range(3):
            bench.to_pod(back(p.SYN))
            quiet = bench.kernel.turn()
            assert bench.kernel.drain(quiet, lambda _: pytest.fail("held"), hold=True).entries == 0
        bench.kernel.release(1)
        total = Amount(0, 0)
        for _ in range(2):
            _, books, _ = bench.drain()
            assert books.unexplained == NOTHING
            total = Amount(total.bytes + books.recorded.bytes, total.packets + books.recorded.packets)
        assert total == Amount(120, 3)


def test_purge_forgets_the_flows_of_interfaces_that_are_gone() -> None:
    with FlowBench() as bench:
        bench.to_pod(back(p.SYN))
        bench.kernel.remove_interface(1)
        drained = bench.kernel.drain(bench.kernel.turn(), lambda _: pytest.fail("gone"), purge=True)
        assert (drained.deleted, drained.entries) == (1, 0)


def test_open_connections_are_counted_by_protocol_until_they_are_forgotten() -> None:
    with FlowBench(patience=AT_ONCE) as bench:

        def active() -> list[int]:
            found = bench.kernel.totals(1)
            assert found is not None
            return [int(n) for n in found["active"]]

        for port in range(40000, 40010):
            bench.from_pod(out(p.SYN, port=port))
            bench.to_pod(back(p.SYN | p.ACK, port=port))
        bench.from_pod(p.ip(POD, PEER, p.UDP, p.udp(5000, 53)))
        assert active() == [10, 1, 0, 0, 0]
        for port in range(40000, 40004):
            bench.from_pod(out(p.RST, port=port))
        bench.drain()
        time.sleep(0.02)
        bench.drain()
        assert active() == [6, 1, 0, 0, 0]
