"""What counting costs an application: round trips a second between two pods of one node, with and without the hooks.

Both pods are on one node, so a round trip runs four hooks. Each block holds three slices in random order (off, off again,
on); a ratio is within one block, so what the machine does meanwhile mostly cancels. off/off is the noise. Beside round trips a
second stand round trips for each second of CPU that client and server really had: what others take away is not in it. The client is
stopped while hooks change: a saturated machine would take seconds for each (a grace period of RCU).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from agent.netlab import Node, Pod, node
from bpf.policy_bench import ALLOW, DENY, ISOLATED, Plan, tables_of
from eastwest.agent.attach import Hook
from eastwest.agent.kernel import FlowKernel, Sizes
from eastwest.agent.netlink import list_links
from eastwest.agent.policy.entries import LocalPod
from eastwest.agent.policy.forward import ForwardHook
from eastwest.agent.policy.tables import Stance
from eastwest.model.plan import IdentityKind, Mode, Side

SLICE_S = 0.25
WORKLOADS = {
    "TCP request/response 64 B": (64, 64, 1),
    "HTTP keep-alive, 8 connections": (120, 1200, 8),
    "HTTP, 8 at a time, each one new": (120, 1200, -8),
}
"""Bytes asked, bytes answered, connections (negative: a new one for each round trip)."""
TRACK = "table ip track { chain c { type filter hook forward priority 0; ct state new accept; }; }"
CLONE_NEWNET = 0x40000000
CPUCLOCK_SCHED = 2
SIZES = Sizes(flows=131_072)
Rate = Callable[[Callable[[], None]], tuple[float, float]]


def ratios(blocks: int = 40, *, enforcing: bool = False) -> dict[str, dict[str, float]]:
    """For each workload the median of on/off, its quartiles, the median of off/off, and the rate without hooks.

    `enforcing`: each pod is isolated in both directions but for the other, and FORWARD is hooked. Conntrack is always on then.
    """
    with tempfile.TemporaryDirectory() as folder, node() as net:
        tool = Path(folder, "rr")
        subprocess.run(["cc", "-O2", "-pthread", "-o", str(tool), str(Path(__file__).with_name("rr.c"))], check=True)
        a, b = net.pod("a"), net.pod("b")
        if enforcing:
            net.nft(TRACK)
        return {
            name: _in_namespace(net, lambda s=sizes: _measure(tool, folder, a, b, s, blocks, enforcing))
            for name, sizes in WORKLOADS.items()
        }


def _measure(
    tool: Path, folder: str, a: Pod, b: Pod, sizes: tuple[int, int, int], blocks: int, enforcing: bool
) -> dict[str, float]:
    request, response, connections = sizes
    hooks = _enforcing_hooks(a, b) if enforcing else _hooks()
    with _counting(tool, folder, a, b, request, response, connections) as rate, hooks as switch:
        found = [_block(rate, switch) for _ in range(blocks)]
    low, median, high = statistics.quantiles([b["on"][0] / b["off"][0] for b in found], n=4)
    return {
        "ratio": round(median, 3),
        "ratio low quartile": round(low, 3),
        "ratio high quartile": round(high, 3),
        "control": round(statistics.median(b["off again"][0] / b["off"][0] for b in found), 3),
        "cpu ratio": round(statistics.median(b["on"][1] / b["off"][1] for b in found), 3),
        "cpu control": round(statistics.median(b["off again"][1] / b["off"][1] for b in found), 3),
        "rate": round(statistics.median(b["off"][0] for b in found)),
        "blocks": blocks,
    }


def _block(rate: Rate, switch: Callable[[bool], None]) -> dict[str, tuple[float, float]]:
    """Three slices in random order, by name: (round trips a second, round trips a second of CPU)."""
    kinds = random.sample(["off", "off again", "on"], 3)
    return {kind: rate(lambda k=kind: switch(k == "on")) for kind in kinds}


@contextmanager
def _counting(tool: Path, folder: str, a: Pod, b: Pod, request: int, response: int, connections: int) -> Iterator[Rate]:
    """Traffic from a to b; yields a function that changes something in silence, then measures one slice's round trips."""
    port, counts = str(9100 + connections), Path(folder, f"counts{connections}")
    server = b.spawn(str(tool), "server", port, str(request), str(response), stdout=-1)
    assert server.stdout is not None
    server.stdout.readline()
    words = ("client", b.ipv4, port, str(request), str(response), str(connections), str(counts))
    client = a.spawn(str(tool), *words, stdout=-1)
    assert client.stdout is not None
    client.stdout.readline()
    with counts.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
    values = np.frombuffer(memory, np.uint64)

    def rate(prepare: Callable[[], None]) -> tuple[float, float]:
        client.send_signal(signal.SIGSTOP)
        prepare()
        client.send_signal(signal.SIGCONT)
        time.sleep(0.03)
        cpu, began, before = _cpu_s(client.pid, server.pid), time.perf_counter(), int(values.sum())
        time.sleep(SLICE_S)
        trips = int(values.sum()) - before
        return trips / (time.perf_counter() - began), trips / (_cpu_s(client.pid, server.pid) - cpu)

    yield rate
    for process in (client, server):
        process.kill()
        process.wait()


