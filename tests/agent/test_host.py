"""The node itself as an endpoint: its own packets, no forwarded one, against netfilter's own counters."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.hostlab import NODE, WORLD, World
from agent.netlab import CALL, Node, bpffs, ip
from agent.receiver import Receiver, agent
from eastwest.model.batch import Amount

pytestmark = pytest.mark.root
SERVICE = "10.96.0.10"
TCP, UDP = 6, 17

STREAM = """
import socket, sys, threading, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(({host!r}, {port}))
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
sent = 0
print("up", flush=True)
while not stop.is_set():
    s.send(b"x" * 100); sent += 1; time.sleep(0.001)
print(sent, flush=True)
"""

FLOOD = """
import os, socket
os.sched_setaffinity(0, {{{cpu}}})
to = ({host!r}, {port})
for _ in range(400):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(100): s.sendto(b"x" * 100, to)
"""
"""Entries come and go while packets arrive on the sender's own processor."""


def ends(r: Receiver) -> set[tuple[object, ...]]:
    """(reporter, src, dst, port, service, pod) of every TCP edge."""
    return {(*k[:4], k[5], k[7]) for k in r.edges() if k[4] == TCP}


def count_by_netfilter(net: Node) -> None:
    """What the node's own sockets send and receive, without loopback and (for brevity) without ICMPv6."""
    net.nft("""table inet oracle {
        counter own {}
        chain in { type filter hook input priority 10; iif != "lo" meta l4proto != icmpv6 counter name own; }
        chain out { type filter hook output priority 10; oif != "lo" meta l4proto != icmpv6 counter name own; }
    }""")


def counted_by_netfilter(net: Node) -> Amount:
    found = re.search(r"packets (\d+) bytes (\d+)", net.exec("nft", "list", "counter", "inet", "oracle", "own"))
    assert found is not None
    return Amount(int(found[2]), int(found[1]))


def test_the_node_is_an_endpoint_and_what_it_forwards_is_not(
    net: Node, world: World, server: Receiver, tmp_path: Path
) -> None:
    pod = net.pod("a")
    pod.server(8080)
    world.serve(world.netns, 7000)
    world.serve(net.netns, 22)
    net.nft(f"""table ip nat {{
        chain pre {{ type nat hook prerouting priority dstnat; ip daddr {NODE} tcp dport 30080 dnat to {pod.ipv4}:8080; }}
        chain out {{ type nat hook output priority -100; ip daddr {SERVICE} tcp dport 80 dnat to {WORLD}:7000; }}
        chain post {{ type nat hook postrouting priority srcnat; oif "uplink" ip saddr 10.77.0.0/16 masquerade; }}
    }}""")
    count_by_netfilter(net)
    with agent(net, server, tmp_path, "--host", tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) >= 2, "the pod and the node are known")
        before = counted_by_netfilter(net), server.hook("host")
        world.call(net.netns, WORLD, 7000)  # the node to the world
        world.call(net.netns, SERVICE, 80)  # through a Service
        world.call(world.netns, NODE, 22)  # the world to the node
        world.call(net.netns, pod.ipv4, 8080)  # a probe
        world.call(net.netns, NODE, 22)  # to itself: over loopback
        pod.run(CALL.format(host=WORLD, port=7000, size=5000))  # forwarded and masqueraded
        world.call(world.netns, NODE, 30080)  # forwarded by a node port
        after = counted_by_netfilter(net)
        running.stop()
    server.assert_books_closed()
    gateway = "169.254.1.1"
    assert ends(server) == {
        ("client", NODE, WORLD, 7000, None, None),
        ("client", NODE, WORLD, 7000, SERVICE, None),
        ("server", WORLD, NODE, 22, None, None),
        ("client", gateway, pod.ipv4, 8080, None, None),
        ("server", gateway, pod.ipv4, 8080, None, pod.uid),
        ("client", pod.ipv4, WORLD, 7000, None, pod.uid),
        ("server", WORLD, pod.ipv4, 8080, NODE, pod.uid),
    }
    assert all(v["connections"] == v["connections_established"] == 1 for k, v in server.edges().items() if k[4] == TCP)
    hook = server.hook("host")
    assert hook.bytes - before[1].bytes == after.bytes - before[0].bytes
    assert hook.packets - before[1].packets == after.packets - before[0].packets
    sizes = [r["bytes_forward"] for r in server.records if r["pod_uid"] is None]
    assert sum(sizes) > 4 * 5000


