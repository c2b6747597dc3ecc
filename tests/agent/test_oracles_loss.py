"""The same lossy traffic counted by others: nft before and behind the loss, the kernel's own TCP counters, ss. Both families."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from agent.netlab import CALL, Node, Pod, node
from agent.receiver import Receiver, agent, receiving

pytestmark = pytest.mark.root
TCP, UDP, SCTP, OPEN, ASKED, ASSOCIATION = 6, 17, 132, 8080, 5353, 38412
PORTS = {TCP: OPEN, UDP: ASKED, SCTP: ASSOCIATION}
EVERY = {TCP: 23, UDP: 5, SCTP: 7}  # one packet of so many is dropped
NAMES = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
SIZE, DATAGRAMS, MESSAGES = 400_000, 50, 6
PHASES = ("syn", "established", "closing")
HELD = """
import socket, sys, threading
with socket.create_connection(({host!r}, {port})) as s:
    threading.Thread(target=s.sendall, args=(b"x" * {size},)).start()
    got = 0
    while got < {size}: got += len(s.recv(1 << 16))
    print("done", flush=True)
    sys.stdin.read()
"""
SEND = """
import socket
s = socket.socket({family}, socket.SOCK_DGRAM); s.connect(({host!r}, {port})); s.settimeout(0.02)
for n in range({count}):
    s.send(b"z" * 100)
    try: s.recv(200)
    except TimeoutError: pass
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
    for n in range({count}): assert await association.echo(b"m" * 100) == b"m" * 100
    association.close()
asyncio.run(main())
"""


@dataclass
class Lossy:
    """What everybody counted for one family."""

    client: Pod
    server: Pod
    ends: tuple[str, str]
    seen: Receiver
    nft: dict[str, tuple[int, int]]  # counter -> (bytes, packets)
    kernel: dict[str, dict[str, int]]  # pod -> its namespace's TCP counters
    told_by_ss: int  # retransmissions of the connection that stayed open, at the client

    def sum(self, reporter: str, protocol: int, name: str) -> int:
        """Of every record of that edge at that end."""
        key = (reporter, *self.ends, PORTS[protocol], protocol)
        rows = [
            r
            for r in self.seen.records
            if tuple(r[n] for n in ("reporter", "src_ip", "dst_ip", "dst_port", "protocol")) == key
        ]
        assert rows, key
        return sum(r[name] or 0 for r in rows)


def rules(family: int, ends: tuple[str, str]) -> str:
    ip, names, sent, lost, passed = "ip" if family == 4 else "ip6", [], [], [], []
    for protocol, port in PORTS.items():
        for way, src, dst, side in (("forward", *ends, "dport"), ("reverse", *ends[::-1], "sport")):
            which = f"{ip} saddr {src} {ip} daddr {dst} {NAMES[protocol]} {side} {port}"
            for stage, rows in (("sent", sent), ("lost", lost), ("passed", passed)):
                name = f"{stage}_{NAMES[protocol]}_{way}"
                names.append(f"counter {name} {{}}")
                some = f"numgen inc mod {EVERY[protocol]} 0 " if stage == "lost" else ""
                rows.append(f"{which} {some}counter name {name} {'drop' if stage == 'lost' else ''}")
    chains = [f"chain {stage} {{ type filter hook forward priority {n}; {chr(10).join(rows)}\n}}"
              for n, (stage, rows) in enumerate((("s", sent), ("l", lost), ("p", passed)))]  # fmt: skip
    return "\n".join(["table inet oracle {", *names, *chains, "}"])


def tcp_counters(pod: Pod) -> dict[str, int]:
    words = "import subprocess; print(subprocess.run(['nstat', '-asz'], capture_output=True, text=True).stdout)"
    rows = [line.split() for line in pod.run(words).splitlines()[1:]]
    return {row[0]: int(row[1]) for row in rows if len(row) == 3}


@pytest.fixture(scope="module", params=[4, 6], ids=["ipv4", "ipv6"])
def lossy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lossy]:
    family, folder = request.param, tmp_path_factory.mktemp("lossy")
    with node() as net, receiving(folder) as seen:
        client, server = net.pod("client"), net.pod("server")
        ends = (client.ipv4, server.ipv4) if family == 4 else (client.ipv6, server.ipv6)
        server.server(OPEN, family=family)
        server.server(ASKED, family=family, kind="udp")
        serving = server.python(SERVE_SCTP.format(port=ASSOCIATION), stdout=subprocess.PIPE)
        assert serving.stdout is not None
        assert serving.stdout.readline() == b"ready\n"
        with agent(net, seen, folder, tick_s=0.1, cgroups=True) as running:
            seen.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
            net.nft(rules(family, ends))
            held = client.python(
                HELD.format(host=ends[1], port=OPEN, size=SIZE), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert held.stdout is not None
            assert held.stdout.readline() == b"done\n"
            retransmitted = by_ss(client)
            held.communicate(timeout=60)
            client.run(CALL.format(host=ends[1], port=OPEN, size=SIZE // 4))
            af = f"socket.AF_INET{'6' if family == 6 else ''}"
            client.run(SEND.format(family=af, host=ends[1], port=ASKED, count=DATAGRAMS))
            client.run(DIAL_SCTP.format(host=ends[1], port=ASSOCIATION, count=MESSAGES))
            quiet(net, seen)
            running.stop()
        seen.assert_books_closed()
        kernel = {pod.name: tcp_counters(pod) for pod in (client, server)}
        yield Lossy(client, server, ends, seen, counters(net), kernel, retransmitted)


def by_ss(pod: Pod) -> int:
    """The connection's retransmissions in all: `retrans:now/ever`, not said while there are none."""
    words = f"import subprocess; print(subprocess.run(['ss', '-tinHO', 'dport', '=', ':{OPEN}'], capture_output=True, text=True).stdout)"
    found = re.search(r"\bretrans:\d+/(\d+)", pod.run(words))
    return int(found[1]) if found else 0


