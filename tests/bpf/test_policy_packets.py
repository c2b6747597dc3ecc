"""Enforcement on real packets: pods, Services and another node, with the kernel's own forwarding and translation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bpf.factories_net import nft, sh, wait_for
from bpf.policy_bench import ALLOW, Rule
from bpf.policy_lab import (
    A6,
    B6,
    CLIENT,
    DNS,
    ELSEWHERE,
    ELSEWHERE6,
    FAR,
    FAR6,
    GATEWAY,
    HERE,
    HERE6,
    IS_A,
    IS_B,
    IS_CLIENT,
    IS_FAR,
    IS_SERVICE,
    IS_WORLD,
    MYSELF,
    NODE,
    A,
    B,
    C,
    Lab,
    lab,
)
from eastwest.agent import bpf, loader
from eastwest.agent.abi import FLOW_KEY
from eastwest.agent.policy.abi import KERNEL_REASONS
from eastwest.agent.policy.tables import Stance
from eastwest.agent.sizes import Sizes
from eastwest.model.plan import Mode, Posture, Side

pytestmark = pytest.mark.root
REASON = {name: number for number, name in KERNEL_REASONS.items()}
TCP, UDP = 6, 17
WEB: Rule = (TCP, 8080, ALLOW, 7)


@pytest.fixture(scope="module")
def world() -> Iterator[Lab]:
    with lab() as found:
        yield found


@pytest.fixture
def net(world: Lab) -> Lab:
    world.put(world.plan())
    world.records()
    return world


@pytest.mark.parametrize(
    ("service", "backend", "direct"),
    [(HERE, IS_B, B), (ELSEWHERE, IS_FAR, FAR), (HERE6, IS_B, B6), (ELSEWHERE6, IS_FAR, FAR6)],
    ids=["this node", "other node", "this node IPv6", "other node IPv6"],
)
def test_egress_through_a_service_is_decided_by_the_backend(net: Lab, service: str, backend: int, direct: str) -> None:
    """Port 80 of the Service is port 8080 of the pod: that is the one that rules name."""
    assert net.asks("a", f"tcp('{service}', 80)") == "ok"
    net.put(net.plan(egress={backend: (WEB,)}))
    assert net.asks("a", f"tcp('{service}', 80)") == "ok"
    assert net.asks("a", f"tcp('{direct}', 8080)") == "ok"
    assert net.asks("a", f"tcp('{direct}', 8081)") == "timeout"
    (row,) = [r for r in net.records() if r.service == service and r.policy_allowed and r.reasons[0] == 7]
    assert (row.dst, row.dst_port, row.policy_denied) == (direct, 8080, 0)
    assert row.policy_allowed == row.packets_forward + row.packets_reverse

    net.put(net.plan(egress={backend: ((TCP, 80, ALLOW, 7),), IS_SERVICE: ((-1, -1, ALLOW, 8),)}))
    assert net.asks("a", f"tcp('{service}', 80)") == "timeout", "neither the Service's port nor its address grants"
    (row,) = [r for r in net.records() if r.policy_denied]
    assert (row.dst_port, row.policy_allowed, row.reasons) == (8080, 0, (0, 900))


@pytest.mark.parametrize(("service", "backend"), [(HERE, B), (HERE6, B6)], ids=["IPv4", "IPv6"])
def test_both_ends_name_one_edge_when_the_server_denies(net: Lab, service: str, backend: str) -> None:
    """Nobody answers the client, whose own direction nobody evaluates: FORWARD knows which backend it was."""
    plan = net.plan(ingress={})
    client, server = plan.pods
    net.put(replace(plan, pods=(replace(client, egress=Side(Mode.OFF, 0, 0)), server)))
    assert net.asks("a", f"tcp('{service}', 80)") == "timeout"
    found = [r for r in net.records() if r.src in (A, A6)]
    assert {(r.dst, r.dst_port) for r in found} == {(backend, 8080)}
    assert sorted(r.policy_denied for r in found) == [0, max(r.policy_denied for r in found)]
    assert max(r.policy_denied for r in found) >= 1
    assert {r.service for r in found if not r.policy_denied} == {service}


def test_a_service_that_leads_back_to_the_pod(net: Lab) -> None:
    """Masqueraded to the node on its way; what opened it is the pod itself."""
    net.put(net.plan(egress={}))
    assert net.asks("a", f"tcp('{MYSELF}', 80)") == "ok"
    assert {r.reasons[0] for r in net.records() if r.policy_allowed} == {REASON["itself"]}


@pytest.mark.parametrize("port", [30080, 30081], ids=["masqueraded", "source kept"])
def test_a_client_from_outside_through_a_node_port(net: Lab, port: int) -> None:
    """Both external traffic policies: it is the client who is judged, never the node that lends its address."""
    net.put(net.plan(ingress={IS_CLIENT: (WEB,)}))
    assert net.asks("far", f"tcp('{NODE}', {port})") == "ok"
    net.put(net.plan(ingress={}))
    assert net.asks("far", f"tcp('{NODE}', {port})") == "timeout"
    (row,) = [r for r in net.records() if r.policy_denied]
    assert (row.src, row.dst, row.dst_port) == (CLIENT, B, 8080)


def test_the_pods_own_node_always_passes_both_ways(net: Lab) -> None:
    net.put(net.plan(egress={}, ingress={}))
    assert net.asks("node", f"tcp('{B}', 8080)") == "ok"
    assert net.asks("node", f"tcp('{B6}', 8080)") == "ok"
    assert net.asks("a", f"tcp('{NODE}', 9)") == "ECONNREFUSED"
    assert sh(f"ping -c1 -W1 {GATEWAY}", netns=net.names["a"])


def test_a_node_port_on_the_pods_own_node_is_its_backend(net: Lab) -> None:
    """The node's address is asked for, but it is not where the packet ends."""
    net.put(net.plan(egress={}))
    assert net.asks("a", f"tcp('{NODE}', 30081)") == "timeout"
    net.put(net.plan(egress={IS_B: (WEB,)}))
    assert net.asks("a", f"tcp('{NODE}', 30081)") == "ok"


