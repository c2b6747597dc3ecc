"""All optional hooks at once on a node with two pods: what the agent's tick would get."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.factories_dns import query
from agent.netlab import CALL, node
from bpf.factories_hooks import SERVICE, Watched, inode
from eastwest.agent import edges
from eastwest.agent.edges import Edges
from eastwest.agent.hooks_choice import Choice
from eastwest.agent.hooks_sensed import Sensed
from eastwest.agent.iterator import in_namespace
from eastwest.agent.optional_hooks import OptionalHooks
from eastwest.model.flow import ip_bytes
from eastwest.wire.batch import Maybe, Words

pytestmark = pytest.mark.root

RESOLVER = """
import socket, dnslib
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 53)); print("ready", flush=True)
while True:
    data, peer = s.recvfrom(512)
    request = dnslib.DNSRecord.parse(data)
    reply = request.reply()
    reply.add_answer(*dnslib.RR.fromZone(f"{request.q.qname} 60 A __SERVICE__"))
    s.sendto(reply.pack(), peer)
"""


class Sensing(Watched):
    def __init__(self, n: object) -> None:
        super().__init__(n)  # type: ignore[arg-type]
        self.sock.close()
        group = self.node.cgroup(self.client.uid).parents[3]
        node_netns = Path(f"/run/netns/{self.node.netns}").stat().st_ino
        self.dns_links: list[int] = []
        self.hooks = OptionalHooks(Choice(group), self.kernel.maps, node_netns)
        assert [s.state for s in self.hooks.statuses] == ["on"] * 3
        assert self.hooks.dns is not None
        fd = os.open(f"/run/netns/{self.node.netns}", os.O_RDONLY)
        for ifindex in self.ifindex.values():
            self.dns_links.extend(in_namespace(fd, lambda i=ifindex: self.hooks.dns.attach(i)))  # type: ignore[union-attr, misc]
        os.close(fd)
        self.hooks.sense(self.ifindex)

    def window(self) -> tuple[Edges, Sensed, dict[str, object]]:
        sensed = self.hooks.sense(self.ifindex)
        parts: list[Edges] = []
        self.kernel.drain(self.kernel.turn(), lambda r: parts.append(edges.from_records(r)), carry=False)
        joined, columns = self.hooks.columns(edges.merge(parts), sensed)
        return joined, sensed, dict(columns)

    def close(self) -> None:
        for link in self.links:
            link.remove()
        for fd in self.dns_links:
            os.close(fd)
        self.hooks.close()
        self.resolver.close()
        self.kernel.close()


@pytest.fixture
def world() -> Iterator[Sensing]:
    with node() as n:
        made = Sensing(n)
        try:
            yield made
        finally:
            made.close()


def text(column: object, row: int) -> str | None:
    assert isinstance(column, Words)
    return column.words[column.codes[row]]


def number(column: object, row: int) -> int | None:
    assert isinstance(column, Maybe)
    return int(column.values[row]) if column.valid[row] else None


def test_a_name_a_connection_and_a_drop_meet_on_their_edges(world: Sensing) -> None:
    world.server.server(8080)
    dns = world.server.python(RESOLVER.replace("__SERVICE__", SERVICE), stdout=-1)
    assert dns.stdout is not None
    assert dns.stdout.readline() == b"ready\n"
    world.client.run(f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
s.sendto({query("shop.test")!r}, ("{world.server.ipv4}", 53)); s.recv(512)
""")
    world.client.run(CALL.format(host=SERVICE, port=80, size=1000))
    world.node.nft("table ip filter { chain f { type filter hook forward priority 0; tcp dport 9999 drop; }; }")
    world.client.run(f"""
import socket
s = socket.socket(); s.settimeout(0.2)
try: s.connect(("{world.server.ipv4}", 9999))
except OSError: pass
""")
    joined, sensed, columns = world.window()
    keys = joined.keys
    client = world.ifindex[inode(world.client)]
    (shop,) = np.flatnonzero((keys["dst_port"] == 8080) & (keys["ifindex"] == client))
    assert bytes(keys["service"][shop]) == ip_bytes(SERVICE)
    assert text(columns["dst_dns_name"], shop) == "shop.test"
    assert (number(columns["connection_attempts"], shop), number(columns["connection_failures"], shop)) == (1, 0)
    assert number(columns["rtt_min_us"], shop)
    assert number(columns["drops"], shop) == 0

    (denied,) = np.flatnonzero((keys["dst_port"] == 9999) & (keys["ifindex"] == client))
    assert number(columns["drops"], denied) == number(columns["connection_attempts"], denied) == 1
    assert text(columns["dst_dns_name"], denied) is None

    assert sensed.dns is not None
    asked = {(a.name, a.from_pod, a.outcome): (a.ifindex, amount.lookups) for a, amount in sensed.dns}
    assert asked == {
        ("shop.test", True, "NOERROR"): (client, 1),
        ("shop.test", False, "NOERROR"): (world.ifindex[inode(world.server)], 1),
    }
    assert sensed.drops is not None
    reasons = {world.hooks.drop_reason(int(r)) for r in sensed.drops["key"]["reason"]}
    assert "netfilter_drop" in reasons
    losses = {k: v for k, v in sensed.counters.items() if "lost" in k or "unresolved" in k or "malformed" in k}
    assert set(losses.values()) == {0}


def test_a_hook_that_is_off_leaves_nulls_not_zeros(world: Sensing) -> None:
    off = OptionalHooks(Choice(None, drops=False, dns=False), world.kernel.maps, 1)
    try:
        assert [s.state for s in off.statuses] == ["off"] * 3
        world.server.server(8080)
        world.client.run(CALL.format(host=world.server.ipv4, port=8080, size=100))
        found, _, _ = world.window()
        joined, columns = off.columns(found, off.sense(world.ifindex))
        assert len(joined) == len(found) > 0
        assert number(columns["connection_attempts"], 0) is None
        assert number(columns["drops"], 0) is None
        assert text(columns["dst_dns_name"], 0) is None
    finally:
        off.close()
