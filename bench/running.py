"""The real agent on a test node as a node runs it: every hook, the policies of a server, its own windows, its own processor
time and memory. Its modules are compiled before, as in an installed package: compiling leaves 7 MiB behind in a process.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agent.netlab import Node, Pod, node, wait_for
from agent.policy.planserver import TOKEN, PlanServer, serving
from eastwest.model.flow import Direction
from eastwest.model.plan import NOBODY, Mode, NodePlan, PlanPod, Reason, Ruling, Side
from eastwest.wire.plan import sealed
from wire.factories_plan import cells, identities, ports

BYTECODE = Path(__file__).parent.parent / "bench-results" / "bytecode"
RANGES = ("10.77.0.0/16", "fd77::/64")
CPUCLOCK_SCHED = 2


@dataclass(frozen=True, slots=True)
class Running:
    process: subprocess.Popen[bytes]
    log: Path

    def words(self) -> str:
        return self.log.read_text()

    def cpu_s(self) -> float:
        return cpu_s(self.process.pid)

    def memory_mib(self) -> dict[str, float]:
        """VmRSS and VmHWM."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        pairs = (line.split(":") for line in lines if line.startswith(("VmRSS", "VmHWM")))
        return {name: round(int(value.split()[0]) / 1024, 1) for name, value in pairs}

    def map_mib(self) -> float:
        """What the kernel charges for the maps that the agent holds, each once."""
        sizes = {f["map_id"]: int(f["memlock"]) for f in self.descriptors() if {"map_id", "memlock"} <= f.keys()}
        return round(sum(sizes.values()) / 2**20, 1)

    def descriptors(self) -> Iterator[dict[str, str]]:
        """What /proc/PID/fdinfo says of each."""
        for file in Path(f"/proc/{self.process.pid}/fdinfo").iterdir():
            with contextlib.suppress(FileNotFoundError):
                lines = file.read_text().splitlines()
                yield {k: v.strip() for k, v in (line.split(":", 1) for line in lines if ":" in line)}


def cpu_s(*pids: int) -> float:
    """Time on a CPU of all their threads, those that have ended too: clock_getcpuclockid(3)."""
    return sum(time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in pids) / 1e9


@contextlib.contextmanager
def running(
    net: Node, url: str, folder: Path, *options: str, tick_s: float, every_hook: bool = True
) -> Iterator[Running]:
    """Recording when this yields. `every_hook`: raise RuntimeError when this kernel refuses one."""
    _compile()
    with _started(net, url, folder, *options, tick_s=tick_s) as found:
        if every_hook and "is refused" in found.words():
            raise RuntimeError(f"not every hook is on:\n{found.words()}")
        yield found


@contextlib.contextmanager
def _started(net: Node, url: str, folder: Path, *options: str, tick_s: float) -> Iterator[Running]:
    token, log = folder / "token", folder / f"agent-{os.urandom(3).hex()}.log"
    token.write_text(TOKEN)
    # Not `ip netns exec`: it mounts another /sys, without the cgroups of this one.
    argv = ["nsenter", f"--net=/run/netns/{net.netns}", "--", sys.executable, "-m", "eastwest", "agent"]
    argv += ["--node", "n1", "--cluster", "c1", "--token-file", str(token), "--server", url]
    argv += ["--tick", str(tick_s), "--cgroup", str(net.tree), *options]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stderr=out, env={**env, "PYTHONPYCACHEPREFIX": str(BYTECODE)})
    found = Running(process, log)
    try:
        wait_for(lambda: "recording" in found.words() or process.poll() is not None, "the agent is up", 60)
        if process.poll() is not None:
            raise RuntimeError(found.words())
        yield found
        process.terminate()
        if process.wait(30):
            raise RuntimeError(found.words())
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@cache
def _compile() -> None:
    """One agent for a moment, with traffic: what it imports is compiled for the next ones."""
    with tempfile.TemporaryDirectory() as name, node() as net, serving(folder := Path(name)) as server:
        a, b = net.pod("a"), net.pod("b")
        server.put(plan_for(a, b))
        b.server(80)
        options = ("--enforce", "--state", str(folder / "state"), "--listen", "127.0.0.1:7997")
        with _started(net, server.url, folder, *options, tick_s=0.3):
            in_force(server)
            a.run(f"import socket; s = socket.create_connection(({b.ipv4!r}, 80)); s.send(b'x'); s.recv(1)")
            time.sleep(1)


def plan_for(*pods: Pod, isolated: bool = True) -> NodePlan:
    """Each pod may talk to the others by TCP and UDP, and to nobody else. Not `isolated`: nothing is evaluated."""
    mode = Mode.ENFORCE if isolated else Mode.OFF
    local = tuple(
        PlanPod(p.uid, "shop", p.name, (p.ipv4, p.ipv6), Side(mode, 2 * n, 1), Side(mode, 2 * n + 1, 1))
        for n, p in enumerate(pods, 1)
    )
    words = tuple(
        Reason("NetworkPolicy", direction, ruling, "shop/all", 0 if ruling is Ruling.ALLOW else None)
        for direction in (Direction.INGRESS, Direction.EGRESS)
        for ruling in (Ruling.ALLOW, Ruling.DENY)
    )
    numbers = range(1, len(pods) + 1)
    plan = NodePlan(
        "n1",
        0,
        "",
        local,
        (NOBODY, *words),
        identities(("::/0", 0, 99), *((a, 1, n) for n, p in zip(numbers, pods, strict=True) for a in (p.ipv4, p.ipv6))),
        cells(*((2 * n + side, other, 2) for n in numbers for side in (0, 1) for other in numbers if other != n)),
        ports(
            (1, 0, 0, 0, Ruling.DENY, 2),
            (2, 0, 0, 0, Ruling.DENY, 2),
            *((2, p, 0, 8, Ruling.ALLOW, 1) for p in (6, 17)),
        ),
        RANGES,
        sources=("NetworkPolicy shop/all 1",),
    )
    return sealed(plan, 1 if isolated else 2)


def in_force(server: PlanServer) -> None:
    """Wait until the node says that every pod of the last plan is in force."""
    version = server.plans[-1].version

    def said() -> bool:
        return any(s.version == version and all(p.ingress is p.egress is None for p in s.pods) for s in server.said)

    wait_for(said, f"plan {version} is in force; said last: {server.said[-1:]}", 30)
