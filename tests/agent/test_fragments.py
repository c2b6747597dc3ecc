"""Fragments, IPv4 options and IPv6 extension headers as the kernel itself sends them, through two hooks, against nft's bytes.

Nobody tracks connections here, so fragments stay what they are on their way through the node.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.netlab import Node
from agent.receiver import Receiver, agent

pytestmark = pytest.mark.root
UDP, PORT = 17, 5353
ASK = """
import socket
six = {six}
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20); s.connect(({host!r}, {port}))
def ask(size):
    s.send(b"q" * size)
    assert len(s.recv(65536)) == size
for size in (100, 4000, 1473, 20000): ask(size)
padding = bytes([0, 0, 1, 4, 0, 0, 0, 0])
if six:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, padding); ask(100); ask(4000)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, padding); ask(100); ask(4000)
else:
    s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1] * 8)); ask(100); ask(4000)
"""


@pytest.mark.parametrize("family", [4, 6])
def test_every_fragment_is_on_its_edge(net: Node, server: Receiver, tmp_path: Path, family: int) -> None:
    a, b = net.pod("a"), net.pod("b")
    here, there = (p.ipv4 if family == 4 else p.ipv6 for p in (a, b))
    b.server(PORT, kind="udp", family=family)
    ip = "ip" if family == 4 else "ip6"
    net.nft(f"""table inet oracle {{
        counter forward {{}}
        counter reverse {{}}
        counter fragments {{}}
        chain f {{ type filter hook forward priority 10;
            {ip} saddr {here} {ip} daddr {there} counter name forward
            {ip} saddr {there} {ip} daddr {here} counter name reverse
            {"ip frag-off & 0x3fff != 0" if family == 4 else "exthdr frag exists"} counter name fragments
        }}
    }}""")
    with agent(net, server, tmp_path) as running:
        server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
        a.run(ASK.format(six=family == 6, host=there, port=PORT))
        running.stop()
    server.assert_books_closed()
    listed = json.loads(net.exec("nft", "-j", "list", "counters"))["nftables"]
    counted = {c["name"]: (c["bytes"], c["packets"]) for e in listed if (c := e.get("counter"))}
    assert counted["fragments"][1] > 40
    told = server.edges()
    assert {k[:5] for k in told} == {(who, here, there, PORT, UDP) for who in ("client", "server")}
    for sums in told.values():
        for way in ("forward", "reverse"):
            assert (sums[f"bytes_{way}"], sums[f"packets_{way}"]) == counted[way], way
        assert (sums["connections"], sums["connections_established"]) == (1, 1)
    assert not [b.lost for h, _ in server.batches for b in h.books if b.lost]
