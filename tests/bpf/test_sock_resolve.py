"""The whole way: sockets and packets of one connection, counted by two hooks, meet on one edge."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.netlab import CALL, Node, Pod, node
from eastwest.agent import edges
from eastwest.agent.edges import Edges
from eastwest.agent.iterator import in_namespace
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.resolve import Resolver
from eastwest.agent.sock.health import Health, of_edges, onto
from eastwest.agent.sock.hook import SockHook
from eastwest.model.flow import ip_bytes

pytestmark = pytest.mark.root

SERVICE = "10.96.0.1"


class Watched:
    """Two pods on a node, a Service in front of the second, and both hooks."""

    def __init__(self, n: Node) -> None:
        self.node = n
        self.client, self.server = n.pod("a"), n.pod("b")
        n.nft(f"""table ip nat {{ chain pre {{ type nat hook prerouting priority -100;
            ip daddr {SERVICE} tcp dport 80 dnat to {self.server.ipv4}:8080; }}; }}""")
        self.kernel = FlowKernel()
        self.sock = SockHook(n.cgroup(self.client.uid).parents[3])
        self.resolver = Resolver(self.kernel.maps["flows"])
        self.links: list[int] = []
        self.ifindex = {inode(pod): self._attach(pod) for pod in (self.client, self.server)}

    def _attach(self, pod: Pod) -> int:
        ifindex = int(self.node.exec("cat", f"/sys/class/net/{pod.veth}/ifindex"))
        self.kernel.add_interface(ifindex, held=False)
        fd = os.open(f"/run/netns/{self.node.netns}", os.O_RDONLY)
        try:
            self.links.extend(in_namespace(fd, lambda: self.kernel.attach(ifindex)))
        finally:
            os.close(fd)
        return ifindex

    def tick(self) -> tuple[Edges, Health]:
        """As the agent's: first the sockets, while the flow map still knows their connections, then the drain."""
        health = of_edges(self.sock.collect(), self.ifindex, self.resolver.resolve)
        parts: list[Edges] = []
        self.kernel.drain(self.kernel.turn(), lambda r: parts.append(edges.from_records(r)), carry=False)
        return edges.merge(parts), health

    def close(self) -> None:
        for link in self.links:
            os.close(link)
        self.resolver.close()
        self.sock.close()
        self.kernel.close()


def inode(pod: Pod) -> int:
    return Path(f"/run/netns/{pod.netns}").stat().st_ino


@pytest.fixture
def watched() -> Iterator[Watched]:
    with node() as n:
        found = Watched(n)
        try:
            yield found
        finally:
            found.close()


@pytest.mark.parametrize("through", ["service", "pod4", "pod6"])
def test_sockets_and_packets_meet_on_the_same_edge(watched: Watched, through: str) -> None:
    server = watched.server
    server.server(8080, family=6 if through == "pod6" else 4)
    host = {"service": SERVICE, "pod4": server.ipv4, "pod6": server.ipv6}[through]
    for _ in range(10):
        watched.client.run(CALL.format(host=host, port=80 if through == "service" else 8080, size=20000))
    found, health = watched.tick()
    joined, columns = onto(found, health)
    assert health.unresolved == 0
    assert len(joined) == len(found) == 2  # one edge at each end, none added
    keys = joined.keys
    address = server.ipv6 if through == "pod6" else server.ipv4
    assert {bytes(d) for d in keys["dst"]} == {ip_bytes(address)}
    assert set(keys["dst_port"].tolist()) == {8080}
    client = int(np.flatnonzero(keys["role"] == 1)[0])
    assert columns["connection_attempts"].tolist()[client] == 10
    assert columns["connect_count"].tolist()[client] == 10
    assert columns["rtt_count"].tolist()[client] == 10
    assert columns["rtt_min_us"][client] > 0
    assert joined.sums[client, 6] == 10  # the flow hook's own count of opened connections
    assert columns["connection_failures"].sum() == columns["resets"].sum() == 0
    if through == "service":
        assert bytes(keys["service"][client]) == ip_bytes(SERVICE)


def test_a_refused_connection_is_on_the_edge_of_its_packets(watched: Watched) -> None:
    watched.client.run(f"import socket; s = socket.socket(); s.connect_ex(('{SERVICE}', 80))")
    found, health = watched.tick()
    joined, columns = onto(found, health)
    assert health.unresolved == 0
    assert columns["connection_failures"].sum() == 1
    (row,) = np.flatnonzero(columns["connection_failures"])
    assert bytes(joined.keys["dst"][row]) == ip_bytes(watched.server.ipv4)
    assert joined.keys["dst_port"][row] == 8080
    assert joined.sums[row, 2] > 0
