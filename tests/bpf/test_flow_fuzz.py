"""Any bytes: the programs never fail, every IP packet is in the books, and the books close."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpf import packets as p
from bpf.flow_bench import FlowBench
from bpf.policy_bench import ALLOW, PolicyBench, Rule, only
from eastwest.agent.sizes import Sizes
from eastwest.model.batch import Amount
from eastwest.model.plan import Mode

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def bench() -> Iterator[FlowBench]:
    with FlowBench(sizes=Sizes(flows=64, overflow=16, records=32)) as opened:
        yield opened


addresses = st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"])
ports = st.integers(1, 40)
flags = st.integers(0, 63)
segments = st.one_of(
    st.builds(p.tcp, ports, ports, flags, st.integers(0, 3)).map(lambda b: (p.TCP, b)),
    st.builds(p.udp, ports, ports).map(lambda b: (p.UDP, b)),
    st.builds(p.sctp, ports, ports, st.integers(0, 15), st.integers(0, 3)).map(lambda b: (p.SCTP, b)),
    st.builds(p.icmp, st.integers(0, 255)).map(lambda b: (p.ICMP, b)),
    st.tuples(st.integers(0, 255), st.binary(max_size=64)),
)
ipv4 = st.builds(
    lambda a, b, s, f: p.ip(a, b, s[0], s[1], fragment=f), addresses, addresses, segments, st.sampled_from([0, 0, 0, 1])
)
ipv6 = st.builds(lambda s: p.ip("fd00::1", "fd00::2", s[0], s[1]), segments)
noise = st.builds(p.ethernet, st.binary(min_size=40, max_size=80), st.sampled_from([0x0800, 0x86DD, 0x0806]))
frames = st.one_of(ipv4, ipv6, noise)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(st.booleans(), frames), max_size=30), min_size=1, max_size=3), st.booleans())
def test_books_close_on_anything(bench: FlowBench, windows: list[list[tuple[bool, bytes]]], carry: bool) -> None:
    for window in windows:
        for outward, frame in window:
            (bench.from_pod if outward else bench.to_pod)(frame)
        rows, books, _ = bench.drain(carry=carry)
        assert books.unexplained == Amount(0, 0)
        assert books.recorded.packets == sum(r.packets_forward + r.packets_reverse for r in rows)
    _, books, drained = bench.drain(carry=False)
    assert books.unexplained == Amount(0, 0)
    assert drained.carried == 0


@pytest.fixture(scope="module")
def policed() -> Iterator[PolicyBench]:
    with PolicyBench(sizes=Sizes(flows=64, overflow=16, records=32)) as opened:
        yield opened


MODES = st.sampled_from(Mode)
rules = st.lists(st.tuples(st.sampled_from([0, 6, 17]), st.integers(1, 40), st.just(ALLOW), st.just(7)), max_size=8)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(MODES, rules, st.lists(st.tuples(st.booleans(), frames), max_size=30)), max_size=3))
def test_every_packet_has_one_verdict_at_most(
    policed: PolicyBench, windows: list[tuple[Mode, list[Rule], list[tuple[bool, bytes]]]]
) -> None:
    """Whatever the plan and the packets: what was dropped is what the records and the books call denied."""
    policed.drain(carry=False)
    for mode, found, window in windows:
        policed.put(only(egress=tuple(found), ingress=tuple(found), mode=mode))
        dropped = sum(not (policed.sends if outward else policed.gets)(frame) for outward, frame in window)
        records, books, _ = policed.drain(carry=False)
        assert books.unexplained == Amount(0, 0)
        denied = sum(r.policy_denied for r in records) + books.other.get("unread_denied", 0)
        lost = books.lost["overflow_full"].packets if "overflow_full" in books.lost else 0
        assert denied <= dropped <= denied + lost
        assert mode is Mode.ENFORCE or dropped == 0
        for r in records:
            judged = r.policy_allowed + r.policy_denied + r.policy_would_deny
            assert judged <= r.packets_forward + r.packets_reverse
            assert mode is not Mode.OFF or judged == 0
