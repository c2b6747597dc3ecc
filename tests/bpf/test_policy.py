"""Verdicts at a pod's own hook, packet by packet: tables filled as the agent fills them, nothing attached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bpf import packets as p
from bpf.policy_bench import (
    ALLOW,
    DENY,
    ISOLATED,
    NODE,
    OTHER,
    PEER,
    PEER6,
    POD,
    POD6,
    WORLD,
    Plan,
    PolicyBench,
    only,
    pod,
    unknown_pods,
)
from eastwest.agent.policy.abi import KERNEL_REASONS
from eastwest.agent.sizes import Patience, Sizes
from eastwest.model.plan import IdentityKind, Mode, Posture

pytestmark = pytest.mark.root
REASON = {name: number for number, name in KERNEL_REASONS.items()}


def syn(src: str, dst: str, port: int, *, src_port: int = 40000, seq: int = 1) -> bytes:
    return p.ip(src, dst, p.TCP, p.tcp(src_port, port, p.SYN, seq))


def ack(src: str, dst: str, src_port: int, port: int) -> bytes:
    return p.ip(src, dst, p.TCP, p.tcp(src_port, port, p.ACK, payload=b"data"))


def datagram(src: str, dst: str, src_port: int, port: int) -> bytes:
    return p.ip(src, dst, p.UDP, p.udp(src_port, port, b"data"))


@pytest.mark.parametrize(("mine", "peer"), [(POD, PEER), (POD6, PEER6)])
def test_egress_is_decided_by_the_peers_port(mine: str, peer: str) -> None:
    with PolicyBench() as bench:
        bench.put(only(egress=((6, 80, ALLOW, 7),)))
        assert bench.sends(syn(mine, peer, 80))
        assert bench.gets(ack(peer, mine, 80, 40000)), "a reply needs no rule"
        assert not bench.sends(syn(mine, peer, 81))
        assert not bench.sends(datagram(mine, peer, 40000, 80))
        found, books, _ = bench.drain(carry=False)
    edges = {(r.protocol, r.dst_port): r for r in found}
    allowed, denied = edges[6, 80], edges[6, 81]
    assert (allowed.policy_allowed, allowed.policy_denied, allowed.reasons) == (2, 0, (7, 0))
    assert (denied.policy_allowed, denied.policy_denied, denied.reasons) == (0, 1, (0, 900))
    assert books.unexplained.packets == 0


@pytest.mark.parametrize(("mine", "peer"), [(POD, PEER), (POD6, PEER6)])
def test_ingress_is_decided_by_the_pods_port(mine: str, peer: str) -> None:
    with PolicyBench() as bench:
        bench.put(only(ingress=((6, 8080, ALLOW, 8),)))
        assert bench.gets(syn(peer, mine, 8080))
        assert bench.sends(p.ip(mine, peer, p.TCP, p.tcp(8080, 40000, p.SYN | p.ACK)))
        assert not bench.gets(syn(peer, mine, 8081))
        assert not bench.gets(syn(OTHER if mine == POD else "fd00::3", mine, 8080))
        found, _, _ = bench.drain(carry=False)
    assert {(r.src, r.dst_port): (r.policy_allowed, r.policy_denied) for r in found if r.src == peer} == {
        (peer, 8080): (2, 0),
        (peer, 8081): (0, 1),
    }


@pytest.mark.parametrize(
    ("frame", "rule"),
    [
        (p.ip(POD, PEER, p.SCTP, p.sctp(5000, 36412, p.INIT)), (132, 36412)),
        (datagram(POD, PEER, 5000, 53), (17, 53)),
        (p.ip(POD, PEER, p.ICMP, p.icmp(8)), (0, -1)),
        (p.ip(POD6, PEER6, p.ICMPV6, p.icmp(128)), (0, -1)),
        (p.ip(POD, PEER, 47, b"gre!"), (0, -1)),
        (p.ip(POD, PEER, p.TCP, p.tcp(40000, 443, p.SYN), options=b"\x01" * 12), (6, 443)),
        (p.ip(POD6, PEER6, 0, p.extension(60) + p.extension(6) + p.tcp(40000, 443, p.SYN)), (6, 443)),
    ],
    ids=["sctp", "udp", "echo", "echo6", "gre", "ip options", "ipv6 extensions"],
)
def test_every_protocol_by_its_own_rule(frame: bytes, rule: tuple[int, int]) -> None:
    with PolicyBench() as bench:
        bench.put(only(egress=((*rule, ALLOW, 5),)))
        assert bench.sends(frame)
        bench.put(only())
        assert not bench.sends(frame)


def test_the_longest_match_of_a_row_decides() -> None:
    """Whole row, protocol and port: a tier above may deny one port of what the one below allows."""
    with PolicyBench() as bench:
        bench.put(only(egress=((6, -1, ALLOW, 1), (6, 22, DENY, 2))))
        assert bench.sends(syn(POD, PEER, 80))
        assert not bench.sends(syn(POD, PEER, 22))
        (ssh,) = [r for r in bench.drain(carry=False)[0] if r.dst_port == 22]
    assert ssh.reasons == (0, 2)


def test_audit_passes_and_counts() -> None:
    with PolicyBench() as bench:
        bench.put(only(mode=Mode.AUDIT))
        assert bench.sends(syn(POD, PEER, 80))
        assert bench.gets(ack(PEER, POD, 80, 40000))
        (row,), _, _ = bench.drain(carry=False)
    assert (row.policy_allowed, row.policy_denied, row.policy_would_deny, row.reasons) == (0, 0, 2, (0, 900))
    assert row.connections_established == 1


def test_off_decides_nothing() -> None:
    with PolicyBench() as bench:
        bench.put(only(mode=Mode.OFF))
        assert bench.sends(syn(POD, PEER, 80))
        (row,), _, _ = bench.drain(carry=False)
    assert (row.policy_allowed, row.policy_denied, row.policy_would_deny, row.reasons) == (0, 0, 0, (0, 0))


def test_nothing_in_force_decides_nothing() -> None:
    with PolicyBench() as bench:
        assert bench.sends(syn(POD, PEER, 80))
        (row,), _, _ = bench.drain(carry=False)
    assert (row.policy_allowed, row.policy_denied) == (0, 0)


def test_not_enforcing_looks_at_no_table() -> None:
    with PolicyBench(enforcing=False) as bench:
        assert bench.sends(syn(POD, PEER, 80))


def test_a_removed_rule_cuts_both_directions() -> None:
    with PolicyBench() as bench:
        bench.put(only(egress=((6, 80, ALLOW, 7),)))
        bench.sends(syn(POD, PEER, 80))
        bench.gets(p.ip(PEER, POD, p.TCP, p.tcp(80, 40000, p.SYN | p.ACK)))
        bench.drain(carry=False)
        bench.put(only())
        assert not bench.gets(ack(PEER, POD, 80, 40000))
        assert not bench.sends(ack(POD, PEER, 40000, 80))
        (row,), _, _ = bench.drain()
        assert (row.policy_allowed, row.policy_denied, row.reasons) == (0, 2, (0, 900))
        bench.put(only(egress=((6, 80, ALLOW, 9),)))
        assert bench.gets(ack(PEER, POD, 80, 40000)), "and an added one heals it"
        (row,), _, _ = bench.drain()
    assert (row.policy_allowed, row.reasons) == (1, (9, 0))


def test_a_denied_first_packet_is_forgotten_by_a_new_syn() -> None:
    """The same ports again, after the rule came: and without one, denied again."""
    with PolicyBench() as bench:
        bench.put(only(ingress=((6, 80, ALLOW, 3),)))
        assert bench.gets(syn(PEER, POD, 80, seq=1))
        assert bench.gets(syn(PEER, POD, 80, seq=2))
        bench.put(only())
        assert not bench.gets(syn(PEER, POD, 80, seq=3))


def test_a_denied_syn_from_the_other_end_cuts_nothing() -> None:
    """Anybody who knows the ports could send it."""
    with PolicyBench() as bench:
        bench.put(only(egress=((6, 80, ALLOW, 7),)))
        bench.sends(syn(POD, PEER, 80))
        bench.gets(p.ip(PEER, POD, p.TCP, p.tcp(80, 40000, p.SYN | p.ACK)))
        assert not bench.gets(p.ip(PEER, POD, p.TCP, p.tcp(80, 40000, p.SYN, 77)))
        assert bench.sends(ack(POD, PEER, 40000, 80))
        assert bench.gets(ack(PEER, POD, 80, 40000))


def test_who_was_denied_does_not_keep_the_other_end_from_opening() -> None:
    """Gossip speaks between equal ports: their first datagram is denied, ours is not, and then theirs are answers."""
    with PolicyBench() as bench:
        bench.put(only(egress=((17, 7946, ALLOW, 7),)))
        assert not bench.gets(datagram(PEER, POD, 7946, 7946))
        assert bench.sends(datagram(POD, PEER, 7946, 7946))
        assert bench.gets(datagram(PEER, POD, 7946, 7946))


def test_a_cut_datagram_connection_is_not_turned_round() -> None:
    with PolicyBench() as bench:
        plan = only(ingress=((17, 53, ALLOW, 7),))
        bench.put(plan)
        assert bench.gets(datagram(PEER, POD, 5000, 53))
        assert bench.sends(datagram(POD, PEER, 53, 5000))
        bench.put(replace(plan, rows={**plan.rows, 10: ((-1, -1, ALLOW, 1),), 20: ((-1, -1, DENY, 2),)}))
        assert not bench.sends(datagram(POD, PEER, 53, 5000))
        assert not bench.gets(datagram(PEER, POD, 5000, 53))


def test_a_pod_and_its_own_node() -> None:
    with PolicyBench() as bench:
        bench.put(only())
        assert bench.gets(syn(NODE, POD, 8080))
        (row,), _, _ = bench.drain(carry=False)
    assert (row.policy_allowed, row.reasons[0]) == (1, REASON["own_node"])


def test_a_pod_and_itself() -> None:
    with PolicyBench() as bench:
        bench.put(only())
        assert bench.sends(syn(POD, POD, 8080))
        (row,), _, _ = bench.drain(carry=False)
    assert row.reasons[0] == REASON["itself"]


@pytest.mark.parametrize(("mode", "passes"), [(Mode.ENFORCE, False), (Mode.AUDIT, True), (Mode.OFF, True)])
def test_another_pods_address_as_source(mode: Mode, passes: bool) -> None:
    with PolicyBench() as bench:
        bench.put(Plan(pods=(pod(mode=mode),), more_addresses={OTHER: 99}))
        assert bench.sends(syn(POD, PEER, 80))
        assert bench.sends(syn(OTHER, PEER, 80)) is passes
        assert bench.sends(syn("10.0.0.77", PEER, 80)) is passes
        found, _, _ = bench.drain(carry=False)
    (row,) = [r for r in found if r.src == OTHER]
    assert row.reasons == ((0, 0) if mode is Mode.OFF else (0, REASON["spoofed"]))


def test_what_the_kernel_may_translate_is_not_decided_here() -> None:
    """A Service's address says nothing: its packets go on to FORWARD, and are not counted as allowed."""
    with PolicyBench() as bench:
        bench.put(only())
        assert bench.sends(syn(POD, WORLD, 80))
        (row,), _, _ = bench.drain(carry=False)
    assert (row.policy_allowed, row.policy_denied) == (0, 0)


