"""SCTP associations: who opened them, how often, and when they are over, told by their own packets (RFC 9260)."""

from __future__ import annotations

import pytest

from bpf import packets as p
from bpf.flow_bench import FlowBench
from bpf.policy_bench import ALLOW, PolicyBench, only
from eastwest.agent.sizes import Patience, Sizes
from eastwest.model.batch import Amount

pytestmark = pytest.mark.root
POD, PEER, POD6, PEER6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
OURS, THEIRS = 5000, 38412
ENDS = pytest.mark.parametrize(("pod", "peer"), [(POD, PEER), (POD6, PEER6)])
CLOSED_AT_ONCE = Patience(carry_ns=0, closed_ns=0, idle_tcp_ns=10**15, idle_other_ns=10**15)
IDLE_AT_ONCE = Patience(carry_ns=0, closed_ns=10**15, idle_tcp_ns=10**15, idle_other_ns=0)


def out(chunk: int, tag: int = 1, pod: str = POD, peer: str = PEER) -> bytes:
    return p.ip(pod, peer, p.SCTP, p.sctp(OURS, THEIRS, chunk, tag))


def back(chunk: int, tag: int = 1, pod: str = POD, peer: str = PEER) -> bytes:
    return p.ip(peer, pod, p.SCTP, p.sctp(THEIRS, OURS, chunk, tag))


@ENDS
def test_an_init_tells_who_opens(pod: str, peer: str) -> None:
    with FlowBench() as bench:
        bench.from_pod(out(p.INIT, pod=pod, peer=peer))
        bench.to_pod(back(p.INIT_ACK, pod=pod, peer=peer))
        bench.from_pod(out(p.COOKIE_ECHO, pod=pod, peer=peer))
        bench.to_pod(back(p.COOKIE_ACK, pod=pod, peer=peer))
        (row,), books, _ = bench.drain()
    assert (row.reporter, row.source, row.src, row.src_port, row.dst, row.dst_port) == (
        ("client", "handshake", pod, 0, peer, THEIRS)
    )
    assert (row.connections, row.connections_established) == (1, 1)
    assert (row.packets_forward, row.packets_reverse) == (2, 2)
    assert books.unexplained == Amount(0, 0)


@ENDS
def test_an_answer_alone_tells_it_too(pod: str, peer: str) -> None:
    with FlowBench() as bench:
        bench.to_pod(back(p.INIT_ACK, pod=pod, peer=peer))
        (row,), _, _ = bench.drain(carry=False)
    assert (row.reporter, row.source, row.dst, row.dst_port) == ("client", "handshake", peer, THEIRS)
    assert row.connections == 0  # its opening was before our time


@pytest.mark.parametrize("chunk", [p.DATA, 4, p.COOKIE_ECHO])
def test_an_association_older_than_the_agent_is_not_guessed(chunk: int) -> None:
    """Whoever happens to speak first, a heartbeat for instance, need not have opened it."""
    with FlowBench() as bench:
        bench.from_pod(out(chunk))
        bench.to_pod(back(p.DATA))
        (row,), _, _ = bench.drain()
    assert (row.reporter, row.source, row.src_port, row.dst_port) == ("unknown", "unknown", OURS, THEIRS)
    assert (row.connections, row.connections_established) == (0, 0)


def test_an_init_sent_again_is_no_other_association_and_another_tag_is() -> None:
    with FlowBench() as bench:
        bench.from_pod(out(p.INIT, 5), out(p.INIT, 5))
        bench.to_pod(back(p.INIT_ACK))
        assert bench.drain()[0][0].connections == 1
        bench.from_pod(out(p.INIT, 6))
        bench.to_pod(back(p.INIT_ACK))
        (row,), _, drained = bench.drain()
    assert (row.connections, row.connections_established, drained.entries) == (1, 1, 1)


def test_the_other_end_opens_the_next_one() -> None:
    with FlowBench() as bench:
        bench.from_pod(out(p.INIT, 5))
        bench.to_pod(back(p.INIT_ACK))
        assert bench.drain()[0][0].reporter == "client"
        bench.to_pod(back(p.INIT, 6))
        (row,), _, _ = bench.drain(carry=False)
    assert (row.reporter, row.src, row.dst_port, row.connections) == ("server", PEER, OURS, 1)


