"""The agent on real packets: what it says equals what the kernel counted by itself, to the byte."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from agent.netlab import ASK, CALL, GATEWAY4, Node, Pod, node, wait_for
from agent.receiver import Receiver, agent
from eastwest.model.batch import Amount

pytestmark = pytest.mark.root
TCP, UDP = 6, 17


@pytest.fixture
def net(net: Node) -> Node:
    """One whose kernel tracks connections."""
    net.nft("table ip track { chain c { type filter hook forward priority 0; ct state new accept; }; }")
    return net


def edge(r: Receiver, reporter: str, src: str, dst: str, port: int, protocol: int = TCP) -> dict[str, int] | None:
    found = [v for k, v in r.edges().items() if k[:5] == (reporter, src, dst, port, protocol)]
    assert len(found) < 2
    return found[0] if found else None


def conntrack_bytes(n: Node, port: int) -> int:
    """Both directions' L3 bytes by the kernel's own connection tracking."""
    lines = [x for x in n.exec("conntrack", "-L", "-p", "tcp", "-o", "extended").splitlines() if f"dport={port} " in x]
    return sum(int(b) for line in lines for b in re.findall(r"bytes=(\d+)", line))


@pytest.mark.parametrize("gso", ["on", "off"])
def test_a_transfer_equals_conntrack_and_link_counters(net: Node, server: Receiver, tmp_path: Path, gso: str) -> None:
    net.sysctl("net.netfilter.nf_conntrack_acct=1")
    a, b = net.pod("a"), net.pod("b")
    for pod in (a, b):
        net.exec("ethtool", "-K", pod.veth, "gro", gso, "gso", gso, "tso", gso)
        pod.spawn("ethtool", "-K", "eth0", "gro", gso, "gso", gso, "tso", gso).wait()
        if (
            gso == "off"
        ):  # on a busy machine a receiver's queue (1,000 packets) must not overflow behind the hook: link counters
            pod.spawn(
                "sysctl", "-qw", "net.ipv4.tcp_rmem=4096 65536 65536"
            ).wait()  # know nothing of what is dropped there
    b.server(8080)
    with agent(net, server, tmp_path) as running:
        size = 20_000_000
        before = {p.name: net.link_counters(p) for p in (a, b)}
        a.run(CALL.format(host=b.ipv4, port=8080, size=size))
        tracked = conntrack_bytes(net, 8080)
        counted = {p.name: net.link_counters(p) for p in (a, b)}
        running.stop()
    server.assert_books_closed()
    client = edge(server, "client", a.ipv4, b.ipv4, 8080)
    served = edge(server, "server", a.ipv4, b.ipv4, 8080)
    assert client is not None
    assert served is not None
    assert client["bytes_forward"] + client["bytes_reverse"] == pytest.approx(tracked, rel=1e-4)
    assert client["bytes_forward"] > size
    assert client["connections"] == client["connections_established"] == served["connections"] == 1
    if gso == "off":
        assert client["packets_forward"] == client["segments_forward"]
    for pod in (a, b):
        link = Amount(*(x - y for x, y in zip(counted[pod.name], before[pod.name], strict=True)))
        hook = server.hook(pod.veth)
        # L2 against L3: 14 bytes a packet; ARP and neighbour discovery are beside the books
        assert hook.bytes == pytest.approx(link.bytes - 14 * link.packets, rel=1e-4)


def test_udp_and_ipv6(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(8080, family=6)
    b.server(5353, kind="udp", family=6)
    with agent(net, server, tmp_path) as running:
        a.run(CALL.format(host=b.ipv6, port=8080, size=1000))
        a.run(ASK.format(family="socket.AF_INET6", host=b.ipv6, port=5353, size=100))
        running.stop()
    server.assert_books_closed()
    assert {k[:5] for k in server.edges()} == {
        (who, a.ipv6, b.ipv6, port, protocol)
        for who in ("client", "server")
        for port, protocol in ((8080, TCP), (5353, UDP))
    }
    asked = edge(server, "client", a.ipv6, b.ipv6, 5353, UDP)
    assert asked is not None
    assert (asked["bytes_forward"], asked["bytes_reverse"]) == (148, 148)
    assert (asked["connections"], asked["connections_established"]) == (1, 1)


SERVICE = "10.96.0.10"


def add_service(n: Node, port: int, backends: list[tuple[Pod, int]], protocol: str = "tcp") -> None:
    """A Service as kube-proxy's nftables mode makes it: destination NAT to one of the backends by turns."""
    table = ", ".join(f"{i} : {pod.ipv4} . {p}" for i, (pod, p) in enumerate(backends))
    n.nft(
        f"""table ip svc{port} {{
            chain pre {{ type nat hook prerouting priority dstnat;
                ip daddr {SERVICE} {protocol} dport {port} dnat ip to numgen inc mod {len(backends)} map {{ {table} }}; }}
        }}"""
    )


