"""The node itself and host-network pods over TCP, UDP and SCTP in both families, against netfilter's own counters.

This kernel has no SCTP sockets: both ends speak it over raw IP, so a packet that arrives has no socket that could tell whose it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.hostlab import NODE, NODE6, WORLD, WORLD6, HostPod, World, host_pod
from agent.netlab import ASK, CALL, ECHO, Node
from agent.receiver import Receiver, agent

pytestmark = pytest.mark.root
TCP, UDP, SCTP = 6, 17, 132
OURS, THEIRS, CLOSED, IN_POD = 38412, 38413, 38414, 38415  # of SCTP; TCP and UDP use OURS and THEIRS, too
OWN = 2222  # of a process of the node that is in no pod
SERVE_SCTP = """
import asyncio
from eastwest.lab.sctp.association import Stack
from eastwest.lab.sctp.raw import Server
async def main():
    server = Server(Stack([{port}])); print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
DIAL_SCTP = """
import asyncio
from eastwest.lab.sctp.dial import Association
async def main():
    try:
        association = await Association.open({host!r}, {port})
    except ConnectionRefusedError:
        return print("refused")
    assert await association.echo(b"m" * 100) == b"m" * 100
    association.close(); print("echoed")
asyncio.run(main())
"""
UNASKED = (
    "import socket; s = socket.socket(socket.{family}, socket.SOCK_DGRAM); s.sendto(b'z' * 100, ({host!r}, {port}))"
)


def serve(world: World, place: str | HostPod, port: int, family: int) -> None:
    """Echo servers of all three protocols, and one of UDP that only listens."""
    for code in (
        *(ECHO.format(port=port, family=family, kind=kind) for kind in ("tcp", "udp")),
        SERVE_SCTP.format(port=port),
    ):
        if isinstance(place, str):
            world.start(place, code, b"ready\n")
        else:
            process = place.python(code, stdout=subprocess.PIPE)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"


def do(netns: str, code: str) -> str:
    argv = ["ip", "netns", "exec", netns, sys.executable, "-c", code]
    return subprocess.run(argv, check=True, timeout=60, capture_output=True, text=True).stdout


def count_by_netfilter(net: Node) -> None:
    ports = "{ " + ", ".join(str(p) for p in (OURS, THEIRS, CLOSED, IN_POD)) + " }"
    net.nft(f"""table inet oracle {{
        counter in {{}}
        counter out {{}}
        chain i {{ type filter hook input priority 10; meta l4proto sctp th dport {ports} counter name in
                   meta l4proto sctp th sport {ports} counter name in; }}
        chain o {{ type filter hook output priority 10; meta l4proto sctp th dport {ports} counter name out
                   meta l4proto sctp th sport {ports} counter name out; }}
    }}""")


def counted_by_netfilter(net: Node) -> tuple[int, int]:
    listed = json.loads(net.exec("nft", "-j", "list", "counters"))["nftables"]
    found = [c for e in listed if (c := e.get("counter"))]
    return sum(c["bytes"] for c in found), sum(c["packets"] for c in found)


@pytest.mark.parametrize("family", [4, 6])
def test_every_protocol_of_the_node_and_of_its_pods(
    net: Node, world: World, server: Receiver, tmp_path: Path, family: int
) -> None:
    node, far = (NODE, WORLD) if family == 4 else (NODE6, WORLD6)
    one, two, pod = host_pod(net, "containerd"), host_pod(net, "crio"), net.pod("a")
    inside = pod.ipv4 if family == 4 else pod.ipv6
    serve(world, one, OURS, family)
    serve(world, world.netns, THEIRS, family)
    world.start(net.netns, ECHO.format(port=OWN, family=family, kind="tcp"), b"ready\n")
    with pod.python(SERVE_SCTP.format(port=IN_POD), stdout=subprocess.PIPE) as serving:
        assert serving.stdout is not None
        assert serving.stdout.readline() == b"ready\n"
        count_by_netfilter(net)
        to_pod = json.loads(net.exec("ip", "-j", "route", "get", inside))[0]["prefsrc"]
        af = "AF_INET6" if family == 6 else "AF_INET"
        with agent(net, server, tmp_path, "--host", tick_s=0.1, cgroups=True) as running:
            server.wait(
                lambda r: bool(r.batches) and len(r.batches[-1][0].books) >= 2, "the pod and the node are known"
            )
            assert do(world.netns, DIAL_SCTP.format(host=node, port=OURS)) == "echoed\n"
            assert two.run(DIAL_SCTP.format(host=far, port=THEIRS)) == "echoed\n"
            assert do(net.netns, DIAL_SCTP.format(host=far, port=THEIRS)) == "echoed\n"
            assert do(net.netns, DIAL_SCTP.format(host=far, port=CLOSED)) == "refused\n"
            assert do(net.netns, DIAL_SCTP.format(host=inside, port=IN_POD)) == "echoed\n"
            for run, host, port in (
                (lambda code: do(world.netns, code), node, OURS),
                (two.run, far, THEIRS),
                (lambda code: do(net.netns, code), far, THEIRS),
            ):
                run(CALL.format(host=host, port=port, size=3000))
                run(ASK.format(family=f"socket.{af}", host=host, port=port, size=100))
            do(world.netns, CALL.format(host=node, port=OWN, size=3000))
            do(world.netns, UNASKED.format(family=af, host=node, port=OURS + 1000))
            counted = counted_by_netfilter(net)
            running.stop()
        serving.kill()
    server.assert_books_closed()
    told = {k: v for k, v in server.edges().items() if k[4] in (TCP, UDP, SCTP)}
    every = (TCP, UDP, SCTP)
    assert {(*k[:5], k[7]) for k in told} == {
        *(("server", far, node, OURS, protocol, one.uid) for protocol in every),
        *(("client", node, far, THEIRS, protocol, uid) for protocol in every for uid in (two.uid, None)),
        ("client", node, far, CLOSED, SCTP, None),
        ("client", to_pod, inside, IN_POD, SCTP, None),
        ("server", to_pod, inside, IN_POD, SCTP, pod.uid),
        ("server", far, node, OWN, TCP, None),
        ("server", far, node, OURS + 1000, UDP, None),
    }
    for key, sums in told.items():
        answered = key[3] not in (CLOSED, OURS + 1000)
        assert (sums["connections"], sums["connections_established"]) == (1, int(answered)), key
    ours = [v for k, v in told.items() if k[4] == SCTP and k[7] != pod.uid]
    for i, what in enumerate(("bytes", "packets")):
        assert sum(v[f"{what}_forward"] + v[f"{what}_reverse"] for v in ours) == counted[i]