@pytest.mark.parametrize(("peer", "who"), [(B, IS_B), (FAR, IS_FAR), (B6, IS_B)])
def test_udp_and_its_answers(net: Lab, peer: str, who: int) -> None:
    net.put(net.plan(egress={who: ((UDP, 9000, ALLOW, 7),)}))
    assert net.asks("a", f"udp('{peer}', 9000)") == "ok"
    assert net.asks("a", f"udp('{peer}', 9001)") == "timeout"


def test_dns_through_a_service_on_another_port(net: Lab) -> None:
    net.put(net.plan(egress={IS_FAR: ((UDP, 9000, ALLOW, 7),)}))
    assert net.asks("a", f"udp('{DNS}', 53)") == "ok"
    net.put(net.plan(egress={IS_FAR: ((UDP, 53, ALLOW, 7),)}))
    assert net.asks("a", f"udp('{DNS}', 53)") == "timeout"


@pytest.mark.parametrize("established", [False, True])
def test_the_next_attempt_may_get_another_backend(net: Lab, established: bool) -> None:
    """The same socket: what was denied of one backend is not remembered for the Service's address."""
    net.actors["a"].do("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)")
    if established:
        assert net.asks("a", f"udp('{DNS}', 53, s=u)") == "ok"
    net.put(net.plan(egress={IS_B: ((UDP, 9000, ALLOW, 7),)}))
    assert net.asks("a", f"udp('{DNS}', 53, s=u)") == "timeout"
    listing = sh("nft -a list chain ip services in", netns=net.names["node"])
    (handle,) = [line.split()[-1] for line in listing.splitlines() if 'comment "dns"' in line]
    rule = f"rule ip services in handle {handle} ip daddr {DNS} udp dport 53 dnat to"
    nft(net.names["node"], f"replace {rule} {B}:9000")
    if established:
        sh("conntrack -D -p udp", netns=net.names["node"])  # as after its time
    try:
        assert net.asks("a", f"udp('{DNS}', 53, s=u)") == "ok"
    finally:
        nft(net.names["node"], f'replace {rule} {FAR}:9000 comment "dns"')


