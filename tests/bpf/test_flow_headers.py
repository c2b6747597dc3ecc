"""What lies between an IP header and the transport's: walked as Linux walks it, or counted as what cannot be read."""

from __future__ import annotations

import struct

import pytest

from bpf import packets as p
from bpf.flow_bench import FlowBench
from eastwest.model.batch import Amount

pytestmark = pytest.mark.root
POD4, PEER4, POD6, PEER6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
HOP, ROUTING, FRAGMENT, ESP, AH, NONE, OPTIONS, MOBILITY = 0, 43, 44, 50, 51, 59, 60, 135
SYN = p.tcp(40000, 443, p.SYN)
NOTHING = Amount(0, 0)


def chain(*kinds: int, then: int = p.TCP) -> bytes:
    """Extension headers of these kinds, `then` behind the last: an authentication header of 24 bytes, all others of 8."""
    out = b""
    for kind, following in zip(kinds, (*kinds, then)[1:], strict=True):
        if kind == AH:
            out += bytes([following, 4]) + bytes(22)
        elif kind == FRAGMENT:
            out += p.fragment_header(following, 0, more=False)
        else:
            out += p.extension(following)
    return out


def packet6(*kinds: int, then: int = p.TCP, l4: bytes = SYN) -> bytes:
    return p.ip(PEER6, POD6, (*kinds, then)[0], chain(*kinds, then=then) + l4)


@pytest.mark.parametrize(
    "kinds",
    [
        (HOP,),
        (ROUTING,),
        (OPTIONS,),
        (AH,),
        (FRAGMENT,),  # atomic: the only one of its packet (RFC 6946)
        (HOP, OPTIONS, ROUTING, FRAGMENT, AH, OPTIONS),  # all that RFC 8200 section 4.1 names, in its order
        (OPTIONS,) * 6,
    ],
)
def test_extension_headers_are_walked(kinds: tuple[int, ...]) -> None:
    with FlowBench() as bench:
        bench.to_pod(packet6(*kinds))
        (row,), books, _ = bench.drain()
    assert (row.reporter, row.source, row.dst_port, row.protocol) == ("server", "handshake", 443, p.TCP)
    assert (books.unexplained, books.lost) == (NOTHING, {})


def test_the_length_of_an_extension_header_is_believed() -> None:
    longest = p.extension(OPTIONS, 255) + p.extension(p.UDP, 3) + p.udp(5353, 53)
    with FlowBench() as bench:
        bench.to_pod(p.ip(PEER6, POD6, HOP, longest))
        (row,), books, _ = bench.drain()
    assert (row.protocol, row.dst_port, books.lost) == (p.UDP, 53, {})


@pytest.mark.parametrize(
    ("kinds", "last"),
    [
        ((), ESP),
        ((), NONE),
        ((), MOBILITY),
        ((HOP, OPTIONS), ESP),
        ((OPTIONS,), NONE),
    ],
)
def test_what_hides_or_has_no_transport_is_an_edge_of_its_protocol(kinds: tuple[int, ...], last: int) -> None:
    with FlowBench() as bench:
        bench.to_pod(packet6(*kinds, then=last))
        (row,), books, _ = bench.drain()
    assert (row.protocol, row.src_port, row.dst_port) == (last, 0, 0)
    assert (books.unexplained, books.lost) == (NOTHING, {})


@pytest.mark.parametrize("protocol", [ESP, AH])
def test_in_ipv4_they_are_protocols(protocol: int) -> None:
    with FlowBench() as bench:
        bench.from_pod(p.ip(POD4, PEER4, protocol, chain(AH) + SYN))
        (row,), _, _ = bench.drain(carry=False)
    assert (row.protocol, row.dst_port) == (protocol, 0)


@pytest.mark.parametrize(
    "frame",
    [
        packet6(*(OPTIONS,) * 7),
        packet6(*(OPTIONS,) * 6, then=ROUTING, l4=b""),
        packet6(OPTIONS, l4=b"")[:-5],  # the header that the one before announces is not whole
        p.ip(PEER6, POD6, AH, bytes([p.TCP, 255]) + bytes(30)),  # reaches beyond the packet
        packet6(OPTIONS, l4=SYN[:13]),
        p.ip(PEER4, POD4, p.TCP, b"", options=b"\x01" * 40)[:-44] + bytes(20),
    ],
    ids=["seven", "seven and nothing", "cut", "too long", "transport cut", "options cut"],
)
def test_a_chain_that_cannot_be_walked_is_a_named_loss(frame: bytes) -> None:
    with FlowBench() as bench:
        bench.to_pod(frame)
        found, books, _ = bench.drain()
    assert found == []
    assert books.lost == {"unparsed_truncated": Amount(len(frame) - 14, 1)}
    assert books.unexplained == NOTHING


def test_fragments_with_extension_headers_on_both_sides_of_the_fragment_header() -> None:
    """A later fragment repeats what is before the fragment header, not what is behind it (RFC 8200 section 4.5)."""
    first = p.extension(FRAGMENT) + p.fragment_header(OPTIONS, 0, more=True) + p.extension(p.UDP) + p.udp(5353, 53)
    later = p.extension(FRAGMENT) + p.fragment_header(OPTIONS, 2, more=False) + b"rest"
    with FlowBench() as bench:
        bench.to_pod(p.ip(PEER6, POD6, HOP, first), p.ip(PEER6, POD6, HOP, later))
        (row,), books, _ = bench.drain(carry=False)
    assert (row.protocol, row.dst_port, row.packets_forward) == (p.UDP, 53, 2)
    assert books.lost == {}


def test_only_the_first_fragments_next_header_means_something() -> None:
    with FlowBench() as bench:
        bench.to_pod(p.ip(PEER6, POD6, FRAGMENT, p.fragment_header(p.UDP, 0, more=True) + p.udp(5353, 53)))
        bench.to_pod(p.ip(PEER6, POD6, FRAGMENT, p.fragment_header(NONE, 1, more=False) + b"rest"))
        (row,), books, _ = bench.drain(carry=False)
    assert (row.protocol, row.packets_forward, books.lost) == (p.UDP, 2, {})


def test_an_error_about_a_packet_with_extension_headers_belongs_to_its_connection() -> None:
    asked = p.ip(POD6, PEER6, HOP, chain(HOP, OPTIONS, then=p.UDP) + p.udp(40000, 53))
    with FlowBench() as bench:
        bench.from_pod(asked)
        bench.to_pod(p.ip("2001:db8::1", POD6, p.ICMPV6, p.icmp(2) + asked[14:]))
        (row,), books, _ = bench.drain(carry=False)
    assert (row.protocol, row.dst_port, row.packets_forward, row.packets_reverse) == (p.UDP, 53, 1, 1)
    assert books.unexplained == NOTHING


def test_an_error_about_a_later_fragment_has_no_ports_to_go_by() -> None:
    """Its bytes are where ports would be: those of another connection here."""
    with FlowBench() as bench:
        bench.from_pod(p.ip(POD4, PEER4, p.UDP, p.udp(40000, 53)))
        quote = p.ip(POD4, PEER4, p.UDP, struct.pack("!HHI", 40000, 53, 0), fragment=8)[14:]
        bench.to_pod(p.ip("192.0.2.1", POD4, p.ICMP, p.icmp(11, 1) + quote))
        found, books, _ = bench.drain(carry=False)
    assert {(r.protocol, r.packets_forward, r.packets_reverse) for r in found} == {(p.UDP, 1, 0), (p.ICMP, 0, 1)}
    assert books.unexplained == NOTHING