def counters(net: Node) -> dict[str, tuple[int, int]]:
    listed = json.loads(net.exec("nft", "-j", "list", "counters"))["nftables"]
    return {c["name"]: (c["bytes"], c["packets"]) for e in listed if (c := e.get("counter"))}


def quiet(net: Node, seen: Receiver) -> None:
    """Until nobody sends again what was lost last."""
    last: list[tuple[int, object]] = [(0, None)]

    def still(r: Receiver) -> bool:
        now = counters(net)
        if now != last[-1][1]:
            last.append((len(r.batches), now))
        return len(r.batches) - last[-1][0] > 8

    seen.wait(still, "no packet for some windows", 60)


@pytest.mark.parametrize("protocol", PORTS, ids=NAMES.get)
def test_each_end_counts_what_passed_it_and_the_edge_has_every_drop(lossy: Lossy, protocol: int) -> None:
    lost = 0
    for way, sender, receiver in (("forward", "client", "server"), ("reverse", "server", "client")):
        for who, stage in ((sender, "sent"), (receiver, "passed")):
            ours = tuple(lossy.sum(who, protocol, f"{what}_{way}") for what in ("bytes", "packets"))
            assert ours == lossy.nft[f"{stage}_{NAMES[protocol]}_{way}"], (who, way)
        lost += lossy.nft[f"lost_{NAMES[protocol]}_{way}"][1]
    assert lost > 2
    dropped = sum(lossy.sum(who, protocol, "drops") for who in ("client", "server"))
    twice = sum(k["TcpRetransSegs"] for k in lossy.kernel.values()) if protocol == TCP else 0
    assert lost <= dropped <= lost + twice, "TCP itself drops what arrives a second time"


def test_retransmissions_and_timeouts_are_the_kernels(lossy: Lossy) -> None:
    for who in ("client", "server"):
        theirs = lossy.kernel[who]
        again = sum(lossy.sum(who, TCP, f"retransmits_{phase}") for phase in PHASES)
        assert again == theirs["TcpRetransSegs"], who
        timeouts = sum(lossy.sum(who, TCP, f"rtos_{phase}") for phase in PHASES)
        assert timeouts == theirs["TcpExtTCPTimeouts"], who
    assert lossy.kernel["client"]["TcpRetransSegs"] > 0
    assert 0 < lossy.told_by_ss <= lossy.kernel["client"]["TcpRetransSegs"]
