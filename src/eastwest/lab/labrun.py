"""One lab as it runs: fabric, internet, nodes and the cluster on them. Who asks for what is `control`'s."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import time
from pathlib import Path
from typing import Any, Final

from eastwest.k8s.raw import load_raw
from eastwest.lab import admission, cgroups, network
from eastwest.lab import internet as hosts
from eastwest.lab.addresses import REGION, NodePlan
from eastwest.lab.cluster import Cluster
from eastwest.lab.containers import ready
from eastwest.lab.nodeproc import NODE_SYSCTLS, run
from eastwest.lab.outside_load import OutsideLoad
from eastwest.lab.podrun import NodeRun
from eastwest.lab.processes import Process, Processes
from eastwest.lab.sandbox import apply_sysctls
from eastwest.lab.state import LabError, LabFiles, LabState, Network, NodeState
from eastwest.lab.watch import Objects

Json = dict[str, Any]
SYSTEM_FOLDER: Final = Path(__file__).parent / "system"


class LabRun:
    """In the process that is the fabric. `start` builds it up; `down` is set when it is to end; `loop` ends by a failure only."""

    def __init__(self, files: LabFiles, mode: Network, node_count: int, driver: cgroups.Driver) -> None:
        self.files, self.mode, self.driver = files, mode, driver
        self.plans = [NodePlan(i) for i in range(node_count)]
        self.cgroup = cgroups.lab_root(files.name)
        self.down = asyncio.Event()
        self._exposed: dict[str, list[str]] = {}
        self.faults: dict[str, Json] = {}
        self._outside: set[str] = set(hosts.addresses())

    async def start(self, orders: socket.socket) -> None:
        """Bring up fabric, internet, nodes and the cluster's own services."""
        self.processes = Processes(orders)
        self.objects = Objects(self.files.watch)
        apply_sysctls(
            {**NODE_SYSCTLS, "net/ipv4/fib_multipath_hash_policy": "1", "net/ipv6/fib_multipath_hash_policy": "1"}
        )
        self.internet = await self._start_internet()
        self.nodes = list(await asyncio.gather(*(self._start_node(plan) for plan in self.plans)))
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            self.objects.put({"apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Active"},
                              "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}})  # fmt: skip
        for plan in self.plans:
            self.objects.put(node_object(plan))
        self.cluster = Cluster(
            self.files, self.objects, self.processes, self.nodes, self.mode, self.driver, self._expose
        )
        for node in self.nodes:
            assert node.process.channel is not None
            node.process.channel.on_event = self.cluster.pods.probe_changed
        self.load = OutsideLoad(self.files, self.objects, self.processes, self.internet.pid, self.cgroup / "lab")
        self.loop: asyncio.Task[None] = asyncio.get_running_loop().create_task(self.cluster.run())
        raw, problems = load_raw(SYSTEM_FOLDER)
        assert not problems, problems
        self.cluster.apply([admission.check(r) for r in raw])
        self.state().write(self.files.description)

    def state(self) -> LabState:
        nodes = tuple(
            NodeState(n.plan.name, n.process.pid, n.plan.zone, (n.plan.ipv4, n.plan.ipv6), str(n.cgroup))
            for n in self.nodes
        )
        return LabState(
            self.files.name, self.mode, str(self.cgroup), os.getpid(), os.getpid(), self.internet.pid,
            time.time_ns(), self.driver, nodes,
        )  # fmt: skip

    async def outside(self, addresses: list[str], ports: list[list[Any]]) -> None:
        """Give the internet more addresses, and serve ports on them. Raises LabError for addresses of the cluster."""
        for text in addresses:
            address = ipaddress.ip_address(text)
            inside = [r for r in network.CLUSTER_RANGES if address in ipaddress.ip_network(r)]
            if inside:
                raise LabError(f"{text} is not outside: {inside[0]} is the lab's own")
        new = [str(ipaddress.ip_address(a)) for a in addresses if a not in self._outside]
        lines = [f"address add {a}/{128 if ':' in a else 32} dev lo{' nodad' if ':' in a else ''}\n" for a in new]
        if lines:
            await self.internet.call("ip", batch="".join(lines))
            self._outside.update(new)
        await self.internet.call("listen", addresses=addresses, ports=ports)

    async def _start_internet(self) -> Process:
        process = await self.processes.start("internet", {"cgroup": str(self.cgroup / "lab")}, channel=True)
        await ready(process)
        await run(["ip", "-batch", "-"], network.fabric_to_internet(process.pid))
        await process.call("ip", batch=network.internet(hosts.addresses()))
        served = [a for host in hosts.HOSTS for a in host.addresses]
        await process.call("listen", addresses=served, ports=hosts.PORTS)
        return process

    async def _start_node(self, plan: NodePlan) -> NodeRun:
        top = cgroups.create(self.cgroup / plan.name)
        own = cgroups.create(top / "system.slice")
        etc = self.files.etc / plan.name
        etc.mkdir(parents=True)
        (etc / "hostname").write_text(plan.name + "\n")
        spec = {"name": plan.name, "cgroup": str(own), "etc": str(etc)}
        process = await self.processes.start("node", spec, channel=True)
        await ready(process)
        await run(["ip", "-batch", "-"], network.fabric_to_node(plan, process.pid, self.mode))
        others = [p for p in self.plans if p != plan]
        await process.call("ip", batch=network.node(plan, others, self.mode))
        if self.mode == "vxlan":
            await process.call("bridge", commands=network.vxlan_peers(others))
        return NodeRun(plan, process, top)

    async def _expose(self, balancers: dict[str, list[str]], ready: bool) -> None:
        """Route load balancer addresses to the nodes that take them, shared between them by connection."""
        plans = {p.name: p for p in self.plans}
        lines = []
        for address, names in balancers.items():
            if self._exposed.get(address) == names:
                continue
            six = ":" in address
            head = f"route replace {address}/{128 if six else 32}"
            hops = [
                f"nexthop via {plans[n].ipv6 if six else plans[n].ipv4} dev {n}{'' if six else ' onlink'}"
                for n in names
            ]
            lines.append(f"{head} {' '.join(hops)}" if hops else f"route replace blackhole {address}")
        if lines:
            await run(["ip", "-batch", "-"], "\n".join(lines) + "\n")
        self._exposed = balancers
        if ready:
            self.files.go.touch()
        await self.load.refresh(may_start=ready)


def node_object(plan: NodePlan) -> Json:
    """The Node object of a plan."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": plan.name,
            "labels": {
                "kubernetes.io/hostname": plan.name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": plan.zone,
                "topology.kubernetes.io/region": REGION,
                "node.kubernetes.io/instance-type": "m7i.large",
            },
        },
        "spec": {"providerID": plan.provider_id, "podCIDR": plan.pods_v4, "podCIDRs": [plan.pods_v4, plan.pods_v6]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": plan.ipv4},
                {"type": "InternalIP", "address": plan.ipv6},
                {"type": "Hostname", "address": plan.name},
            ],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