def test_an_unknown_initiator_passes_when_either_may_have_opened() -> None:
    with PolicyBench() as bench:
        bench.put(only(egress=((6, 80, ALLOW, 7),)))
        assert bench.gets(ack(PEER, POD, 80, 40000))
        assert not bench.gets(ack(PEER, POD, 81, 40000))
        found, books, _ = bench.drain()
        assert books.other["undecided"] == 1
        (row,) = [r for r in found if r.dst_port == 80]
        assert (row.reporter, row.reasons[0]) == ("unknown", REASON["undecided"])


def test_a_listening_socket_decides_an_unknown_initiator() -> None:
    with PolicyBench() as bench:
        bench.kernel.set_listeners(1, {(6, 0), (6, 8080)}, set())
        bench.put(only(egress=((6, -1, ALLOW, 7),)))
        assert not bench.gets(ack(PEER, POD, 5000, 8080)), "the pod serves it, and nobody may ask"
        assert bench.gets(ack(PEER, POD, 80, 40000)), "the pod does not listen there: it asked"


def test_icmp_errors_share_the_fate_of_their_connection() -> None:
    with PolicyBench() as bench:
        plan = only(egress=((17, 53, ALLOW, 7),))
        bench.put(plan)
        asked = datagram(POD, PEER, 40000, 53)
        refused = p.ip(WORLD, POD, p.ICMP, p.icmp(3, 4) + asked[14:])
        assert not bench.gets(refused), "about nothing that was sent"
        assert bench.sends(asked)
        assert bench.gets(refused)
        bench.put(only())
        assert not bench.gets(refused)