def test_ports_of_the_node_that_somebody_else_uses_by_now(net: Lab) -> None:
    """Behind masquerading two clients look the same: a new one is judged by who it is."""
    net.put(net.plan(ingress={IS_FAR: ((UDP, 9000, ALLOW, 7),)}))
    ask = "(lambda s: (s.bind(({!r}, 7777)), udp({!r}, 30053, s=s), s.close())[1])(socket.socket(socket.AF_INET, 2))"
    assert net.asks("far", ask.format(FAR, NODE)) == "ok"
    sh("conntrack -D -p udp", netns=net.names["node"])
    assert net.asks("far", ask.format(CLIENT, NODE)) == "timeout"
    assert {r.src for r in net.records() if r.policy_denied} == {CLIENT}


@pytest.mark.parametrize(("peer", "who"), [(B, IS_B), (B6, IS_B), (CLIENT, IS_CLIENT)])
def test_big_datagrams_in_fragments(net: Lab, peer: str, who: int) -> None:
    net.put(net.plan(egress={who: ((UDP, 9000, ALLOW, 7),)}, ingress={IS_A: ((UDP, 9000, ALLOW, 7),)}))
    assert net.asks("a", f"udp('{peer}', 9000, 9000)") == "ok"
    found = [r for r in net.records() if r.reporter == "client"]
    assert sum(r.policy_denied for r in found) == 0
    (row,) = [r for r in found if r.dst_port == 9000]
    assert row.bytes_forward > 9000
    assert row.packets_forward >= 7
    # FORWARD sees a datagram that conntrack has put together, and judges it as one packet.
    assert row.policy_allowed - row.packets_reverse == (1 if peer == CLIENT else row.packets_forward)
    assert net.asks("a", f"udp('{peer}', 9001, 9000)") == "timeout"


def test_echo_by_a_rule_without_ports(net: Lab) -> None:
    for peer in (B, FAR, CLIENT, B6):
        who = {B: IS_B, B6: IS_B, FAR: IS_FAR, CLIENT: IS_CLIENT}[peer]
        net.put(net.plan(egress={who: ((0, -1, ALLOW, 7),)}))
        sh(f"ping -c1 -W1 {peer}", netns=net.names["a"])
        net.put(net.plan(egress={}))
        with pytest.raises(AssertionError):
            sh(f"ping -c1 -W0.3 {peer}", netns=net.names["a"])


@pytest.mark.parametrize("peer", [B, CLIENT])
def test_sctp_by_its_port(net: Lab, peer: str) -> None:
    """Raw INIT chunks: this kernel need not have SCTP sockets."""
    who, where = (IS_B, "b") if peer == B else (IS_CLIENT, "far")
    net.put(net.plan(egress={who: ((132, 36412, ALLOW, 7),)}))
    net.actors[where].do("raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132); raw.settimeout(0.5)")
    net.actors["a"].do(
        "raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)\n"
        "def init(port): return struct.pack('!HHII', 5000, port, 0, 0) + struct.pack('!BBHIIHHI', 1, 0, 20, 1, 9, 1, 1, 1)\n"
        f"raw.sendto(init(36413), ('{peer}', 0)); raw.sendto(init(36412), ('{peer}', 0))"
    )
    first = net.asks(where, "raw.recv(100)[22:24].hex()")
    assert int(first, 16) == 36412, "the denied one came first and is not there"


def test_path_mtu_discovery_works_for_what_is_allowed(net: Lab) -> None:
    """The node says that a packet is too big for the way to the far pod; the pod hears it, and the transfer goes on."""
    net.put(net.plan(egress={IS_FAR: (WEB,)}))
    sh("ip link set uplink mtu 1280", netns=net.names["node"])
    try:
        net.actors["a"].do(
            f"s = socket.create_connection(('{FAR}', 8080), 2); s.settimeout(3)\n"
            "s.sendall(bytes(20000)); got = 0\n"
            "while got < 20000: got += len(s.recv(65536))\n"
            "result = got, s.getsockopt(socket.IPPROTO_IP, 14)"
        )
        net.actors["a"].do("result = s.getsockopt(socket.IPPROTO_IP, 14)")
        assert net.asks("a", "s.getsockopt(socket.IPPROTO_IP, 14)") == 1280
    finally:
        net.actors["a"].do("s.close()")
        sh("ip link set uplink mtu 1500", netns=net.names["node"])
        sh("ip route flush cache", netns=net.names["a"])


