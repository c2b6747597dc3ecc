"""A node with two pods, a Service in front of the second, and flow, sock and resolve hooked."""

from __future__ import annotations

import os
from pathlib import Path

from agent.netlab import Node, Pod
from eastwest.agent import edges
from eastwest.agent.attach import Hook
from eastwest.agent.edges import Edges
from eastwest.agent.iterator import in_namespace
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.resolve import Resolver
from eastwest.agent.sock.health import Health, add_up, of_edges, of_sums
from eastwest.agent.sock.hook import SockHook

SERVICE = "10.96.0.1"


class Watched:
    """Two pods on a node, a Service in front of the second, and both hooks."""

    def __init__(self, n: Node) -> None:
        self.node = n
        self.client, self.server = n.pod("a"), n.pod("b")
        n.nft(f"""table ip nat {{ chain pre {{ type nat hook prerouting priority -100;
            ip daddr {SERVICE} tcp dport 80 dnat to {self.server.ipv4}:8080; }}; }}""")
        self.kernel = FlowKernel()
        self.tree = n.cgroup(self.client.uid).parents[3]  # every pod's processes live below it
        self.sock = SockHook(self.tree, flows=self.kernel.maps["flows"])
        self.resolver = Resolver(self.kernel.maps)
        self.links: list[Hook] = []
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
        self.sock.of_pods(self.ifindex)
        sent = of_edges(self.sock.collect(), self.ifindex, self.resolver.resolve)
        health = add_up([sent, of_sums(self.sock.added_up)])
        parts: list[Edges] = []
        self.kernel.drain(self.kernel.turn(), lambda r: parts.append(edges.from_records(r)), carry=False)
        return edges.merge(parts), health

    def close(self) -> None:
        for link in self.links:
            link.remove()
        self.resolver.close()
        self.sock.close()
        self.kernel.close()


def inode(pod: Pod) -> int:
    return Path(f"/run/netns/{pod.netns}").stat().st_ino
