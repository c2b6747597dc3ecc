"""Packets in, edges and books out: every family and protocol we know, and what cannot be read."""

from __future__ import annotations

import pytest

from bpf import packets as p
from bpf.flow_bench import FlowBench
from eastwest.model.batch import Amount

pytestmark = pytest.mark.root
NOTHING = Amount(0, 0)
POD4, PEER4, POD6, PEER6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"


@pytest.mark.parametrize(("pod", "peer", "header"), [(POD4, PEER4, 20), (POD6, PEER6, 40)])
def test_tcp_both_families(pod: str, peer: str, header: int) -> None:
    with FlowBench() as bench:
        bench.from_pod(p.ip(pod, peer, p.TCP, p.tcp(40000, 80, p.SYN)))
        bench.to_pod(p.ip(peer, pod, p.TCP, p.tcp(80, 40000, p.SYN | p.ACK)))
        bench.from_pod(p.ip(pod, peer, p.TCP, p.tcp(40000, 80, p.ACK, payload=b"x" * 100)))
        (row,), books, _ = bench.drain()
        assert (row.reporter, row.source) == ("client", "handshake")
        assert (row.src, row.src_port, row.dst, row.dst_port, row.protocol) == (pod, 0, peer, 80, 6)
        assert row.service is None
        assert row.bytes_forward == 2 * (header + 20) + 100
        assert row.bytes_reverse == header + 20
        assert (row.packets_forward, row.packets_reverse) == (2, 1)
        assert (row.connections, row.connections_established) == (1, 1)
        assert books.hook == books.recorded == Amount(row.bytes_forward + row.bytes_reverse, 3)
        assert books.unexplained == NOTHING
        assert books.lost == {}


def test_udp_and_its_answer() -> None:
    with FlowBench() as bench:
        bench.to_pod(p.ip(PEER4, POD4, p.UDP, p.udp(5353, 53, b"question")))
        bench.from_pod(p.ip(POD4, PEER4, p.UDP, p.udp(53, 5353, b"answer")))
        (row,), _, _ = bench.drain()
        assert (row.reporter, row.source) == ("server", "first_packet")
        assert (row.src, row.src_port, row.dst, row.dst_port) == (PEER4, 0, POD4, 53)
        assert (row.bytes_forward, row.bytes_reverse) == (36, 34)
        assert (row.connections, row.connections_established) == (1, 1)


@pytest.mark.parametrize(
    ("pod", "peer", "protocol", "request_", "reply"),
    [(POD4, PEER4, p.ICMP, 8, 0), (POD6, PEER6, p.ICMPV6, 128, 129)],
)
def test_echo_is_told_by_its_request(pod: str, peer: str, protocol: int, request_: int, reply: int) -> None:
    with FlowBench() as bench:
        bench.from_pod(p.ip(pod, peer, protocol, p.icmp(request_)))
        bench.to_pod(p.ip(peer, pod, protocol, p.icmp(reply)))
        bench.to_pod(p.ip(peer, pod, protocol, p.icmp(request_)))
        bench.from_pod(p.ip(pod, peer, protocol, p.icmp(reply)))
        found, books, _ = bench.drain()
        assert {(r.reporter, r.src, r.dst, r.dst_port) for r in found} == {
            ("client", pod, peer, 0),
            ("server", peer, pod, 0),
        }
        assert all(r.source == "handshake" and r.connections == 1 and r.connections_established == 1 for r in found)
        assert books.unexplained == NOTHING


@pytest.mark.parametrize(
    ("pod", "peer", "router", "protocol", "kind"),
    [(POD4, PEER4, "192.0.2.1", p.ICMP, 3), (POD6, PEER6, "2001:db8::1", p.ICMPV6, 1)],
)
def test_an_icmp_error_belongs_to_the_connection_it_is_about(
    pod: str, peer: str, router: str, protocol: int, kind: int
) -> None:
    """Whoever sends the error: it is no answer and no edge of its own."""
    with FlowBench() as bench:
        asked = p.ip(pod, peer, p.UDP, p.udp(40000, 53))
        bench.from_pod(asked)
        quote = asked[14 : 14 + 48]
        bench.to_pod(p.ip(router, pod, protocol, p.icmp(kind, 1) + quote))
        (row,), books, _ = bench.drain(carry=False)
    assert (row.reporter, row.dst, row.dst_port, row.protocol) == ("client", peer, 53, p.UDP)
    assert (row.packets_forward, row.packets_reverse, row.connections_established) == (1, 1, 0)
    assert books.unexplained == Amount(0, 0)


