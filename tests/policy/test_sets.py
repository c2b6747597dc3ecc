"""Port sets, address sets and the interning table: set algebra against Python's own sets."""

from __future__ import annotations

import ipaddress
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.policy.addresses import ALL_ADDRESSES, AddressSet, block, hosts, parse_address, parse_network
from eastwest.policy.peers import domain_matches
from eastwest.policy.ports import (
    EVERYTHING,
    FULL,
    NOTHING,
    PortSet,
    PortTable,
    intersect,
    normalize,
    ports_of,
    subtract,
)

spans = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=5)
port_sets = st.builds(PortSet, spans.map(normalize), spans.map(normalize), spans.map(normalize), st.booleans())


def numbers(ranges) -> set[int]:
    return {n for low, high in ranges for n in range(low, high + 1)}


@given(spans, spans)
def test_ranges_are_sets(a, b) -> None:
    one, two = normalize(a), normalize(b)
    assert numbers(one) == numbers(r for r in a if r[0] <= r[1])
    assert all(x[1] + 1 < y[0] for x, y in itertools.pairwise(one)), "sorted, disjoint, not adjacent"
    assert numbers(intersect(one, two)) == numbers(one) & numbers(two)
    assert numbers(subtract(one, two)) == numbers(one) - numbers(two)
    assert subtract(one, two) == normalize(subtract(one, two))


@given(port_sets, port_sets)
def test_port_sets_are_sets_per_protocol(a: PortSet, b: PortSet) -> None:
    for protocol in (1, 6, 17, 132):
        for port in (1, 20, 40):
            has_a, has_b = a.contains(protocol, port), b.contains(protocol, port)
            assert (a | b).contains(protocol, port) == (has_a or has_b)
            assert (a & b).contains(protocol, port) == (has_a and has_b)
            assert (a - b).contains(protocol, port) == (has_a and not has_b)
    assert bool(a) == (a != NOTHING)


@given(st.lists(port_sets, min_size=1, max_size=6), st.lists(port_sets, min_size=1, max_size=6))
def test_the_table_computes_as_the_sets_do(left: list[PortSet], right: list[PortSet]) -> None:
    table = PortTable()
    left, right = [*left, EVERYTHING, NOTHING], [*right, EVERYTHING, NOTHING]
    pairs = [(a, b) for a in left for b in right]
    a, b = (np.array([table.id(p[side]) for p in pairs], np.int32) for side in (0, 1))
    for name in ("union", "intersection", "difference"):
        op = {"union": PortSet.__or__, "intersection": PortSet.__and__, "difference": PortSet.__sub__}[name]
        assert [table.sets[i] for i in getattr(table, name)(a, b)] == [op(x, y) for x, y in pairs]
    one = table.id(right[0])
    assert [table.sets[i] for i in table.union(a, one)] == [x | right[0] for x, _ in pairs]


@pytest.mark.parametrize(
    ("ports", "text", "rows"),
    [
        (EVERYTHING, "all ports, all protocols", [("*", "1-65535")]),
        (PortSet(FULL, FULL, FULL), "all ports of TCP, UDP and SCTP", [("*", "1-65535")]),
        (NOTHING, "nothing", []),
        (ports_of("TCP", 80) | ports_of("TCP", 443, 445), "TCP 80,443-445", [("TCP", "80,443-445")]),
        (ports_of("UDP") | PortSet(other=True), "UDP, ICMP and other protocols", [("UDP", "1-65535")]),
        (ports_of("TCP", 80, 79), "nothing", []),
    ],
)
def test_ports_in_words_and_rows(ports: PortSet, text: str, rows: list[tuple[str, str]]) -> None:
    assert str(ports) == text
    assert list(ports.rows()) == rows


def test_blocks_and_their_holes() -> None:
    found = block("10.0.0.0/8", ["10.1.0.0/16", "10.2.0.0/16"])
    assert list(found.cidrs())[:2] == ["10.0.0.0/16", "10.3.0.0/16"]
    assert found | parse_network("10.1.0.0/16") | parse_network("10.2.0.0/16") == parse_network("10.0.0.0/8")
    assert list(ALL_ADDRESSES.cidrs()) == ["0.0.0.0/0", "::/0"]
    assert not AddressSet()
    assert AddressSet(((1, 2),))


def test_mapped_addresses_are_ipv4() -> None:
    assert parse_address("::ffff:10.1.2.3") == (4, int(ipaddress.ip_address("10.1.2.3")))
    assert parse_network("::ffff:10.1.0.0/112") == parse_network("10.1.0.0/16")
    assert parse_network("10.1.2.3/16") == parse_network("10.1.0.0/16"), "host bits are ignored"
    assert hosts(["fd00::1", "10.0.0.1", "10.0.0.2"]).v4 == ((167772161, 167772162),)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("example.com", "example.com", True),
        ("example.com", "EXAMPLE.com.", True),
        ("example.com", "www.example.com", False),
        ("*.example.com", "www.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
    ],
)
def test_domain_patterns(pattern: str, name: str, matches: bool) -> None:
    assert domain_matches(pattern, name) is matches
