"""Traffic between two pods of one node by bench/load.c: what is counted, and what it costs client and server."""

from __future__ import annotations

import mmap
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench.running import cpu_s

from agent.netlab import Pod

WARM_S = 0.05


@dataclass(frozen=True, slots=True)
class Workload:
    """`kind` is load.c's; `at_once`: connections at a time; `unit`: what one count is."""

    name: str
    kind: str
    at_once: int
    unit: str


WORKLOADS = (
    Workload("TCP request/response", "rr", 8, "round trips"),
    Workload("UDP request/response", "udp", 8, "round trips"),
    Workload("HTTP keep-alive", "http", 8, "requests"),
    Workload("HTTP new connections", "http-new", 8, "connections"),
    Workload("bulk TCP", "bulk", 1, "blocks of 64 KiB"),
)


@dataclass(frozen=True, slots=True)
class Slice:
    """One stretch of time. `packets` at the client's interface, both directions; a GSO packet is one."""

    seconds: float
    trips: int
    cpu_s: float
    packets: int

    @property
    def rate(self) -> float:
        return self.trips / self.seconds


@dataclass(frozen=True, slots=True)
class Load:
    """Client and server of one workload, the client stopped but while it is `going`."""

    client: subprocess.Popen[bytes]
    server: subprocess.Popen[bytes]
    counts: np.ndarray[tuple[int], np.dtype[np.uint64]]
    pod: Pod

    def during(self, seconds: float, also: Callable[[], object] = lambda: None) -> Slice:
        """Let it run for so long; `also` as in `measure`."""
        with self.going(WARM_S):
            return self.measure(seconds, also)

    @contextmanager
    def going(self, warm_s: float) -> Iterator[None]:
        """The client runs meanwhile, and has done so for `warm_s` when this yields."""
        self.client.send_signal(signal.SIGCONT)
        try:
            time.sleep(warm_s)
            yield
        finally:
            self.client.send_signal(signal.SIGSTOP)

    def measure(self, seconds: float, also: Callable[[], object] = lambda: None) -> Slice:
        """While it is going. `also` is called as the measured time begins, and again as it ends."""
        also()
        packets = _packets(self.client.pid)
        cpu, began, before = cpu_s(self.client.pid, self.server.pid), time.perf_counter(), int(self.counts.sum())
        time.sleep(seconds)
        trips, lasted = int(self.counts.sum()) - before, time.perf_counter() - began
        cpu = cpu_s(self.client.pid, self.server.pid) - cpu
        also()
        packets = _packets(self.client.pid) - packets
        return Slice(lasted, trips, cpu, packets)


def _packets(pid: int) -> int:
    """In and out at the interface of the process' pod. A file of a process: `ip netns exec` mounts, which takes seconds under load."""
    lines = (line.split() for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:])
    return sum(int(fields[2]) + int(fields[10]) for fields in lines if fields[0] != "lo:")


def build(folder: Path) -> Path:
    """Compile load.c. Raises CalledProcessError."""
    tool = folder / "load"
    source = Path(__file__).with_name("load.c")
    subprocess.run(["cc", "-O2", "-pthread", "-o", str(tool), str(source)], check=True)
    return tool


@contextmanager
def load(tool: Path, a: Pod, b: Pod, workload: Workload) -> Iterator[Load]:
    """`a` calls `b`."""
    port = str(9100 + WORKLOADS.index(workload))
    counts = tool.with_name(f"counts-{workload.kind}")
    server = b.spawn(str(tool), "server", workload.kind, port, stdout=-1)
    assert server.stdout is not None
    server.stdout.readline()
    client = a.spawn(str(tool), "client", workload.kind, b.ipv4, port, str(workload.at_once), str(counts), stdout=-1)
    assert client.stdout is not None
    client.stdout.readline()
    time.sleep(WARM_S)
    client.send_signal(signal.SIGSTOP)
    with counts.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
    yield Load(client, server, np.frombuffer(memory, np.uint64), a)
    for process in (client, server):
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