def test_an_icmp_error_about_what_the_pod_received() -> None:
    with FlowBench() as bench:
        asked = p.ip(PEER4, POD4, p.UDP, p.udp(40000, 53))
        bench.to_pod(asked)
        bench.from_pod(p.ip(POD4, PEER4, p.ICMP, p.icmp(3, 3) + asked[14:]))
        (row,), _, _ = bench.drain()
    assert (row.reporter, row.src, row.dst_port, row.packets_reverse) == ("server", PEER4, 53, 1)


def test_an_icmp_error_has_no_initiator() -> None:
    with FlowBench() as bench:
        bench.to_pod(p.ip(PEER4, POD4, p.ICMP, p.icmp(3, 1)))
        (row,), _, _ = bench.drain()
        assert (row.reporter, row.source, row.src, row.dst) == ("unknown", "unknown", POD4, PEER4)
        assert (row.packets_forward, row.packets_reverse) == (0, 1)


def test_protocols_without_ports_are_edges_with_port_0() -> None:
    with FlowBench() as bench:
        bench.from_pod(p.ip(POD4, PEER4, 47, b"gre!"))
        bench.to_pod(p.ip(PEER4, POD4, 47, b"gre!"))
        (row,), _, _ = bench.drain()
        assert (row.reporter, row.source, row.dst_port, row.protocol) == ("client", "first_packet", 0, 47)


def test_ipv4_options_are_skipped() -> None:
    with FlowBench() as bench:
        bench.from_pod(p.ip(POD4, PEER4, p.TCP, p.tcp(40000, 443, p.SYN), options=b"\x01" * 8))
        bench.to_pod(p.ip(PEER4, POD4, p.TCP, p.tcp(443, 40000, p.SYN | p.ACK), options=b"\x01" * 40))
        (row,), _, _ = bench.drain()
        assert (row.dst_port, row.packets_forward, row.packets_reverse) == (443, 1, 1)


def test_ipv6_extension_headers_are_skipped() -> None:
    chain = p.extension(43) + p.extension(60, 2) + p.extension(44) + p.fragment_header(6, 0, more=False)
    with FlowBench() as bench:
        bench.to_pod(p.ip(PEER6, POD6, 0, chain + p.tcp(40000, 443, p.SYN)))
        (row,), books, _ = bench.drain()
        assert (row.reporter, row.dst_port, row.protocol) == ("server", 443, 6)
        assert books.unexplained == NOTHING


def test_fragments_belong_to_the_connection_of_their_first() -> None:
    with FlowBench() as bench:
        bench.from_pod(p.ip(POD4, PEER4, p.UDP, p.udp(1, 2, b"first"), fragment=0x2000))
        bench.from_pod(p.ip(POD4, PEER4, p.UDP, b"second", fragment=1))
        head = p.udp(5353, 53, b"first")
        bench.to_pod(p.ip(PEER6, POD6, 44, p.fragment_header(17, 0, more=True) + head))
        bench.to_pod(p.ip(PEER6, POD6, 44, p.fragment_header(17, 2, more=False) + b"second"))
        found, books, _ = bench.drain(carry=False)
        assert books.lost == {}
        assert {(r.src, r.dst_port, r.packets_forward, r.packets_reverse) for r in found} == {
            (POD4, 2, 2, 0),
            (PEER6, 53, 2, 0),
        }