_STREAM = """
s = socket.create_connection(({host!r}, {port}), 2); s.settimeout(0.2); moved = 0; gaps = []
def pump(s=s):
    global moved
    last = time.monotonic()
    while s.fileno() >= 0:
        try:
            s.sendall(bytes(1000)); moved += len(s.recv(65536))
            now = time.monotonic(); gaps.append(now - last); last = now
        except TimeoutError: pass
        except OSError: return
threading.Thread(target=pump, daemon=True).start()
"""


@pytest.mark.parametrize("host", [B, HERE, ELSEWHERE], ids=["direct", "service here", "service elsewhere"])
def test_a_removed_rule_cuts_within_a_second_and_an_added_one_never(net: Lab, host: str) -> None:
    everyone = {IS_B: (WEB,), IS_FAR: (WEB,)}
    net.put(net.plan(egress=everyone))
    net.actors["a"].do(_STREAM.format(host=host, port=8080 if host == B else 80))
    try:
        wait_for(lambda: net.asks("a", "moved"), lambda n: n > 50_000)
        for reason in range(20):  # added, removed and added again, beside the one that matters
            net.put(net.plan(egress={**everyone, IS_WORLD: ((TCP, 443, ALLOW, reason),)}))
        assert net.asks("a", "max(gaps)") < 0.2, "never had to send anything again"
        net.records()
        net.put(net.plan(egress={}))
        began = time.monotonic()
        before = -1
        while (now := net.asks("a", "moved")) != before:
            before = now
            time.sleep(0.05)
        assert time.monotonic() - began < 1
        denied = [r for r in net.records() if r.policy_denied]
        assert {(r.reporter, r.dst_port) for r in denied} == {("client", 8080)}
    finally:
        net.actors["a"].do("s.close()")


def test_enforcing_mid_transfer_cuts_nothing_that_is_allowed(net: Lab) -> None:
    """Connections older than their entries: the flow map is emptied under them, so who opened them must be found out."""
    net.actors["a"].do(_STREAM.format(host=HERE, port=80))
    try:
        wait_for(lambda: net.asks("a", "moved"), lambda n: n > 50_000)
        for round_ in range(5):
            before = net.asks("a", "moved")
            _forget_flows(net)
            net.put(net.plan(egress={IS_B: (WEB,)}, ingress={IS_A: ((TCP, 8080, ALLOW, round_),)}))
            wait_for(lambda: net.asks("a", "moved"), lambda n, b=before: n > b + 100_000)
        assert net.asks("a", "max(gaps)") < 0.2
        assert not [r for r in net.records() if r.policy_denied and r.dst == B]  # others: what former tests cut
        _forget_flows(net)
        net.put(net.plan(egress={}))
        time.sleep(0.1)
        before = net.asks("a", "moved")
        time.sleep(0.3)
        assert net.asks("a", "moved") == before, "and what is not allowed ends"
    finally:
        net.actors["a"].do("s.close()")


def _forget_flows(net: Lab) -> None:
    for key in bpf.keys(net.kernel.maps["flows"], FLOW_KEY):
        bpf.delete(net.kernel.maps["flows"], key.tobytes())


def test_labels_that_flip_under_traffic_give_no_wrong_verdict(net: Lab) -> None:
    """Two whole sets that agree on nothing but the outcome: mixed, they would allow or deny what they must not."""
    one = net.plan(egress={IS_B: ((UDP, 9000, ALLOW, 1),), IS_A: ((UDP, 9001, ALLOW, 1),)})
    identities = {**one.identities, B: (IS_FAR, one.identities[B][1]), FAR: (IS_B, one.identities[FAR][1])}
    two = net.plan(egress={IS_FAR: ((UDP, 9000, ALLOW, 2),), IS_B: ((UDP, 9001, ALLOW, 2),)})
    two = type(two)(identities, two.rows, two.cells, two.pods, two.own)
    net.put(one)
    net.actors["a"].do(
        "going = True\n"
        "def blast():\n"
        "    u = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]\n"
        "    while going:\n"
        f"        for s in u: s.sendto(b'x', ('{B}', 9000)); s.sendto(b'x', ('{B}', 9001))\n"
        "threading.Thread(target=blast, daemon=True).start()"
    )
    try:
        for _ in range(60):
            net.put(two)
            net.put(one)
    finally:
        net.actors["a"].do("going = False")
    found = [r for r in net.records() if r.reporter == "client" and r.src == A]
    edges = {r.dst_port: r for r in found}
    assert edges[9000].packets_forward > 2000
    assert (edges[9000].policy_denied, edges[9001].policy_allowed) == (0, 0)
    assert edges[9001].policy_denied == edges[9001].packets_forward


