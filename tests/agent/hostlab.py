"""What is beyond a node's uplink, and pods that live in the node's own network: for tests of the node as an endpoint."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from agent.netlab import CALL, Node, Pod, ip

WORLD, NODE = "192.0.2.1", "192.0.2.2"
WORLD6, NODE6 = "2001:db8::1", "2001:db8::2"

SERVE = """
import socket, threading
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("", {port}))
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", {port})); s.listen(64)
print("ready", flush=True)
def drink():
    while True: u.recv(2000)
threading.Thread(target=drink, daemon=True).start()
def serve(c):
    with c:
        while data := c.recv(1 << 16): c.sendall(data)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""


class World:
    """What is beyond the node's uplink."""

    def __init__(self, net: Node) -> None:
        self.net, self.netns = net, f"{net.netns}-world"
        self._running: list[subprocess.Popen[bytes]] = []
        ip("netns", "add", self.netns)
        ip("link", "add", "eth0", "type", "veth", "peer", "name", "uplink", "netns", net.netns, netns=self.netns)
        for words in (
            "link set lo up",
            "link set eth0 up",
            f"addr add {WORLD}/24 dev eth0",
            f"addr add {WORLD6}/64 dev eth0 nodad",
            f"route add default via {NODE}",
            f"-6 route add default via {NODE6}",
        ):
            ip(*words.split(), netns=self.netns)
        for words in (
            "link set uplink up",
            f"addr add {NODE}/24 dev uplink",
            f"addr add {NODE6}/64 dev uplink nodad",
            f"route add default via {WORLD}",
        ):
            ip(*words.split(), netns=net.netns)

    def start(self, netns: str, code: str, first: bytes) -> subprocess.Popen[bytes]:
        argv = ["ip", "netns", "exec", netns, sys.executable, "-c", code]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == first
        return process

    def serve(self, netns: str, port: int) -> None:
        self.start(netns, SERVE.format(port=port), b"ready\n")

    def call(self, netns: str, host: str, port: int, size: int = 5000) -> None:
        subprocess.run(
            ["ip", "netns", "exec", netns, sys.executable, "-c", CALL.format(host=host, port=port, size=size)],
            check=True,
            timeout=30,
        )

    def close(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()
        ip("netns", "del", self.netns)


@dataclass
class HostPod(Pod):
    """A host-network pod: processes in the node's own namespace, in the cgroup that kubelet made for the pod."""

    slice: str = "kubepods/besteffort/pod{uid}/ctr"

    @property
    def netns(self) -> str:
        return self.node.netns

    @property
    def folder(self) -> Path:
        return self.node.tree / self.slice.format(uid=self.uid, flat=self.uid.replace("-", "_"))

    def spawn(self, *argv: str, **options: object) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        join = self.folder / "cgroup.procs"
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.netns, *argv],
            preexec_fn=lambda: join.write_text("0"),
            **options,  # type: ignore[call-overload]
        )
        self.processes.append(process)
        return process


FORMS = {
    "cgroupfs": "kubepods/burstable/pod{uid}/0123abcd",
    "containerd": "kubepods.slice/kubepods-pod{flat}.slice/cri-containerd-0123abcd.scope",
    "crio": "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{flat}.slice/crio-0123abcd.scope",
    "nested": "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{flat}.slice/cri-containerd-01.scope/own/deep",
}
"""Cgroups of a container below its node's, by who makes them; the last is one that the container itself divided."""


def host_pod(net: Node, form: str = "containerd") -> HostPod:
    """A new host-network pod; it runs what it is given. Ended with the node."""
    number = len(net.pods) + 1
    uid = f"{number:08x}-0000-4000-8000-{net.netns[-6:]}{number:06x}"
    pod = HostPod(net, f"host{number}", uid, NODE, NODE6, slice=FORMS[form])
    net.pods.append(pod)
    return pod
