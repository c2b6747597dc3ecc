"""A packet that was dropped before anybody recorded it, on an edge that had no packet in that window: shown on the edge."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.netlab import Node, Pod
from agent.receiver import Receiver, agent

pytestmark = pytest.mark.root
TCP, UDP, OPEN, NEVER, ASKED = 6, 17, 8080, 9999, 5353
RULES = f"table inet t {{ chain o {{ type filter hook output priority 0; meta l4proto {{ tcp, udp }} th dport {{ {OPEN}, {NEVER}, {ASKED} }} counter drop; }}; }}"
TALK = """
import socket, sys
held = socket.create_connection(({host!r}, {open})); held.sendall(b"x" * 10); held.recv(10)
asked = socket.socket(socket.AF_INET{six}, socket.SOCK_DGRAM); asked.settimeout(5); asked.connect(({host!r}, {asked}))
asked.send(b"q"); asked.recv(9)
print("quiet", flush=True)
sys.stdin.readline()
held.sendall(b"y" * 10)
for _ in range(3):
    try: asked.send(b"q")
    except PermissionError: pass  # the local firewall's word for it
knock = socket.socket(socket.AF_INET{six}); knock.settimeout(0.1)
try: knock.connect(({host!r}, {never}))
except OSError: pass
print("dropped", flush=True)
sys.stdin.readline()
"""


def counted(pod: Pod) -> int:
    """What the pod's own firewall says it dropped."""
    told = pod.run(
        "import subprocess; print(subprocess.run(['nft', 'list', 'ruleset'], capture_output=True, text=True).stdout)"
    )
    return int(told.split("packets ")[1].split()[0])


@pytest.mark.parametrize(("family", "health"), [(4, False), (6, True)], ids=["ipv4", "ipv6-with-tcp-health"])
def test_drops_make_their_edges_record(net: Node, server: Receiver, tmp_path: Path, family: int, health: bool) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(OPEN, family=family)
    b.server(ASKED, family=family, kind="udp")
    here, there = (p.ipv4 if family == 4 else p.ipv6 for p in (a, b))
    six = "6" if family == 6 else ""
    talk = TALK.format(host=there, open=OPEN, asked=ASKED, never=NEVER, six=six)
    options = () if health else ("--without", "sock")
    with agent(net, server, tmp_path, *options, tick_s=0.1, cgroups=True) as running:
        server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
        process = a.python(talk, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"quiet\n"

        def silent(r: Receiver) -> bool:
            return len(r.batches) > 4 and all(not rows for _, rows in r.batches[-3:]) and len(r.edges()) == 4

        server.wait(silent, "three windows without a packet")
        before = len(server.batches)
        a.spawn("nft", RULES).wait(10)
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"dropped\n"

        def drops(r: Receiver, port: int) -> int:
            return sum(row["drops"] for row in told(r) if row["dst_port"] == port)

        def told(r: Receiver) -> list[dict[str, object]]:
            skipped = sum(len(rows) for _, rows in r.batches[:before])
            return r.records[skipped:]

        server.wait(lambda r: all(drops(r, port) for port in (OPEN, NEVER, ASKED)), "each edge's drops")
        process.kill()
        process.communicate()
        server.wait(lambda r: sum(drops(r, port) for port in (OPEN, NEVER, ASKED)) == counted(a), "every drop")
        running.stop()
    server.assert_books_closed()
    assert drops(server, ASKED) == 3
    rows = told(server)
    assert {(r["reporter"], r["src_ip"], r["dst_ip"], r["dst_port"], r["protocol"], r["pod_uid"]) for r in rows} == {
        ("client", here, there, port, protocol, a.uid) for port, protocol in ((OPEN, TCP), (NEVER, TCP), (ASKED, UDP))
    }
    for name in ("bytes_forward", "packets_forward", "bytes_reverse", "packets_reverse", "connections"):
        assert {r[name] for r in rows} == {0}, "nothing passed"
    for row in rows:
        assert row["window_start_ns"] <= row["first_seen_ns"] <= row["last_seen_ns"] <= row["window_end_ns"]
    attempts = [r["connection_attempts"] for r in rows if r["dst_port"] == NEVER]
    assert sum(attempts) == 1 if health else set(attempts) == {None}, "told on the same edge"
