"""Host-network pods as endpoints of their own: told by the cgroup of their sockets, on real packets of a real node."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.hostlab import NODE, NODE6, SERVE, WORLD, WORLD6, HostPod, World, host_pod
from agent.netlab import CALL, Node
from agent.receiver import Receiver, agent
from eastwest.model.flow import Protocol

pytestmark = pytest.mark.root
SERVICE = "10.96.0.10"
TCP, UDP, SCTP = Protocol.TCP.value, Protocol.UDP.value, Protocol.SCTP.value

SERVE6 = SERVE.replace("socket.socket()", "socket.socket(socket.AF_INET6)")

HOLD = """
import socket, sys
s = socket.create_connection(({host!r}, {port})); s.sendall(b"x" * 10); s.recv(10)
print("open", flush=True)
sys.stdin.readline()
s.sendall(b"y" * 10); s.recv(10)
print("done", flush=True)
"""

SEND = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range({count}): s.sendto(b"z" * 100, ({host!r}, {port}))
"""


def served(pod: HostPod, port: int, code: str = SERVE) -> None:
    process = pod.python(code.format(port=port), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"


def call(pod: HostPod, host: str, port: int) -> None:
    pod.run(CALL.format(host=host, port=port, size=3000))


def told(r: Receiver) -> set[tuple[object, ...]]:
    """(reporter, src, dst, port, protocol, service, pod) of every edge that has ports."""
    return {(*k[:5], k[5], k[7]) for k in r.edges() if k[4] in (TCP, UDP, SCTP)}


def test_each_is_told_by_its_cgroup_as_client_and_as_server(
    net: Node, world: World, server: Receiver, tmp_path: Path
) -> None:
    pod = net.pod("a")
    pod.server(8080)
    one, two = host_pod(net, "containerd"), host_pod(net, "crio")
    served(one, 9100, SERVE6)  # :: takes IPv4, too
    served(two, 9200, SERVE6)
    world.serve(world.netns, 7000)
    world.start(world.netns, SERVE6.format(port=7006), b"ready\n")
    world.serve(net.netns, 22)
    net.nft(f"""table ip nat {{
        chain out {{ type nat hook output priority -100; ip daddr {SERVICE} tcp dport 80 dnat to {pod.ipv4}:8080; }}
    }}""")
    held = one.python(HOLD.format(host=WORLD, port=7000), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert held.stdout is not None
    assert held.stdout.readline() == b"open\n"  # older than the agent
    with agent(net, server, tmp_path, "--host", tick_s=0.1, cgroups=True) as running:
        server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) >= 2, "the pod and the node are known")
        held.communicate(b"\n", timeout=30)
        world.call(world.netns, NODE, 9100)
        world.call(world.netns, NODE, 9200)
        world.call(world.netns, NODE6, 9100)
        world.call(world.netns, NODE, 22)
        for each in (one, two):  # to one place, told apart by cgroup alone
            call(each, WORLD, 7000)
            call(each, WORLD6, 7006)
        world.call(net.netns, WORLD, 7000)
        call(two, SERVICE, 80)  # through a Service to a pod of this node
        pod.run(CALL.format(host=NODE, port=9200, size=3000))
        subprocess.run(
            ["ip", "netns", "exec", world.netns, sys.executable, "-c", SEND.format(count=3, host=NODE, port=9100)],
            check=True,
        )  # datagrams that nobody answers
        running.stop()
    server.assert_books_closed()
    assert told(server) == {
        ("client", NODE, WORLD, 7000, TCP, None, one.uid),
        ("client", NODE, WORLD, 7000, TCP, None, two.uid),
        ("client", NODE, WORLD, 7000, TCP, None, None),
        ("client", NODE6, WORLD6, 7006, TCP, None, one.uid),
        ("client", NODE6, WORLD6, 7006, TCP, None, two.uid),
        ("server", WORLD, NODE, 9100, TCP, None, one.uid),
        ("server", WORLD6, NODE6, 9100, TCP, None, one.uid),
        ("server", WORLD, NODE, 9200, TCP, None, two.uid),
        ("server", WORLD, NODE, 22, TCP, None, None),
        ("server", WORLD, NODE, 9100, UDP, None, one.uid),
        ("client", NODE, pod.ipv4, 8080, TCP, SERVICE, two.uid),
        ("server", NODE, pod.ipv4, 8080, TCP, SERVICE, pod.uid),
        ("client", pod.ipv4, NODE, 9200, TCP, None, pod.uid),
        ("server", pod.ipv4, NODE, 9200, TCP, None, two.uid),
    }
    seen = server.edges()
    assert all(
        v["connections"] == v["connections_established"] == 1 for k, v in seen.items() if k[2:5] == (WORLD6, 7006, TCP)
    )
    assert next(v["packets_forward"] for k, v in seen.items() if k[3:5] == (9100, UDP)) == 3
    assert [h.state for h in server.batches[-1][0].hooks if h.name == "host_pods"] == ["on"]
    health = [r for r in server.records if r["pod_uid"] == two.uid and r["dst_port"] == 7000]
    assert sum(r["connection_attempts"] or 0 for r in health) == 1  # on the same row, not on one of the node's
