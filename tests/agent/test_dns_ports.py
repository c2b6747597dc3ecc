"""DNS on other ports than 53, on real packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.netlab import CALL, node
from agent.receiver import agent, receiving
from agent.test_away import run_agent

pytestmark = pytest.mark.root

SERVE = """
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 5353)); print("ready", flush=True)
while True:
    query, peer = s.recvfrom(512)
    question = query[12:]
    answer = b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton({address!r})
    s.sendto(query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + question + answer, peer)
"""
ASK = """
import socket, struct
name = b"".join(bytes([len(p)]) + p for p in b"orders.example".split(b".")) + b"\\0"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.connect(({host!r}, 5353))
s.send(struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1)); s.recv(512)
"""


@pytest.mark.parametrize(("ports", "name"), [("53,5353", "orders.example"), ("53", None)])
def test_a_name_asked_on_another_port_names_the_edge(tmp_path: Path, ports: str, name: str | None) -> None:
    with node() as net, receiving(tmp_path) as server:
        a, b, c = net.pod("a"), net.pod("b"), net.pod("c")
        c.server(8080)
        process = b.python(SERVE.format(address=c.ipv4), stdout=-1)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with agent(net, server, tmp_path, "--dns-ports", ports) as running:
            server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 3, "the pods are known")
            a.run(ASK.format(host=b.ipv4))
            a.run(CALL.format(host=c.ipv4, port=8080, size=10))
            running.stop()
        server.assert_books_closed()
        found = {r["dst_dns_name"] for r in server.records if r["reporter"] == "client" and r["dst_port"] == 8080}
        assert found == {name}


def test_ports_that_are_none_are_refused() -> None:
    for words in ("0", "53,x", "1,2,3,4,5", "70000"):
        done = run_agent("--dns-ports", words)
        assert done.returncode == 2
        assert "one to four port numbers" in done.stderr