def test_an_overlay_is_no_edge(net: Node, world: World, server: Receiver, tmp_path: Path) -> None:
    for netns, own, other, inner in ((net.netns, NODE, WORLD, 1), (world.netns, WORLD, NODE, 2)):
        ip(*f"link add vx type vxlan id 7 local {own} remote {other} dstport 8472".split(), netns=netns)
        ip(*f"addr add 10.200.0.{inner}/24 dev vx".split(), netns=netns)
        ip("link", "set", "vx", "up", netns=netns)
    world.serve(world.netns, 7000)
    with agent(net, server, tmp_path, "--host", tick_s=0.1) as running:
        world.call(net.netns, "10.200.0.2", 7000)
        running.stop()
    server.assert_books_closed()
    assert {(k[1], k[2], k[3]) for k in server.edges() if k[4] in (TCP, UDP)} == {("10.200.0.1", "10.200.0.2", 7000)}
    assert sum(b.other.get("encapsulated", 0) for h, _ in server.batches for b in h.books) > 10


def test_without_host_the_node_is_nobody(net: Node, world: World, server: Receiver, tmp_path: Path) -> None:
    world.serve(world.netns, 7000)
    with agent(net, server, tmp_path, tick_s=0.1) as running:
        world.call(net.netns, WORLD, 7000)
        server.wait(lambda r: bool(r.batches), "a window")
        running.stop()
    assert server.edges() == {}
    assert {h.name: h.state for h in server.batches[-1][0].hooks}["host"] == "off"


def test_the_nodes_packets_are_handed_over_too(net: Node, world: World, server: Receiver, tmp_path: Path) -> None:
    world.serve(world.netns, 7000)
    with bpffs() as folder:
        options = ("--host", "--pin", str(folder / "eastwest"))
        for life in range(3):
            with agent(net, server, tmp_path, *options, tick_s=0.1) as running:
                if not life:
                    stream = world.start(net.netns, STREAM.format(host=WORLD, port=7000), b"up\n")
                seen = len(server.batches)
                server.wait(lambda r, seen=seen: len(r.batches) > seen + 2, "windows")  # type: ignore[misc]
                if life == 2:
                    sent = int(stream.communicate(b"stop\n", timeout=20)[0])
                if life == 0:
                    running.kill()
                else:
                    running.stop()
        with agent(net, server, tmp_path, "--pin", str(folder / "eastwest"), tick_s=0.1) as running:
            running.stop()  # without --host nothing stays hooked
        assert not list((folder / "eastwest").glob("*host*"))
    server.assert_books_closed()
    lost = sum(a.packets for h, _ in server.batches for a in h.shipping_lost.values())
    packets = [v["packets_forward"] for k, v in server.edges().items() if k[1:5] == (NODE, WORLD, 7000, UDP)]
    assert sum(packets) + lost >= sent
    assert sum(packets) <= sent


@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="needs two processors: one sends while the other interrupts it"
)
def test_packets_that_arrive_in_the_middle_of_sending_one(
    net: Node, world: World, server: Receiver, tmp_path: Path
) -> None:
    """LOCAL_OUT runs in the sender's context: a softirq of the same processor runs the same program in the middle of it."""
    here, there = sorted(os.sched_getaffinity(0))[:2]
    net.exec("sh", "-c", f"echo {1 << here:x} > /sys/class/net/uplink/queues/rx-0/rps_cpus")
    world.serve(world.netns, 7000)
    world.serve(net.netns, 7000)
    count_by_netfilter(net)
    with agent(net, server, tmp_path, "--host", tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches) and bool(r.batches[-1][0].books), "the node is known")
        before = counted_by_netfilter(net), server.hook("host")
        flood = [
            subprocess.Popen(
                ["ip", "netns", "exec", netns, sys.executable, "-c", FLOOD.format(cpu=cpu, host=host, port=7000)]
            )
            for netns, cpu, host in ((net.netns, here, WORLD), (world.netns, there, NODE))
        ]
        assert [process.wait(120) for process in flood] == [0, 0]
        after = counted_by_netfilter(net)
        running.stop()
    server.assert_books_closed()
    hook = server.hook("host")
    assert hook.packets - before[1].packets == after.packets - before[0].packets
    assert hook.bytes - before[1].bytes == after.bytes - before[0].bytes
    packets = {k[:4]: v["packets_forward"] for k, v in server.edges().items() if k[4] == UDP}
    assert packets.keys() == {("client", NODE, WORLD, 7000), ("server", WORLD, NODE, 7000)}
    assert packets["client", NODE, WORLD, 7000] == 40_000
    assert packets["server", WORLD, NODE, 7000] <= 40_000  # a full backlog drops before anybody looks