def test_a_fragment_is_not_taken_for_one_of_another_packet() -> None:
    """Neither of another protocol, nor of the other direction, nor of another pair."""
    with FlowBench() as bench:
        bench.from_pod(p.ip(POD4, PEER4, p.UDP, p.udp(1, 2, b"first"), fragment=0x2000))
        bench.drain(carry=False)
        bench.from_pod(p.ip(POD4, PEER4, p.TCP, b"second", fragment=1))
        bench.to_pod(p.ip(PEER4, POD4, p.UDP, b"second", fragment=1))
        bench.from_pod(p.ip(POD4, "10.0.0.3", p.UDP, b"second", fragment=1))
        found, books, _ = bench.drain(carry=False)
        assert found == []
        assert books.lost == {"unparsed_fragment": Amount(3 * 26, 3)}


def test_fragments_without_a_first_are_a_named_loss() -> None:
    with FlowBench() as bench:
        bench.from_pod(p.ip(POD4, PEER4, p.UDP, b"second", fragment=1))
        bench.to_pod(p.ip(PEER6, POD6, 44, p.fragment_header(17, 5, more=True) + b"part"))
        found, books, _ = bench.drain()
        assert found == []
        assert books.lost == {"unparsed_fragment": Amount(26 + 52, 2)}
        assert books.hook == Amount(78, 2)
        assert books.unexplained == NOTHING


def test_do_not_fragment_is_no_fragment() -> None:
    with FlowBench() as bench:
        bench.to_pod(p.ip(PEER4, POD4, p.UDP, p.udp(1, 2), fragment=0x4000))
        assert bench.drain()[1].lost == {}


@pytest.mark.parametrize(
    "frame",
    [
        p.ip(POD4, PEER4, p.TCP, b"\0" * 13),
        p.ip(POD4, PEER4, p.UDP, b"\0" * 3),
        p.ip(POD4, PEER4, p.SCTP, p.sctp(1, 2, p.DATA)[:15]),
        p.ip(POD4, PEER4, p.SCTP, p.sctp(1, 2, p.INIT)[:19]),
        p.ip(POD4, PEER4, p.SCTP, p.sctp(1, 2, p.INIT)[:16], fragment=0x2000),  # of the smallest that hide who opens
        p.ip(POD4, PEER4, p.ICMP, b"\0"),
        p.ip(POD6, PEER6, 0, b"\x06"),
        p.ip(POD6, PEER6, 0, p.extension(0) * 7),
        p.ethernet(b"\x41" + bytes(39), 0x0800),  # a header of 4 bytes
    ],
)
def test_headers_that_end_too_early_are_a_named_loss(frame: bytes) -> None:
    with FlowBench() as bench:
        bench.from_pod(frame)
        found, books, _ = bench.drain()
        assert found == []
        assert books.lost == {"unparsed_truncated": Amount(len(frame) - 14, 1)}
        assert books.unexplained == NOTHING


def test_arp_and_neighbour_discovery_stand_beside_the_books() -> None:
    with FlowBench() as bench:
        bench.from_pod(p.ethernet(bytes(28), 0x0806))
        for kind in (133, 134, 135, 136, 130, 143):
            bench.from_pod(p.ip(POD6, "ff02::1", p.ICMPV6, p.icmp(kind)))
        found, books, _ = bench.drain()
        assert found == []
        assert books.hook == NOTHING
        assert books.other == {"non_ip": 1, "neighbour_discovery": 6}


def test_a_super_packet_counts_once_and_says_its_segments() -> None:
    with FlowBench() as bench:
        bench.from_pod(p.ip(POD4, PEER4, p.TCP, p.tcp(1, 2, p.ACK, payload=bytes(2900))), gso_segs=3)
        (row,), books, _ = bench.drain(carry=False)
        assert (row.packets_forward, row.segments_forward, row.bytes_forward) == (1, 3, 2940)
        assert books.hook == Amount(2940, 1)


def test_another_interface_is_left_alone() -> None:
    with FlowBench() as bench:
        bench.kernel.remove_interface(1)
        bench.from_pod(p.ip(POD4, PEER4, p.TCP, p.tcp(1, 2, p.SYN)))
        bench.kernel.add_interface(1, held=False)
        found, books, drained = bench.drain()
        assert (found, books.hook, drained.entries) == ([], NOTHING, 0)
