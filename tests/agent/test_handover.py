"""What TCP's sockets, the kernel's drops and DNS tell while agents are killed: both lives together equal the kernel's counters."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from agent.netlab import Node, Pod, bpffs, wait_for
from agent.receiver import Receiver, agent
from eastwest.agent.bpffs import PinFolder
from eastwest.agent.percpu import read_counters
from eastwest.agent.sock import record as sock_record
from eastwest.model.batch import DNS_EVENT

pytestmark = pytest.mark.root

PORT, NOISE, SEED = 8080, 9, 20261122
LOSS = """
table inet loss {{
    counter lost_udp {{}}
    chain forward {{
        type filter hook forward priority 0;
        ip daddr {server} tcp dport {port} numgen random mod 100 < 8 drop
        ip daddr {server} udp dport {noise} numgen random mod 100 < 30 counter name lost_udp drop
    }}
}}
"""
UNTIL_TOLD = """
import socket, struct, sys, threading, time
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
print("up", flush=True)
"""
CALLS = (
    UNTIL_TOLD
    + """
def echo(s, n):
    s.sendall(b"x" * n)
    while n:
        n -= len(s.recv(1 << 16))
long = socket.create_connection(({host!r}, {port}))
while not stop.is_set():
    echo(long, 3000)
    with socket.create_connection(({host!r}, {port})) as s:
        echo(s, 3000)
    time.sleep(0.03)
long.close()
"""
)
NOISES = (
    UNTIL_TOLD
    + """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def take():
    while True:
        s.recv(512)
s.sendto(b"n" * 100, ({host!r}, {port}))
threading.Thread(target=take, daemon=True).start()
while not stop.is_set():
    s.sendto(b"n" * 100, ({host!r}, {port})); time.sleep(0.01)
"""
)
ASKS = (
    UNTIL_TOLD
    + """
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(({host!r}, 53))
def take():
    while True:
        s.recv(512)
threading.Thread(target=take, daemon=True).start()
asked = 0
while not stop.is_set():
    name = b"".join(bytes([len(p)]) + p for p in (b"n%d" % (asked % 50), b"example")) + b"\\0"
    s.send(struct.pack(">HHHHHH", asked, 0x0100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1))
    asked += 1
    time.sleep(0.03)
print(asked, flush=True)
"""
)
ANSWERS = """
import collections, socket, struct, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 53)); print("up", flush=True)
s.settimeout(0.01)
late = collections.deque()
while True:
    try:
        query, peer = s.recvfrom(512)
        if int.from_bytes(query[:2], "big") % 10:  # every tenth is never answered
            late.append((time.monotonic() + 0.3, query, peer))
    except TimeoutError:
        pass
    while late and late[0][0] <= time.monotonic():
        _, query, peer = late.popleft()
        s.sendto(query[:2] + struct.pack(">HHHHH", 0x8183, 1, 0, 0, 0) + query[12:], peer)