def hairpin(n: Node) -> None:
    """Masquerade what comes back to the pod it came from, as kube-proxy does."""
    own = ", ".join(f"{p.ipv4} . {p.ipv4}" for p in n.pods)
    n.nft(
        f"""table ip hp {{ chain post {{ type nat hook postrouting priority srcnat;
            ct status dnat ip saddr . ip daddr {{ {own} }} masquerade; }}
        }}"""
    )


def test_a_service_names_itself_and_the_backend_at_both_ends(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b, c = net.pod("a"), net.pod("b"), net.pod("c")
    b.server(8080)
    c.server(9090)
    add_service(net, 80, [(b, 8080), (c, 9090)])
    with agent(net, server, tmp_path) as running:
        for _ in range(6):
            a.run(CALL.format(host=SERVICE, port=80, size=500))
        running.stop()
    server.assert_books_closed()
    assert {k[:7] for k in server.edges()} == {
        (who, a.ipv4, backend.ipv4, port, TCP, SERVICE, 80)
        for who in ("client", "server")
        for backend, port in ((b, 8080), (c, 9090))
    }
    assert all(v["connections"] == v["connections_established"] == 3 for v in server.edges().values())
    assert {k[7] for k in server.edges() if k[0] == "client"} == {a.uid}
    assert {(k[2], k[7]) for k in server.edges() if k[0] == "server"} == {(b.ipv4, b.uid), (c.ipv4, c.uid)}


def test_many_udp_questions_through_a_service_leave_no_loose_end(net: Node, server: Receiver, tmp_path: Path) -> None:
    """Windows end between question and answer all the time; still no record lacks its backend."""
    a, b = net.pod("a"), net.pod("b")
    b.server(5353, kind="udp")
    add_service(net, 53, [(b, 5353)], "udp")
    code = f"""
import socket, time
for i in range(3000):
    time.sleep(0.0002)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5); s.connect(({SERVICE!r}, 53)); s.send(b"q" * 40); s.recv(100)
"""
    with agent(net, server, tmp_path, tick_s=0.03) as running:
        a.run(code)
        running.stop()
    server.assert_books_closed()
    assert len(server.batches) > 5
    assert {k[:7] for k in server.edges()} == {
        (who, a.ipv4, b.ipv4, 5353, UDP, SERVICE, 53) for who in ("client", "server")
    }
    for sums in server.edges().values():
        assert sums["connections"] == sums["connections_established"] <= 3000  # some reuse a 5-tuple
        assert (sums["packets_forward"], sums["packets_reverse"]) == (3000, 3000)
        assert (sums["bytes_forward"], sums["bytes_reverse"]) == (3000 * 68, 3000 * 68)


def test_hairpin_through_a_service(net: Node, server: Receiver, tmp_path: Path) -> None:
    a = net.pod("a")
    a.server(8080)
    add_service(net, 80, [(a, 8080)])
    hairpin(net)
    with agent(net, server, tmp_path) as running:
        a.run(CALL.format(host=SERVICE, port=80, size=500))
        running.stop()
    server.assert_books_closed()
    assert {k[:7] for k in server.edges()} == {
        (who, a.ipv4, a.ipv4, 8080, TCP, SERVICE, 80) for who in ("client", "server")
    }


def test_a_probe_from_the_node(net: Node, server: Receiver, tmp_path: Path) -> None:
    a = net.pod("a")
    a.server(8080)
    with agent(net, server, tmp_path) as running:
        net.exec("python3", "-c", CALL.format(host=a.ipv4, port=8080, size=10))
        running.stop()
    assert {k[:5] for k in server.edges()} == {("server", GATEWAY4, a.ipv4, 8080, TCP)}


@pytest.mark.parametrize("tracked", [True, False])
def test_started_in_the_middle_of_connections(tracked: bool, server: Receiver, tmp_path: Path) -> None:
    """Conntrack tells who opened them, and the Service too; without it the listening socket does."""
    with node() as net:
        a, b = net.pod("a"), net.pod("b")
        b.server(8080)
        if tracked:
            add_service(net, 80, [(b, 8080)])
        talk = a.python(
            f"""
import socket, time
s = socket.create_connection(({SERVICE if tracked else b.ipv4!r}, {80 if tracked else 8080}))
print("up", flush=True)
while True:
    s.sendall(b"x" * 100); s.recv(100); time.sleep(0.01)
""".replace(f"({SERVICE}", f"('{SERVICE}'"),
            stdout=-1,
        )
        assert talk.stdout is not None
        assert talk.stdout.readline() == b"up\n"
        with agent(net, server, tmp_path) as running:
            server.wait(lambda r: len(r.records) >= 4, "two windows of both ends")
            running.stop()
        server.assert_books_closed()
        source = "conntrack" if tracked else "listener"
        via = (SERVICE, 80) if tracked else (None, None)
        found = {(r["reporter"], r["role_source"]) for r in server.records}
        assert ("server", source) in found
        if tracked:
            assert {k[:7] for k in server.edges()} == {
                (who, a.ipv4, b.ipv4, 8080, TCP, *via) for who in ("client", "server")
            }
            assert found == {("client", source), ("server", source)}
        else:
            assert ("unknown", "unknown") in found  # the client's end: no SYN, no conntrack, not listening
        assert all(r["connections"] == 0 for r in server.records)


def test_books_close_under_load_and_when_the_map_overflows(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(8080)
    code = f"""
import socket
for i in range(1500):
    with socket.create_connection(({b.ipv4!r}, 8080)) as s:
        s.sendall(b"x" * 2000)
        got = 0
        while got < 2000: got += len(s.recv(4096))
"""
    with agent(net, server, tmp_path, "--flow-map-size", "64", tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches), "listening sockets are read by now")
        before = {p.name: net.link_counters(p) for p in (a, b)}
        a.run(code)
        counted = {p.name: net.link_counters(p) for p in (a, b)}
        running.stop()
    server.assert_books_closed()
    assert {r["counted_in"] for r in server.records} == {"flow", "overflow"}
    assert {k[:5] for k in server.edges()} == {(who, a.ipv4, b.ipv4, 8080, TCP) for who in ("client", "server")}
    client = edge(server, "client", a.ipv4, b.ipv4, 8080)
    served = edge(server, "server", a.ipv4, b.ipv4, 8080)
    assert client is not None
    assert served is not None
    assert client["bytes_forward"] == served["bytes_forward"]
    assert client["connections"] == served["connections"] == 1500
    for pod in (a, b):
        link = Amount(*(x - y for x, y in zip(counted[pod.name], before[pod.name], strict=True)))
        assert server.hook(pod.veth).bytes == pytest.approx(link.bytes - 14 * link.packets, rel=1e-4)


def test_the_last_words_of_a_pod_that_goes(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(8080)
    with agent(net, server, tmp_path, tick_s=1.0) as running:
        a.run(CALL.format(host=b.ipv4, port=8080, size=5000))
        net.kill(a)
        server.wait(lambda r: edge(r, "client", a.ipv4, b.ipv4, 8080) is not None, "the dead pod's last edge")
        batches = len(server.batches)
        server.wait(lambda r: len(r.batches) > batches + 3, "three more windows")
        assert a.veth not in {x.interface for x in server.batches[-1][0].books}
        running.stop()
    server.assert_books_closed()
    client = edge(server, "client", a.ipv4, b.ipv4, 8080)
    assert client is not None
    assert client["bytes_forward"] > 5000
    assert {r["pod_uid"] for r in server.records} == {a.uid, b.uid}


def test_pods_that_come_later_are_attached_at_once(net: Node, server: Receiver, tmp_path: Path) -> None:
    with agent(net, server, tmp_path) as running:
        for i in range(8):
            net.pod(f"p{i}")
        wait_for(lambda: running.words().count("belongs to pod") == 8, "8 pods are named", 4)
        first, last = net.pods[0], net.pods[-1]
        last.server(80)
        first.run(CALL.format(host=last.ipv4, port=80, size=10))
        running.stop()
    server.assert_books_closed()
    assert {k[0] for k in server.edges()} == {"client", "server"}
    assert {k[7] for k in server.edges()} == {first.uid, last.uid}


def test_packets_before_the_pod_is_known_are_not_lost(net: Node, server: Receiver, tmp_path: Path) -> None:
    with agent(net, server, tmp_path, tick_s=0.1) as running:
        b = net.pod("b")
        late = net.pod("late", running=False)
        b.server(8080)
        done = f"import socket; socket.create_connection(({b.ipv4!r}, 8080)).sendall(b'early')"
        wait_for(lambda: running.words().count("belongs to pod") == 1, "b is named")
        subprocess.run(["ip", "netns", "exec", late.netns, "python3", "-c", done], check=True)  # not in a pod's cgroup
        server.wait(lambda r: len(r.edges()) == 1, "the server's end")
        assert {x.interface for h, _ in server.batches for x in h.books} == {b.veth}
        late.spawn("sleep", "infinity")
        server.wait(lambda r: len(r.edges()) == 2, "the client's end, once its pod is known")
        running.stop()
    server.assert_books_closed()
    client = edge(server, "client", late.ipv4, b.ipv4, 8080)
    assert client is not None
    assert client["connections"] == 1
    assert {k[7] for k in server.edges()} == {late.uid, b.uid}


def test_a_burst_of_100_pods_misses_none(net: Node, server: Receiver, tmp_path: Path) -> None:
    """bench/agent.py says how fast; here none is missed, and half of them were there at the start."""
    pods = [net.pod(f"p{i}", linked=False) for i in range(100)]

    def link(some: list[Pod]) -> None:
        lines = [f"link add {p.veth} type veth peer name eth0 netns {p.netns}" for p in some]
        lines += [f"link set {p.veth} up" for p in some]
        subprocess.run(["ip", "-n", net.netns, "-batch", "-"], input="\n".join(lines), text=True, check=True)

    link(pods[:50])
    with agent(net, server, tmp_path) as running:
        assert "recording 50 interfaces" in running.words()
        link(pods[50:])
        wait_for(lambda: running.words().count("belongs to pod") == 100, "all are hooked and named", 20)
        wanted = {(p.veth, p.uid) for p in pods}
        server.wait(
            lambda r: any({(b.interface, b.pod_uid) for b in h.books} == wanted for h, _ in r.batches), "100 books"
        )
        running.stop()
    server.assert_books_closed()


def test_a_packet_that_ends_too_early_is_declared(net: Node, server: Receiver, tmp_path: Path) -> None:
    a = net.pod("a")
    code = """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0))
for kind, first in ((b"\\x08\\x00", b"\\x45"), (b"\\x86\\xdd", b"\\x60")):
    s.send(b"\\x02" * 6 + b"\\x04" * 6 + kind + first + bytes(9))
"""
    with agent(net, server, tmp_path) as running:
        a.run(code)
        server.wait(lambda r: any(b.lost for h, _ in r.batches for b in h.books), "the loss")
        running.stop()
    server.assert_books_closed()
    lost = [b.lost["unparsed_truncated"] for h, _ in server.batches for b in h.books if b.lost]
    assert sum(x.packets for x in lost) == 2
    assert sum(x.bytes for x in lost) == 20
    assert server.records == []
