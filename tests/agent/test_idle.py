"""Connections that fall silent for many windows, older and younger than the agent: the same edge before and after, bytes
exact, and open all the while."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from agent.metrics.factories_metrics import read, value
from agent.netlab import Node, Pod
from agent.receiver import Receiver, agent
from deploy.relay import Relay

pytestmark = pytest.mark.root
TCP, PORT = 6, 7421
PORTS = OLD, YOUNG, OLD6, YOUNG6 = 8080, 8081, 8060, 8061
QUIET_WINDOWS = 8
TALK = """
import socket, sys
s = socket.create_connection(({host!r}, {port}))
for line in sys.stdin:
    size = int(line)
    s.sendall(b"x" * size)
    while size: size -= len(s.recv(size))
    print("said", flush=True)
"""


@contextmanager
def talking(pod: Pod, host: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = pod.python(TALK.format(host=host, port=port), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def say(process: subprocess.Popen[bytes], size: int) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"%d\n" % size)
    process.stdin.flush()
    assert process.stdout.readline() == b"said\n"


def count_by_nft(net: Node, a: Pod, b: Pod) -> None:
    ways = (("forward", a, b, "dport"), ("reverse", b, a, "sport"))
    names = [f"counter c{port}_{way} {{}}" for port in PORTS for way, *_ in ways]
    rules = [
        f"ip{six} saddr {getattr(src, 'ipv' + (six or '4'))} tcp {side} {PORTS[i]} counter name c{PORTS[i]}_{way}"
        for i, six in enumerate(("", "", "6", "6"))
        for way, src, _, side in ways
    ]
    rules.append("ct state new accept")  # connections are tracked: who opened the older ones is known
    chain = ["chain f { type filter hook forward priority 10;", *rules, "}"]
    net.nft("\n".join(["table inet oracle {", *names, *chain, "}"]))


def counted_by_nft(net: Node) -> dict[str, tuple[int, int]]:
    listed = json.loads(net.exec("nft", "-j", "list", "counters"))["nftables"]
    return {c["name"]: (c["bytes"], c["packets"]) for e in listed if (c := e.get("counter"))}


def open_now(relay: Relay, *pods: Pod) -> list[float | None]:
    """How many connections each pod has open, as published."""
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    page = httpx.get(f"http://{relay.address}/metrics", headers=headers, timeout=30, trust_env=False)
    seen = read(page.content)
    return [value(seen, "eastwest_pod_flows_active", pod_uid=pod.uid, protocol="TCP") for pod in pods]


def fall_silent(r: Receiver) -> None:
    """Until the windows that come from now on have been without a packet for long."""
    begin = len(r.batches)

    def silent(r: Receiver) -> bool:
        last = r.batches[begin:][-QUIET_WINDOWS:]
        return len(last) == QUIET_WINDOWS and not any(row["bytes_forward"] for _, rows in last for row in rows)

    r.wait(silent, "windows without a packet", 60)


def test_idle_connections_are_kept_and_go_on(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b = net.pod("a"), net.pod("b")
    hosts = {OLD: b.ipv4, YOUNG: b.ipv4, OLD6: b.ipv6, YOUNG6: b.ipv6}
    for port, host in hosts.items():
        b.server(port, family=6 if ":" in host else 4)
    count_by_nft(net, a, b)
    relay = Relay(Path(f"/var/run/netns/{net.netns}"), ("127.0.0.1", PORT))
    with ExitStack() as stack:
        talks = {port: stack.enter_context(talking(a, hosts[port], port)) for port in (OLD, OLD6)}
        for talk in talks.values():
            say(talk, 1000)
        stack.enter_context(agent(net, server, tmp_path, "--listen", f"127.0.0.1:{PORT}", tick_s=0.1))
        server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 2, "both pods are known")
        before = counted_by_nft(net)
        talks |= {port: stack.enter_context(talking(a, hosts[port], port)) for port in (YOUNG, YOUNG6)}
        for size in (5000, 7000, 3000):
            for talk in talks.values():
                say(talk, size)
            fall_silent(server)
            server.wait(lambda _: open_now(relay, a, b) == [4, 4], "silent, and published as open", 60)
        after = counted_by_nft(net)
        told = server.edges()
    relay.close()
    server.assert_books_closed()
    assert len(told) == 2 * len(PORTS), "before and after on the same edge"
    for port, host in hosts.items():
        here = a.ipv6 if ":" in host else a.ipv4
        for who in ("client", "server"):
            (ours,) = [v for k, v in told.items() if k[:5] == (who, here, host, port, TCP)]
            for way in ("forward", "reverse"):
                theirs = tuple(x - y for x, y in zip(after[f"c{port}_{way}"], before[f"c{port}_{way}"], strict=True))
                assert (ours[f"bytes_{way}"], ours[f"packets_{way}"]) == theirs, (who, port, way)
            opened = int(port in (YOUNG, YOUNG6))
            assert ours["connections"] == ours["connections_established"] == opened