"""


class Told:
    """A process that works until it is told to stop."""

    def __init__(self, pod: Pod, code: str) -> None:
        self._process = pod.python(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"up\n"

    def end(self) -> str:
        out, _ = self._process.communicate(b"stop\n", timeout=60)
        assert self._process.returncode == 0
        return out.decode()


def snmp(pod: Pod) -> dict[str, int]:
    """TCP's counters of a pod's namespace (RFC 4022 names)."""
    rows = [line.split() for line in Path(f"/proc/{pod.processes[0].pid}/net/snmp").read_text().splitlines()]
    names, values = (row for row in rows if row[0] == "Tcp:")
    return {name: int(value) for name, value in zip(names[1:], values[1:], strict=True)}


def dropped(net: Node) -> int:
    found = json.loads(net.exec("nft", "-j", "list", "counters"))["nftables"]
    return sum(entry["counter"]["packets"] for entry in found if "counter" in entry)


def lookups(r: Receiver) -> int:
    return sum(
        n for h, _ in list(r.batches) for b in h.books for name, n in b.other.items() if name.startswith(DNS_EVENT)
    )


def told(r: Receiver, *columns: str) -> int:
    return sum(record[name] or 0 for record in r.records for name in columns)


def added_up(pins: Path) -> int:
    folder = PinFolder(pins)
    fd = folder.open("map_sock_counters")
    assert fd is not None
    try:
        return read_counters(fd, sock_record.Counter)["added_up"]
    finally:
        os.close(fd)
        folder.close()


RETRANSMITS = ("retransmits_syn", "retransmits_established", "retransmits_closing")


def test_nothing_of_tcp_drops_and_dns_is_missed_or_told_twice(net: Node, server: Receiver, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    a, b, c, d = (net.pod(name) for name in "abcd")
    b.server(PORT)
    b.server(NOISE, kind="udp")
    net.nft(LOSS.format(server=b.ipv4, port=PORT, noise=NOISE))
    with bpffs() as folder:
        pins = folder / "eastwest"
        options = ("--pin", str(pins), "--spool", str(tmp_path / "spool"))
        talking: list[Told] = []
        lives = 6
        for life in range(lives):
            with agent(net, server, tmp_path, *options, tick_s=0.15, cgroups=True) as running:
                if not life:
                    server.wait(
                        lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 4, "the pods are known", 60
                    )
                    assert d.python(ANSWERS, stdout=subprocess.PIPE).stdout.readline() == b"up\n"  # type: ignore[union-attr]
                    talking.append(Told(a, CALLS.format(host=b.ipv4, port=PORT)))
                    talking.append(Told(a, NOISES.format(host=b.ipv4, port=NOISE)))
                    asks = Told(c, ASKS.format(host=d.ipv4))
                seen = len(server.batches)
                server.wait(lambda r, seen=seen: len(r.batches) > seen + 2, "windows", 60)  # type: ignore[misc]
                if life < lives - 1:
                    time.sleep(chance.random())
                    running.stop() if life == 2 else running.kill()
                    time.sleep(chance.random() / 2)
                    continue
                net.nft("flush chain inet loss forward")  # packets follow the last drop: it is told with its edge
                seen = len(server.batches)
                server.wait(lambda r, seen=seen: len(r.batches) > seen + 2, "windows", 60)  # type: ignore[misc]
                for part in talking:
                    part.end()
                asked = int(asks.end())
                server.wait(
                    lambda r, asked=asked: lookups(r) == asked, f"{asked} questions; unanswered ones take 5 s", 60
                )  # type: ignore[misc]
                wait_for(
                    lambda: told(server, *RETRANSMITS) == snmp(a)["RetransSegs"] + snmp(b)["RetransSegs"], "sums", 30
                )
                running.stop()
        assert {p.name for p in pins.iterdir()} >= {"link_sock_ops", "link_drop", "map_sock_ring", "map_dns_tail"}
        assert added_up(pins) > 10, "most connections close unseen: they are sums"
        release = (sys.executable, "-m", "eastwest", "agent", "--release", "--pin", str(pins))
        subprocess.run(("ip", "netns", "exec", net.netns, *release), check=True, capture_output=True)
        assert not pins.exists()
    kernel = {p.name: snmp(p) for p in (a, b)}
    assert told(server, *RETRANSMITS) == kernel["a"]["RetransSegs"] + kernel["b"]["RetransSegs"] > 10
    assert told(server, "connection_attempts") == kernel["a"]["ActiveOpens"] > 10
    drops = sum(r["drops"] for r in server.records if r["dst_port"] == NOISE)
    assert drops == dropped(net) > 10
    assert lookups(server) == asked
    server.assert_books_closed()
    reasons = Counter(
        h.reason for header, _ in server.batches for h in header.hooks if h.name in ("sock_ops", "drops", "dns")
    )
    assert set(reasons) == {None}, "nothing is declared as lost, for nothing is"
