"""Pods' packets in an envelope that the node itself sends and receives: never an edge of the node's, however it is wrapped.

VXLAN over both families is the kernel's own. This kernel has no other tunnels, so their packets are made as it would make them:
real inner packets behind protocol 4, 41, 47 or 50, with IPv4 options and IPv6 extension headers in front.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.hostlab import NODE, NODE6, WORLD, WORLD6, World
from agent.netlab import ECHO, Node, ip
from agent.receiver import Receiver, agent

pytestmark = pytest.mark.root
TCP, UDP = 6, 17
INNER = {4: ("10.200.0.1", "10.200.0.2"), 6: ("fd20::1", "fd20::2")}
SINK = """
import socket, time
held = [socket.socket(f, socket.SOCK_RAW, p) for f in (socket.AF_INET, socket.AF_INET6) for p in (4, 41, 47, 50)]
print("ready", flush=True)
time.sleep(600)
"""  # with somebody to take them the kernel sends no ICMP errors
WRAPPED = """
import socket, struct
def udp(size): return struct.pack("!HHHH", 5000, 7000, 8 + size, 0) + bytes(size)
def ipv4(inner): return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(inner), 1, 0, 64, 17, 0, bytes([10, 200, 0, 1]), bytes([10, 200, 0, 2])) + inner
def ipv6(inner): return struct.pack("!IHBB", 6 << 28, len(inner), 17, 64) + bytes(15) + b"\\1" + bytes(15) + b"\\2" + inner
sent = 0
def send(family, protocol, payload, *options):
    global sent
    with socket.socket(family, socket.SOCK_RAW, protocol) as s:
        for level, name, value in options: s.setsockopt(level, name, value)
        s.sendto(payload, ({v4!r} if family == socket.AF_INET else {v6!r}, 0))
    sent += 1
NOPS = (socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1] * 8))
LIMIT = (socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 4, 1, 4, 1, 1, 0]))  # RFC 2473 4.1.1, as ip6_tunnel puts it
HOPS = (socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
GRE4, GRE6 = struct.pack("!HH", 0, 0x0800), struct.pack("!HH", 0, 0x86DD)
bodies = ((4, ipv4(udp(50))), (41, ipv6(udp(50))), (47, GRE4 + ipv4(udp(50))), (47, GRE6 + ipv6(udp(50))), (50, bytes(60)))
for protocol, body in bodies:
    for options in ((), (NOPS,)): send(socket.AF_INET, protocol, body, *options)
    for options in ((), (LIMIT,), (HOPS,), (HOPS, LIMIT)): send(socket.AF_INET6, protocol, body, *options)
print(sent)
"""


def wrapped(netns: str, v4: str, v6: str) -> int:
    argv = ["ip", "netns", "exec", netns, sys.executable, "-c", WRAPPED.format(v4=v4, v6=v6)]
    return int(subprocess.run(argv, check=True, timeout=60, capture_output=True, text=True).stdout)


def encapsulated(r: Receiver) -> int:
    return sum(b.other.get("encapsulated", 0) for h, _ in r.batches for b in h.books)


def test_other_tunnels_make_no_edge_whatever_stands_before_them(
    net: Node, world: World, server: Receiver, tmp_path: Path
) -> None:
    for netns in (net.netns, world.netns):
        world.start(netns, SINK, b"ready\n")
    with agent(net, server, tmp_path, "--host", tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches) and bool(r.batches[-1][0].books), "the node is known")
        out = wrapped(net.netns, WORLD, WORLD6)
        into = wrapped(world.netns, NODE, NODE6)
        running.stop()
    server.assert_books_closed()
    assert server.edges() == {}, "ARP and neighbour discovery are none"
    assert encapsulated(server) == out + into == 60
    assert not [b.lost for h, _ in server.batches for b in h.books if b.lost]


@pytest.mark.parametrize("family", [4, 6])
def test_vxlan_over_either_family_makes_no_edge(
    net: Node, world: World, server: Receiver, tmp_path: Path, family: int
) -> None:
    outer = ((NODE, WORLD), (NODE6, WORLD6))[family == 6]
    for netns, (own, other), n in ((net.netns, outer, 0), (world.netns, outer[::-1], 1)):
        ip(*f"link add vx type vxlan id 7 local {own} remote {other} dstport 8472".split(), netns=netns)
        ip(*f"addr add {INNER[4][n]}/24 dev vx".split(), netns=netns)
        ip(*f"addr add {INNER[6][n]}/64 dev vx nodad".split(), netns=netns)
        ip("link", "set", "vx", "up", netns=netns)
    for inner in (4, 6):
        world.start(world.netns, ECHO.format(port=7000 + inner, family=inner, kind="tcp"), b"ready\n")
    with agent(net, server, tmp_path, "--host", tick_s=0.1) as running:
        for inner in (4, 6):
            world.call(net.netns, INNER[inner][1], 7000 + inner, 50_000)
        running.stop()
    server.assert_books_closed()
    assert {k[:4] for k in server.edges() if k[4] in (TCP, UDP)} == {
        ("client", *INNER[inner], 7000 + inner) for inner in (4, 6)
    }
    assert encapsulated(server) > 10