def test_audit_counts_each_packet_once_and_passes_it(net: Lab) -> None:
    net.put(net.plan(egress={}, ingress={}, mode=Mode.AUDIT))
    for target in (f"tcp('{HERE}', 80)", f"tcp('{ELSEWHERE}', 80)", f"udp('{DNS}', 53)", f"udp('{CLIENT}', 9000)"):
        assert net.asks("a", target) == "ok"
    for row in [r for r in net.records() if r.connections]:  # the rest is what former tests cut
        packets = row.packets_forward + row.packets_reverse
        assert (row.policy_would_deny, row.policy_denied, row.policy_allowed) == (packets, 0, 0), row


def test_a_pod_that_uses_the_nodes_address_is_not_the_node(net: Lab) -> None:
    """IPv6 routers do not look whether a source is their own."""
    net.put(net.plan(ingress={}))
    sh("ip -6 addr add fe80::99/64 dev eth0 nodad", netns=net.names["a"])
    plan = net.plan(ingress={})
    net.put(type(plan)(plan.identities, plan.rows, plan.cells, plan.pods[1:], plan.own))
    sh("ip -6 addr add fd50::1/128 dev eth0 nodad", netns=net.names["a"])
    try:
        net.actors["a"].do(
            "u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u.bind(('fd50::1', 0))\n"
            f"u.sendto(b'spoof', ('{B6}', 9000)); u.close()"
        )
        found = wait_for(net.records, lambda found: any(r.src == "fd50::1" and r.policy_denied for r in found))
        (row,) = [r for r in found if r.src == "fd50::1" and r.policy_denied]
        assert (row.policy_denied, row.reasons[1]) == (1, REASON["spoofed"])
    finally:
        sh("ip -6 addr del fd50::1/128 dev eth0", netns=net.names["a"])


def test_connections_in_a_conntrack_zone_are_counted(net: Lab) -> None:
    """The pods' own hooks cannot look them up: egress enforcement says so instead of guessing."""
    net.put(net.plan(egress={IS_CLIENT: (WEB,)}))
    before = net.forward.counters()["zoned"]
    assert net.asks("a", f"tcp('{CLIENT}', 8080)") == "ok"
    assert net.forward.counters()["zoned"] == before
    zone = "ct zone set 5"
    nft(
        net.names["node"],
        f"table ip zones {{ chain c {{ type filter hook prerouting priority -300; ip daddr {CLIENT} {zone}; "
        f"ip saddr {CLIENT} {zone}; }}; }}",
    )
    try:
        assert net.asks("a", f"tcp('{CLIENT}', 8080)") == "ok"
        assert net.asks("a", f"tcp('{CLIENT}', 8081)") == "timeout"
        assert net.forward.counters()["zoned"] >= before + 2
    finally:
        sh("nft delete table ip zones", netns=net.names["node"])


def test_untracked_packets_are_decided_by_their_own_addresses(net: Lab) -> None:
    sh(
        "nft -f -",
        netns=net.names["node"],
        stdin=f"table ip raw {{ chain c {{ type filter hook prerouting priority -300; ip daddr {CLIENT} notrack; "
        f"ip saddr {CLIENT} notrack; }}; }}",
    )
    try:
        net.put(net.plan(egress={IS_CLIENT: (WEB,)}))
        assert net.asks("a", f"tcp('{CLIENT}', 8080)") == "ok"
        assert net.asks("a", f"tcp('{CLIENT}', 8081)") == "timeout"
        assert net.asks("a", f"udp('{CLIENT}', 9000)") == "timeout"
    finally:
        sh("nft delete table ip raw", netns=net.names["node"])
    assert A6