def test_refused_is_opened_but_not_established() -> None:
    with FlowBench() as bench:
        bench.from_pod(out(p.INIT))
        bench.to_pod(back(p.ABORT))
        (row,), _, _ = bench.drain()
    assert (row.connections, row.connections_established) == (1, 0)


@pytest.mark.parametrize("end", [p.ABORT, p.SHUTDOWN_COMPLETE])
def test_what_ends_an_association_ends_its_entry(end: int) -> None:
    with FlowBench(patience=CLOSED_AT_ONCE) as bench:
        bench.from_pod(out(p.INIT))
        bench.to_pod(back(p.INIT_ACK))
        assert bench.drain()[2].entries == 1
        bench.from_pod(out(p.DATA))
        assert bench.drain()[2].entries == 1  # open and idle: kept
        bench.from_pod(out(end))
        drained = bench.drain()[2]
    assert (drained.entries, drained.deleted) == (0, 1)


def test_heartbeats_may_be_further_apart_than_datagrams() -> None:
    """Every 30 s and some (RFC 9260 section 8.3): an entry forgotten in between would have lost who opened it."""
    with FlowBench(patience=IDLE_AT_ONCE) as bench:
        bench.from_pod(out(p.INIT))
        bench.to_pod(back(p.INIT_ACK))
        assert bench.drain()[2].entries == 1
        assert bench.drain()[2].entries == 1


def test_without_room_for_an_entry_openings_are_counted_all_the_same() -> None:
    with FlowBench(sizes=Sizes(1, 64, 256)) as bench:
        bench.to_pod(p.ip(PEER, POD, p.UDP, p.udp(1, 2)))
        for tag in range(3):
            bench.from_pod(out(p.INIT, tag))
            bench.to_pod(back(p.INIT_ACK, tag))
        found, books, _ = bench.drain(carry=False)
    (row,) = [r for r in found if r.protocol == p.SCTP]
    assert (row.counted_in, row.reporter, row.dst_port) == ("overflow", "client", THEIRS)
    assert (row.connections, row.connections_established) == (3, 3)
    assert books.unexplained == Amount(0, 0)


def test_fragments_follow_their_init() -> None:
    """An INIT with many addresses may be one."""
    init = p.sctp(OURS, THEIRS, p.INIT) + bytes(4)
    with FlowBench() as bench:
        bench.from_pod(p.ip(POD, PEER, p.SCTP, init, fragment=0x2000))
        bench.from_pod(p.ip(POD, PEER, p.SCTP, p.sctp(1, 2, p.INIT, 99), fragment=36 // 8))
        (row,), books, _ = bench.drain(carry=False)
    assert (row.reporter, row.dst_port, row.packets_forward, row.connections) == ("client", THEIRS, 2, 1)
    assert books.lost == {}


def test_the_denied_end_cannot_turn_an_association_around() -> None:
    """The peer may open to the pod, the pod not to the peer: an INIT inside is dropped, and what stands goes on."""
    with PolicyBench() as bench:
        bench.put(only(ingress=((p.SCTP, OURS, ALLOW, 8),)))
        assert bench.gets(back(p.INIT, 5))
        assert bench.sends(out(p.INIT_ACK, 6))
        assert not bench.sends(out(p.INIT, 7))
        assert bench.gets(back(p.DATA))
        assert bench.sends(out(p.DATA))
        (row,), _, _ = bench.drain(carry=False)
    assert (row.reporter, row.connections, row.policy_denied) == ("server", 1, 1)


def test_an_association_older_than_enforcement_is_not_cut_where_either_end_may_have_opened_it() -> None:
    with PolicyBench() as bench:
        bench.put(only(ingress=((p.SCTP, OURS, ALLOW, 8),)))
        assert bench.sends(out(p.DATA))
        assert bench.gets(back(p.DATA))
        assert bench.drain(carry=False)[1].other["undecided"] >= 1
