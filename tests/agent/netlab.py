"""Real packets for agent tests: a node and its pods as network namespaces (names begin with ewt-), joined by veths.

Pods are processes in a cgroup that kubelet would have made. Everything is removed on exit, whatever happened.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

GATEWAY4, GATEWAY6 = "169.254.1.1", "fe80::1"
TRACK = "table inet track { chain c { type filter hook forward priority 0; ct state new accept; }; }"
"""For Node.nft: makes the node track connections, as every node with Services does."""


def cgroup2_root() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return Path(fields[1])
    raise RuntimeError("no cgroup2 mount")


def wait_for(condition: Callable[[], bool], what: str, deadline_s: float = 10.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:g} s: {what}")
        time.sleep(0.01)


def ip(*words: str, netns: str | None = None) -> str:
    prefix = ["ip", "-n", netns] if netns else ["ip"]
    done = subprocess.run([*prefix, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)} in {netns}: {done.stderr.strip()}")
    return done.stdout


@dataclass
class Pod:
    node: Node
    name: str
    uid: str
    ipv4: str
    ipv6: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def netns(self) -> str:
        return f"{self.node.netns}-{self.name}"

    @property
    def veth(self) -> str:
        return f"v-{self.name}"

    def spawn(self, *argv: str, **options: object) -> subprocess.Popen[bytes]:
        """A process of this pod: in its namespace and its cgroup."""
        cgroup = self.node.cgroup(self.uid)

        def join() -> None:
            (cgroup / "cgroup.procs").write_text("0")

        process = subprocess.Popen(
            ["ip", "netns", "exec", self.netns, *argv],
            preexec_fn=join,
            **options,  # type: ignore[call-overload]
        )
        self.processes.append(process)
        return process

    def python(self, code: str, **options: object) -> subprocess.Popen[bytes]:
        return self.spawn(sys.executable, "-c", code, **options)

    def run(self, code: str) -> str:
        """Python in the pod, to its end; what it printed."""
        process = self.python(code, stdout=subprocess.PIPE)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, code
        return out.decode()

    def server(self, port: int, *, family: int = 4, kind: str = "tcp") -> None:
        """An echo server, ready when this returns."""
        process = self.python(ECHO.format(port=port, family=family, kind=kind), stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"


ECHO = """
import socket, threading
family = socket.AF_INET6 if {family} == 6 else socket.AF_INET
if "{kind}" == "udp":
    s = socket.socket(family, socket.SOCK_DGRAM); s.bind(("", {port})); print("ready", flush=True)
    while True:
        data, peer = s.recvfrom(65536); s.sendto(data, peer)
s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", {port})); s.listen(512)
print("ready", flush=True)
def serve(c):
    with c:
        while data := c.recv(1 << 16):
            c.sendall(data)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""

CALL = """
import socket, threading
with socket.create_connection(({host!r}, {port})) as s:
    threading.Thread(target=s.sendall, args=(b"x" * {size},)).start()
    got = 0
    while got < {size}:
        got += len(s.recv(1 << 16))
"""

ASK = """
import socket
with socket.socket({family}, socket.SOCK_DGRAM) as s:
    s.settimeout(5)
    s.connect(({host!r}, {port}))
    s.send(b"y" * {size})
    s.recv(65536)
"""


class Node:
    """One node. `routed` only: each pod has a /32 and a link-local gateway, as the ptp CNI plugin does."""

    def __init__(self) -> None:
        self.netns = f"ewt-{secrets.token_hex(3)}"
        self.pods: list[Pod] = []
        self.tree = cgroup2_root() / self.netns  # the node's own part of the cgroup tree

    def __enter__(self) -> Node:
        self.tree.mkdir()
        ip("netns", "add", self.netns)
        ip("link", "set", "lo", "up", netns=self.netns)
        self.sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        return self

    def __exit__(self, *_: object) -> None:
        for pod in self.pods:
            with contextlib.suppress(RuntimeError, OSError):
                self.kill(pod)
        with contextlib.suppress(RuntimeError):
            ip("netns", "del", self.netns)
        for path in sorted(self.tree.rglob("*"), reverse=True):
            if path.is_dir():
                _rmdir(path)
        _rmdir(self.tree)

    def sysctl(self, *settings: str) -> None:
        self.exec("sysctl", "-qw", *settings)

    def exec(self, *argv: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            ["ip", "netns", "exec", self.netns, *argv], input=stdin, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def nft(self, rules: str) -> None:
        self.exec("nft", "-f", "-", stdin=rules)

    def cgroup(self, uid: str) -> Path:
        path = self.tree / "kubepods" / "burstable" / f"pod{uid}" / "c0"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def pod(self, name: str, *, running: bool = True, linked: bool = True) -> Pod:
        """A pod; without `running` nothing lives in it, without `linked` it has no network yet."""
        number = len(self.pods) + 1
        uid = f"{number:08x}-0000-4000-8000-{secrets.token_hex(6)}"
        pod = Pod(self, name, uid, f"10.77.{number // 200}.{number % 200 + 1}", f"fd77::{number:x}")
        self.pods.append(pod)
        ip("netns", "add", pod.netns)
        if running:
            pod.spawn("sleep", "infinity")
        if linked:
            self._link(pod)
        return pod

    def _link(self, pod: Pod) -> None:
        ip("link", "add", "eth0", "type", "veth", "peer", "name", pod.veth, "netns", self.netns, netns=pod.netns)
        for words in (
            "link set lo up",
            "link set eth0 up",
            f"addr add {pod.ipv4}/32 dev eth0",
            f"addr add {pod.ipv6}/128 dev eth0 nodad",
            f"route add {GATEWAY4} dev eth0 scope link",
            f"route add default via {GATEWAY4} dev eth0",
            f"-6 route add default via {GATEWAY6} dev eth0",
        ):
            ip(*words.split(), netns=pod.netns)
        for words in (
            f"link set {pod.veth} up",
            f"addr add {GATEWAY4}/32 dev {pod.veth}",
            f"addr add {GATEWAY6}/64 dev {pod.veth} nodad",
            f"route add {pod.ipv4}/32 dev {pod.veth}",
            f"-6 route add {pod.ipv6}/128 dev {pod.veth}",
        ):
            ip(*words.split(), netns=self.netns)

    def kill(self, pod: Pod) -> None:
        """The pod and its network are gone."""
        for process in pod.processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        pod.processes.clear()
        with contextlib.suppress(RuntimeError):
            ip("netns", "del", pod.netns)

    def link_counters(self, pod: Pod) -> tuple[int, int]:
        """(bytes, packets) of the host's end of the pod's veth, both directions, L2."""
        base = f"/sys/class/net/{pod.veth}/statistics"
        text = self.exec("cat", *(f"{base}/{d}_{w}" for d in ("rx", "tx") for w in ("bytes", "packets")))
        values = [int(v) for v in text.split()]
        return values[0] + values[2], values[1] + values[3]


def _rmdir(path: Path) -> None:
    def empty() -> bool:
        try:
            path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    with contextlib.suppress(AssertionError):
        wait_for(empty, f"rmdir {path}", 3)


@contextlib.contextmanager
def bpffs() -> Iterator[Path]:
    """A bpffs of its own, in the mount namespace of a process that is gone afterwards, and with it all that was pinned."""
    script = "mount -t bpf bpf /sys/fs/bpf && echo ready && exec sleep infinity"
    holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        yield Path(f"/proc/{holder.pid}/root/sys/fs/bpf")
    finally:
        holder.kill()
        holder.communicate()


@contextlib.contextmanager
def node() -> Iterator[Node]:
    with Node() as n:
        yield n