def _cpu_s(*pids: int) -> float:
    """Time on a CPU of all their threads, those that have ended too: clock_getcpuclockid(3)."""
    return sum(time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED) for pid in pids) / 1e9


@contextmanager
def _hooks() -> Iterator[Callable[[bool], None]]:
    """Yields a switch for the hooks of both pods' interfaces."""
    kernel, hooks = FlowKernel(SIZES), list[Hook]()
    links = [link.ifindex for link in list_links()]
    for ifindex in links:
        kernel.add_interface(ifindex, held=False)

    def switch(wanted: bool) -> None:
        if wanted and not hooks:
            for ifindex in links:
                hooks.extend(kernel.attach(ifindex))
        while hooks and not wanted:
            hooks.pop().remove()

    with _drained(kernel):
        yield switch
    switch(False)
    kernel.close()


@contextmanager
def _drained(kernel: FlowKernel) -> Iterator[None]:
    """As an agent does, so that ended connections leave the map."""
    ended = threading.Event()

    def drain() -> None:
        while not ended.wait(0.5):
            kernel.drain(kernel.turn(), lambda _records: None)

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _enforcing_hooks(a: Pod, b: Pod) -> Iterator[Callable[[bool], None]]:
    """As `_hooks`, with a plan in force."""
    kernel, hooks, forward = FlowKernel(SIZES, enforcing=True), list[Hook](), list[ForwardHook]()
    index = {link.name: link.ifindex for link in list_links()}
    tables = tables_of(kernel)
    tables.switch(_plan({a.ipv4: index[a.veth], b.ipv4: index[b.veth]}).wanted(), Stance())
    for ifindex in index.values():
        kernel.add_interface(ifindex, held=False)

    def switch(wanted: bool) -> None:
        if wanted and not hooks:
            for ifindex in index.values():
                hooks.extend(kernel.attach(ifindex))
            forward.append(ForwardHook(kernel))
        while hooks and not wanted:
            hooks.pop().remove()
        while forward and not wanted:
            forward.pop().close()

    with _drained(kernel):
        yield switch
    switch(False)
    tables.close()
    kernel.close()


def _plan(interface_of: dict[str, int]) -> Plan:
    """Pod n has identity n and tables 2n and 2n + 1; only the other one may talk to it."""
    world = {"0.0.0.0/0": (9, IdentityKind.OTHER), "::/0": (9, IdentityKind.OTHER)}
    who = {address: (n, IdentityKind.POD) for n, address in enumerate(interface_of, 1)}
    pods = tuple(
        LocalPod(ifindex, Side(Mode.ENFORCE, 2 * n, ISOLATED), Side(Mode.ENFORCE, 2 * n + 1, ISOLATED), (address,))
        for n, (address, ifindex) in enumerate(interface_of.items(), 1)
    )
    cells = {(2 * n + side, 3 - n): 10 for n in (1, 2) for side in (0, 1)}
    return Plan({**world, **who}, {10: ((-1, -1, DENY, 1), (6, -1, ALLOW, 2))}, cells, pods, own=())


def _in_namespace(net: Node, work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Run in a thread that entered the node's namespace; the others stay where they are."""
    result: list[dict[str, float]] = []

    def inside() -> None:
        fd = os.open(f"/run/netns/{net.netns}", os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)
        result.append(work())

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    return result[0]