def test_neighbour_discovery_and_arp_always_pass() -> None:
    with PolicyBench() as bench:
        bench.put(only())
        for kind in (133, 135, 136, 143):
            assert bench.sends(p.ip(POD6, "ff02::1", p.ICMPV6, p.icmp(kind)))
        assert bench.sends(p.ethernet(bytes(28), 0x0806))


def test_later_fragments_follow_the_first() -> None:
    with PolicyBench() as bench:
        bench.put(only(egress=((17, 9000, ALLOW, 7),)))
        later = p.ip(POD, PEER, p.UDP, b"later", fragment=0x0001)
        assert not bench.sends(later)
        assert bench.sends(p.ip(POD, PEER, p.UDP, p.udp(5000, 9000), fragment=0x2000))
        assert bench.sends(later)
        assert not bench.sends(p.ip(POD, PEER, p.UDP, p.udp(5000, 9001), fragment=0x2000))
        assert not bench.sends(later)
        assert not bench.sends(p.ip(POD, PEER, p.TCP, b"\0" * 8)), "too short to say its ports"
        _, books, _ = bench.drain()
        assert books.other["unread_denied"] == 2
        bench.put(only(mode=Mode.AUDIT))
        assert bench.sends(p.ip(POD, PEER, p.TCP, b"\0" * 8))
        assert bench.drain()[1].other["unread_would_deny"] == 1
        bench.put(Plan(pods=(pod(),)))
        assert bench.sends(p.ip(POD, PEER, p.TCP, b"\0" * 8)), "nothing isolates the pod"


