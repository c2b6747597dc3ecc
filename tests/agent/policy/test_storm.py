"""Plans that renumber everything, agents that are killed in the middle: no packet is ever decided wrongly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.netlab import Node, Pod, bpffs
from agent.policy.planserver import PlanServer
from agent.policy.running import OPEN_PORT, enforcing, in_force, plan_for
from eastwest.model.plan import NOBODY, NodePlan, Reason, Side
from eastwest.wire.plan import sealed

pytestmark = pytest.mark.root

SEND = """
import socket, sys, threading, time
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
n = 0
while not stop.is_set():
    with socket.socket(2, 2) as s:  # from another port each time: decided anew, not by its flow's entry
        s.sendto(b"x", ({host!r}, {port}))
    n += 1; time.sleep(0.0002)
print(n, flush=True)
"""

COUNT = """
import socket, collections
s = socket.socket(2, 2); s.setsockopt(1, 8, 1 << 24); s.bind(("", {port})); print("ready", flush=True)
seen = collections.Counter()
while True:
    data, peer = s.recvfrom(9)
    if data == b"end":
        print(*(f"{{a}}={{n}}" for a, n in seen.items()), flush=True); break
    seen[peer[0]] += 1
"""


def renumbered(plan: NodePlan, version: int) -> NodePlan:
    """The same decisions; every number (identities, tables, rows, reasons) is another one in each version of five."""
    by = (version % 5) * 3

    def moved(rows: NodePlan, name: str, *columns: str) -> Any:
        array = getattr(rows, name).copy()
        for column in columns:
            array[column] = (array[column] + by - 1) % 15 + 1
        return array

    def side(s: Side) -> Side:
        return s if not s.row else Side(s.mode, (s.table + by - 1) % 15 + 1, (s.row + by - 1) % 15 + 1)

    ports = moved(plan, "ports", "row")
    ports["reason"] += by
    fillers = tuple(
        Reason("NetworkPolicy", r.direction, r.ruling, f"other/{i}") for i, r in enumerate(plan.reasons * 5)
    )
    return sealed(
        replace(
            plan,
            identities=moved(plan, "identities", "identity"),
            cells=moved(plan, "cells", "table", "identity", "row"),
            ports=ports,
            reasons=(NOBODY, *fillers[:by], *plan.reasons[1:]),
            pods=tuple(replace(p, egress=side(p.egress), ingress=side(p.ingress)) for p in plan.pods),
        ),
        version,
    )


def udp(plan: NodePlan) -> NodePlan:
    ports = plan.ports.copy()
    ports["protocol"][ports["protocol"] == 6] = 17
    return replace(plan, ports=ports)


def test_renumbering_and_kills_under_traffic(net: Node, server: PlanServer, tmp_path: Path) -> None:
    friend, web, stranger = net.pod("a"), net.pod("b"), net.pod("c")
    base = udp(plan_for(1, friend, web))
    server.put(renumbered(base, 1))
    counting = web.python(COUNT.format(port=OPEN_PORT), stdout=subprocess.PIPE)
    assert counting.stdout is not None
    counting.stdout.readline()
    version = 1
    with bpffs() as folder:
        pinned = ("--pin", str(folder / "eastwest"))
        senders: list[subprocess.Popen[bytes]] = []
        for how_long_s in (0.35, 0.7, 1.5):
            with enforcing(net, server.url, tmp_path, *pinned) as running:
                in_force(server, version)
                senders = senders or [_send(p, web) for p in (friend, stranger)]
                until = time.monotonic() + how_long_s
                while time.monotonic() < until:
                    version += 1
                    server.put(renumbered(base, version))
                    time.sleep(0.01)
                if how_long_s < 1:
                    os.kill(running.process.pid, signal.SIGKILL)
                    running.process.wait()
                else:
                    said = in_force(server, version)
        sent, refused = (int(s.communicate(b"stop\n", timeout=20)[0]) for s in senders)
        _tell_end(net, web)
        seen = dict(word.split("=") for word in counting.stdout.readline().decode().split())
    assert said.generation > 60
    assert sent > 1000
    assert refused > 1000
    seen.pop("169.254.1.1", None)
    assert {a: int(n) for a, n in seen.items()} == {friend.ipv4: sent}


def _send(pod: Pod, to: Pod) -> subprocess.Popen[bytes]:
    return pod.python(SEND.format(host=to.ipv4, port=OPEN_PORT), stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _tell_end(net: Node, web: Pod) -> None:
    """From the node itself, which always may."""
    net.exec(sys.executable, "-c", f"import socket; socket.socket(2, 2).sendto(b'end', ({web.ipv4!r}, {OPEN_PORT}))")
