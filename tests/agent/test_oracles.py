"""The same traffic counted by others: nft, conntrack, iperf3's report, ss, ping. Equal to the byte, in both families.

Like is compared with like: L3 bytes and packets where a GSO super-packet is one (nft and conntrack see what the hook
sees); payload and segments where the sockets speak.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from agent.netlab import Node, Pod, node, wait_for
from agent.receiver import Receiver, agent, receiving

pytestmark = pytest.mark.root
TCP, UDP, SCTP, IPERF, IPERF_UDP, OPEN, ASSOCIATION = 6, 17, 132, 5201, 5202, 8080, 38412
SIZE, UDP_BYTES, PINGS, MESSAGES = 20_000_000, 400_000, 7, 5
HELLO = 4  # what iperf3's UDP client and server say to each other before they count
KINDS = {  # what nft matches towards the server; its answers are the other way round
    "tcp": f"tcp dport {IPERF}", "udp": f"udp dport {IPERF_UDP}", "open": f"tcp dport {OPEN}",
    "icmp": "meta l4proto {icmp}", "sctp": f"sctp dport {ASSOCIATION}",
}  # fmt: skip

HELD = """
import socket, sys, threading
with socket.create_connection(({host!r}, {port})) as s:
    threading.Thread(target=s.sendall, args=(b"x" * {size},)).start()
    got = 0
    while got < {size}:
        got += len(s.recv(1 << 16))
    print("done", flush=True)
    sys.stdin.read()
"""
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
    association = await Association.open({host!r}, {port})
    for n in range({count}):
        assert await association.echo(b"m" * 100) == b"m" * 100
    association.close()
asyncio.run(main())
"""