def test_without_room_for_an_entry_every_packet_is_decided() -> None:
    with PolicyBench(sizes=Sizes(flows=16, overflow=64)) as bench:
        for port in range(200):
            bench.sends(p.ip(POD, "10.9.9.9", p.UDP, p.udp(1000 + port, 9)))
        bench.put(only(egress=((6, 80, ALLOW, 7),), ingress=((6, 22, ALLOW, 8),)))
        for _ in range(3):
            assert bench.sends(syn(POD, PEER, 80))
            assert not bench.sends(syn(POD, PEER, 81))
            assert bench.gets(syn(PEER, POD, 22))
            assert not bench.gets(syn(PEER, POD, 23))
        found, books, _ = bench.drain(carry=False)
        assert books.unexplained.packets == 0
    edges = {(r.src, r.dst_port): r for r in found if r.counted_in == "overflow" and PEER in (r.src, r.dst)}
    assert {k: (r.policy_allowed, r.policy_denied, r.reasons) for k, r in edges.items()} == {
        (POD, 80): (3, 0, (7, 0)),
        (POD, 81): (0, 3, (0, 900)),
        (PEER, 22): (3, 0, (8, 0)),
        (PEER, 23): (0, 3, (0, 900)),
    }


@pytest.mark.parametrize(
    ("mode", "posture", "passes"),
    [
        (Mode.ENFORCE, Posture.DENY, False),
        (Mode.AUDIT, Posture.DENY, True),
        (Mode.ENFORCE, Posture.ALLOW, True),
        (Mode.OFF, Posture.DENY, True),
    ],
)
def test_a_pod_nobody_knows_has_the_posture(mode: Mode, posture: Posture, passes: bool) -> None:
    with PolicyBench() as bench:
        bench.put(unknown_pods(mode, posture))
        assert bench.sends(syn(POD, PEER, 80)) is passes
        assert bench.gets(syn(PEER, POD, 80, src_port=5)) is passes
        assert bench.gets(syn(NODE, POD, 80, src_port=6)), "its own node always"
        assert bench.sends(syn("172.16.0.1", PEER, 80)), "not where pods live: some other link"
        bench.put(replace(unknown_pods(mode, posture), pods=(pod(egress=0, ingress=0, mode=mode),)))
        assert bench.gets(syn(PEER, POD, 81)) is passes, "its interface is known, its UID is not"