def test_a_pod_that_nobody_knows_and_no_hook_sees(net: Lab) -> None:
    """By its address: inside the ranges of this node's pods, and in no plan."""
    for posture, mode, passes in (
        (Posture.DENY, Mode.ENFORCE, "timeout"),
        (Posture.DENY, Mode.AUDIT, "ok"),
        (Posture.ALLOW, Mode.ENFORCE, "ok"),
    ):
        before = net.forward.counters()
        net.put(replace(net.plan(), ranges=("10.0.0.0/24", "fd00::/64"), stance=Stance(posture, mode)))
        net.tables.set_links(set(), {net.ifindex["uplink"]})
        assert net.asks("c", f"tcp('{FAR}', 8080)") == passes
        assert net.asks("c", f"tcp('{FAR6}', 8080)") == passes
        assert net.asks("far", f"tcp('{C}', 8080)") == passes
        assert net.asks("node", f"tcp('{C}', 8080)") == "ok", "its own node always"
        assert net.asks("c", f"tcp('{NODE}', 9)") == "ECONNREFUSED"
        assert net.asks("a", f"tcp('{FAR}', 8080)") == "ok", "that one is known"
        now = net.forward.counters()
        assert (now["unknown_denied"] > before["unknown_denied"]) is (passes == "timeout")
        assert (now["unknown_would_deny"] > before["unknown_would_deny"]) is (mode is Mode.AUDIT)


def test_a_pod_behind_a_link_that_nobody_knows(net: Lab) -> None:
    """Where no range tells: every link that is not known to be no pod's may be one's."""
    links = {net.ifindex["uplink"]}
    net.tables.set_links(set(), links)
    net.put(replace(net.plan(), stance=Stance(Posture.DENY, Mode.ENFORCE)))
    assert net.asks("c", f"tcp('{FAR}', 8080)") == "timeout"
    assert net.asks("far", f"tcp('{C}', 8080)") == "timeout"
    assert net.asks("b", f"tcp('{FAR}', 8080)") == "ok"
    net.tables.set_links(links, {*links, net.ifindex["c"]})
    assert net.asks("c", f"tcp('{FAR}', 8080)") == "ok"


def test_a_full_flow_map_opens_nothing() -> None:
    """Decided packet by packet at FORWARD too, and on the edge's record."""
    with lab(Sizes(flows=16, overflow=256, records=64)) as net:
        net.actors["a"].do(
            "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"for p in range(2000, 2200): u.sendto(b'x', ('{B}', p))"
        )
        net.put(net.plan(egress={IS_FAR: (WEB,)}))
        net.records()
        for _ in range(3):
            assert net.asks("a", f"tcp('{ELSEWHERE}', 80)") == "ok"
            assert net.asks("a", f"tcp('{CLIENT}', 8080)") == "timeout"
            assert net.asks("a", f"tcp('{B}', 8080)") == "timeout"
        assert net.forward.counters()["without_entry"] >= 6
        edges = {(r.dst, r.dst_port): r for r in net.records() if r.counted_in == "overflow" and r.src == A}
        assert edges[CLIENT, 8080].policy_denied >= 3
        assert (edges[CLIENT, 8080].policy_allowed, edges[CLIENT, 8080].reasons) == (0, (0, 900))
        assert edges[ELSEWHERE, 80].policy_allowed > 0
        assert edges[ELSEWHERE, 80].policy_denied == 0


@pytest.mark.parametrize(
    "refused", [("flow_lookup",), ("flow_lookup", "flow_conntrack")], ids=["no lookup", "no conntrack"]
)
def test_kernels_without_conntracks_functions(monkeypatch: pytest.MonkeyPatch, refused: tuple[str, ...]) -> None:
    """FORWARD then looks at every packet: Services work, and a removed rule still cuts what is established."""
    load = loader.load

    def picky(name: str, *args: Any, **options: Any) -> loader.LoadedObject:
        if name in refused:
            raise loader.LoadError("this kernel has no such function")
        return load(name, *args, **options)

    monkeypatch.setattr(loader, "load", picky)
    with lab() as net:
        assert {h.name: h.state for h in net.kernel.hooks}["conntrack_lookup"] == "refused"
        net.put(net.plan(egress={IS_FAR: (WEB,)}))
        assert net.asks("a", f"tcp('{ELSEWHERE}', 80)") == "ok"
        assert net.asks("a", f"tcp('{HERE}', 80)") == "timeout"
        net.actors["a"].do(_STREAM.format(host=ELSEWHERE, port=80))
        try:
            wait_for(lambda: net.asks("a", "moved"), lambda n: n > 50_000)
            net.put(net.plan(egress={}))
            time.sleep(0.2)
            before = net.asks("a", "moved")
            time.sleep(0.3)
            assert net.asks("a", "moved") == before
        finally:
            net.actors["a"].do("s.close()")