@dataclass
class World:
    """What everybody counted for one family."""

    family: int
    header: int  # of IP
    client: Pod
    server: Pod
    seen: Receiver
    nft: dict[str, tuple[int, int]]  # counter -> (bytes, packets)
    tracked: dict[int, tuple[int, int]]  # protocol -> bytes by direction, of the iperf and SCTP ports
    iperf: dict[str, Any]
    iperf_udp: dict[str, Any]
    socket: dict[str, int]  # of ss -ti

    def edge(self, reporter: str, protocol: int, port: int) -> dict[str, int]:
        ends = [p.ipv4 if self.family == 4 else p.ipv6 for p in (self.client, self.server)]
        found = [v for k, v in self.seen.edges().items() if k[:5] == (reporter, *ends, port, protocol)]
        assert len(found) == 1, sorted(self.seen.edges())
        return found[0]


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4", "ipv6"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    family, folder = request.param, tmp_path_factory.mktemp("oracles")
    with node() as net, receiving(folder) as seen:
        client, server = net.pod("client"), net.pod("server")
        net.sysctl("net.netfilter.nf_conntrack_acct=1")
        net.nft(rules(client, server, family))
        here = server.ipv4 if family == 4 else server.ipv6
        server.server(OPEN, family=family)
        for port in (IPERF, IPERF_UDP):
            server.spawn("iperf3", "-s", "-p", str(port), stdout=subprocess.DEVNULL)
            listening = lambda port=port: f":{port} " in server.run(SS_LISTEN)  # noqa: E731
            wait_for(listening, f"iperf3 listens on {port}")
        serving = server.python(SERVE_SCTP.format(port=ASSOCIATION), stdout=subprocess.PIPE)
        assert serving.stdout is not None
        assert serving.stdout.readline() == b"ready\n"
        with agent(net, seen, folder):
            held = client.python(
                HELD.format(host=here, port=OPEN, size=SIZE), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert held.stdout is not None
            assert held.stdin is not None
            assert held.stdout.readline() == b"done\n"
            iperf = run(client, "iperf3", "-c", here, "-p", str(IPERF), "-n", str(SIZE), "-J")
            sent = ["-u", "-b", "20M", "-l", "1000", "-n", str(UDP_BYTES), "-J"]
            iperf_udp = run(client, "iperf3", "-c", here, "-p", str(IPERF_UDP), *sent)
            said = run(client, "ping", "-q", "-c", str(PINGS), "-i", "0.05", "-s", "200", here)
            assert f"{PINGS} packets transmitted, {PINGS} received" in said
            client.run(DIAL_SCTP.format(host=here, port=ASSOCIATION, count=MESSAGES))
            socket = told_by_ss(client)
            counted = counters(net)
            tracked = {p: conntrack(net, family, p) for p in (TCP, UDP, SCTP, echo(family))}
            held.stdin.close()
            held.wait(10)
        seen.assert_books_closed()
        yield World(
            family, 20 if family == 4 else 40, client, server, seen, counted, tracked,
            json.loads(iperf)["end"], json.loads(iperf_udp)["end"], socket,
        )  # fmt: skip


SS_LISTEN = "import subprocess; print(subprocess.run(['ss', '-tlnH'], capture_output=True, text=True).stdout)"


def run(pod: Pod, *argv: str) -> str:
    process = pod.spawn(*argv, stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    return str(out.decode())


def rules(client: Pod, server: Pod, family: int) -> str:
    ip, a, b = ("ip", client.ipv4, server.ipv4) if family == 4 else ("ip6", client.ipv6, server.ipv6)
    icmp = "icmp" if family == 4 else "ipv6-icmp"
    lines, names = [], []
    for kind, match in KINDS.items():
        up = match.replace("{icmp}", icmp)
        for way, (source, target, what) in {
            "up": (a, b, up),
            "down": (b, a, up.replace("dport", "sport")),
        }.items():
            names.append(f"counter {kind}_{way} {{}}")
            lines.append(f"{ip} saddr {source} {ip} daddr {target} {what} counter name {kind}_{way}")
    body = "\n".join(lines)
    return f"""table inet oracle {{
        {chr(10).join(names)}
        chain passing {{ type filter hook forward priority 10; ct state new accept; }}
        chain told {{ type filter hook forward priority 20;
        {body}
        }}
    }}"""


def counters(net: Node) -> dict[str, tuple[int, int]]:
    listed = json.loads(net.exec("nft", "-j", "list", "counters"))["nftables"]
    found = [entry["counter"] for entry in listed if "counter" in entry]
    return {c["name"]: (c["bytes"], c["packets"]) for c in found}


def conntrack(net: Node, family: int, protocol: int) -> tuple[int, int]:
    """L3 bytes (towards the server, back) of every connection to the ports that have ended, and of the echoes."""
    text = net.exec("conntrack", "-L", "-f", f"ipv{family}", "-p", str(protocol), "-o", "extended")
    ports = "|".join(str(p) for p in (IPERF, IPERF_UDP, ASSOCIATION))
    ours = r"type=(8|128) " if protocol == echo(family) else rf"dport=({ports}) "
    lines = [line for line in text.splitlines() if re.search(ours, line)]
    pairs = [[int(b) for b in re.findall(r"bytes=(\d+)", line)] for line in lines]
    return sum(p[0] for p in pairs), sum(p[1] for p in pairs)


def echo(family: int) -> int:
    """The protocol of pings."""
    return 1 if family == 4 else 58


def told_by_ss(pod: Pod) -> dict[str, int]:
    text = run(pod, "ss", "-tinHO", "dport", "=", f":{OPEN}")
    names = ("bytes_sent", "bytes_retrans", "bytes_received", "segs_out", "segs_in")
    return {name: int(found[1]) for name in names if (found := re.search(rf"\b{name}:(\d+)", text))}


@pytest.mark.parametrize("reporter", ["client", "server"])
@pytest.mark.parametrize(
    ("kind", "protocol", "port"),
    [("tcp", TCP, IPERF), ("udp", UDP, IPERF_UDP), ("icmp", 0, 0), ("sctp", SCTP, ASSOCIATION)],
)
def test_nft_counts_the_same(world: World, reporter: str, kind: str, protocol: int, port: int) -> None:
    edge = world.edge(reporter, protocol or echo(world.family), port)
    for way, ours in (("up", "forward"), ("down", "reverse")):
        assert (edge[f"bytes_{ours}"], edge[f"packets_{ours}"]) == world.nft[f"{kind}_{way}"], way
        assert edge[f"packets_{ours}"] > 0


def test_conntrack_counts_the_same(world: World) -> None:
    edges = {
        TCP: [world.edge("client", TCP, IPERF), world.edge("client", TCP, IPERF_UDP)],  # the second carries its control
        UDP: [world.edge("client", UDP, IPERF_UDP)],
        SCTP: [world.edge("client", SCTP, ASSOCIATION)],
        echo(world.family): [world.edge("client", echo(world.family), 0)],
    }
    for protocol, found in edges.items():
        ours = sum(e["bytes_forward"] for e in found), sum(e["bytes_reverse"] for e in found)
        assert ours == world.tracked[protocol], protocol
        assert min(ours) > 0


def test_an_open_connection_equals_its_socket(world: World) -> None:
    edge, told = world.edge("client", TCP, OPEN), world.socket
    again = told.get("bytes_retrans", 0)
    assert told["bytes_sent"] - again == told["bytes_received"] == SIZE
    # TCP with timestamps has 32 bytes of header, a SYN 40, selective acknowledgements more; the answers' retransmissions
    # only the other end knows. The FIN came after ss looked.
    for way, segments in (("forward", "segs_out"), ("reverse", "segs_in")):
        payload = edge[f"bytes_{way}"] - edge[f"packets_{way}"] * (world.header + 32) - 8
        sent = SIZE + (again if way == "forward" else 0)
        assert sent <= payload < sent + (1000 if way == "forward" else SIZE // 10), way
        assert 0 < edge[f"segments_{way}"] - told[segments] <= 3, way


def test_iperf3_reports_the_same(world: World) -> None:
    edge = world.edge("client", TCP, IPERF)
    assert edge["connections"] == 2  # control and data
    payload = edge["bytes_forward"] - edge["packets_forward"] * (world.header + 32) - 2 * 8
    sent, received = (world.iperf[f"sum_{what}"]["bytes"] for what in ("sent", "received"))
    again = world.iperf["sum_sent"]["retransmits"] * 2_000
    assert received < payload < sent + again + 8_000, "what it sent last may never leave; control and reports do"
    datagrams, size = world.iperf_udp["sum"]["packets"], world.iperf_udp["sum"]["bytes"]
    assert world.iperf_udp["sum"]["lost_packets"] == 0
    told = world.edge("client", UDP, IPERF_UDP)
    assert told["packets_forward"] == datagrams + 1
    assert told["bytes_forward"] == size + HELLO + (datagrams + 1) * (world.header + 8)
    assert (told["packets_reverse"], told["bytes_reverse"]) == (1, HELLO + world.header + 8)


def test_echoes_are_all_there(world: World) -> None:
    edge = world.edge("client", echo(world.family), 0)
    size = PINGS * (200 + 8 + world.header)
    assert (edge["bytes_forward"], edge["bytes_reverse"], edge["packets_forward"]) == (size, size, PINGS)