def test_an_address_without_identity_is_a_defect_and_denied() -> None:
    with PolicyBench() as bench:
        bench.put(Plan(identities={POD: (1, IdentityKind.POD)}, pods=(pod(),)))
        assert not bench.gets(syn(PEER, POD, 80))
        (row,), _, _ = bench.drain(carry=False)
    assert row.reasons == (0, REASON["no_table"])


def test_a_half_filled_set_is_never_read() -> None:
    """Everything that will be denied is in the other set already, but the generation is still the old one."""
    with PolicyBench() as bench:
        bench.put(Plan(pods=(pod(),)))
        assert bench.sends(syn(POD, PEER, 80))
        other = only()
        real = bench.tables._flip
        switched: list[int] = []

        def look(generation: int, stance: object) -> None:
            assert bench.sends(ack(POD, PEER, 40000, 80))
            assert bench.sends(syn(POD, PEER, 81))
            switched.append(generation)
            real(generation, stance)  # type: ignore[arg-type]

        bench.tables._flip = look  # type: ignore[method-assign]
        bench.put(other)
        assert switched
        assert not bench.sends(ack(POD, PEER, 40000, 80))


def test_a_cut_connections_entry_does_not_stay_for_an_hour() -> None:
    quick = Patience(carry_ns=0, closed_ns=0, idle_tcp_ns=10**15, idle_other_ns=0)
    with PolicyBench(patience=quick) as bench:
        bench.put(Plan(pods=(pod(),)))
        bench.sends(syn(POD, PEER, 80))
        bench.gets(ack(PEER, POD, 80, 40000))
        assert bench.drain()[2].entries == 1
        bench.put(Plan(pods=(pod(egress=ISOLATED, ingress=ISOLATED),)))
        assert not bench.sends(ack(POD, PEER, 40000, 80))
        bench.drain()
        assert bench.drain()[2].entries == 0


def test_an_audited_connections_entry_stays_as_long_as_any() -> None:
    quick = Patience(carry_ns=0, closed_ns=0, idle_tcp_ns=10**15, idle_other_ns=0)
    with PolicyBench(patience=quick) as bench:
        bench.put(only(mode=Mode.AUDIT))
        bench.sends(syn(POD, PEER, 80))
        bench.gets(ack(PEER, POD, 80, 40000))
        bench.drain()
        assert bench.drain()[2].entries == 1


@pytest.mark.parametrize("egress", [True, False])
def test_what_was_denied_waits_for_no_answer(egress: bool) -> None:
    """Of others the first window says nothing yet: their first answer may name a Service's backend."""
    with PolicyBench(patience=Patience(carry_ns=10**15)) as bench:
        bench.put(only(egress=((6, 80, ALLOW, 7),), ingress=()))
        assert bench.sends(syn(POD, PEER, 80))
        assert not (bench.sends(syn(POD, PEER, 81)) if egress else bench.gets(syn(PEER, POD, 81)))
        found, books, _ = bench.drain()
    assert [(r.dst_port, r.policy_denied) for r in found] == [(81, 1)]
    assert books.unexplained.packets == 0
