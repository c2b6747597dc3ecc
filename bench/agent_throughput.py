"""What the agent costs an application: the real agent with every hook and policies in force, against none.

Both pods are on one node of two cores, so a packet between them runs four hooks and FORWARD, and agent, client and server share
the cores. Each block holds three slices in random order (off, off again, on), each of them with the agent ended and, for "on",
started anew; a ratio is within one block, so what the machine does meanwhile mostly cancels. off/off is the noise. A slice is as
long as a window of the agent (1 s, where a node has 5 s), so that each holds one drain. Beside trips a second stand trips for
each second of CPU that client and server really had: what others take away is not in it. The client is stopped while hooks change.
Nodes track connections in all slices.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.load import WORKLOADS, Load, Slice, build, load
from bench.running import TRACK, in_force, plan_for, running

from agent.netlab import Node, node
from agent.policy.planserver import PlanServer, serving

TICK_S = 1.0


@dataclass(frozen=True, slots=True)
class Block:
    off: Slice
    again: Slice
    on: Slice
    agent_cpu_s: float  # during `on`


Ratios = dict[str, dict[str, float]]


def ratios(blocks: int = 40, only: str = "", done: Callable[[Ratios], None] = lambda _: None) -> Ratios:
    """For each workload the medians and quartiles over its blocks; see `figures`. `done` gets what there is after each."""
    with tempfile.TemporaryDirectory() as name, node() as net, serving(folder := Path(name)) as server:
        net.nft(TRACK)
        net.sysctl("net.netfilter.nf_conntrack_tcp_timeout_time_wait=1")  # 13,000 a second would fill the table
        tool, a, b = build(folder), net.pod("a"), net.pod("b")
        server.put(plan_for(a, b))
        found: Ratios = {}
        for workload in WORKLOADS:
            if only in workload.name:
                print(f"  {workload.name}, {blocks} blocks …", file=sys.stderr, flush=True)
                with load(tool, a, b, workload) as traffic:
                    traffic.during(1.0)
                    found[workload.name] = figures([_block(net, server, folder, traffic) for _ in range(blocks)])
                done(found)
        return found


def _block(net: Node, server: PlanServer, folder: Path, traffic: Load) -> Block:
    found: dict[str, Slice] = {}
    cpu = 0.0
    for kind in random.sample(["off", "again", "on"], 3):
        if kind == "on":
            found[kind], cpu = _with_agent(net, server, folder, traffic)
        else:
            found[kind] = traffic.during(TICK_S)
    return Block(found["off"], found["again"], found["on"], cpu)


def _with_agent(net: Node, server: PlanServer, folder: Path, traffic: Load) -> tuple[Slice, float]:
    server.said.clear()
    with running(net, server.url, folder, "--enforce", "--state", str(folder / "state"), tick_s=TICK_S) as agent:
        in_force(server)
        cpu: list[float] = []
        found = traffic.during(TICK_S, lambda: cpu.append(agent.cpu_s()))
    return found, cpu[1] - cpu[0]


def figures(blocks: list[Block]) -> dict[str, float]:
    """`ratio`: trips a second, on/off, with its quartiles; `control`: off again/off; `cpu …`: the same for trips a second of the
    applications' CPU. `hook us` and `agent us`: CPU that a trip costs more for the applications, and that the agent takes; `packets`: of a
    trip, at one interface."""
    ratio = [b.on.rate / b.off.rate for b in blocks]
    low, median, high = statistics.quantiles(ratio, n=4)
    per_trip = [(b.on.cpu_s / b.on.trips - b.off.cpu_s / b.off.trips) * 1e6 for b in blocks]
    agent = statistics.mean(b.agent_cpu_s / b.on.trips for b in blocks) * 1e6
    packets = sum(b.off.packets for b in blocks) / sum(b.off.trips for b in blocks)
    hook = statistics.median(per_trip)
    return {
        "ratio": round(median, 3),
        "ratio low quartile": round(low, 3),
        "ratio high quartile": round(high, 3),
        "control": round(statistics.median(b.again.rate / b.off.rate for b in blocks), 3),
        "cpu ratio": round(statistics.median(_per_cpu(b.on) / _per_cpu(b.off) for b in blocks), 3),
        "cpu control": round(statistics.median(_per_cpu(b.again) / _per_cpu(b.off) for b in blocks), 3),
        "rate": round(statistics.median(b.off.rate for b in blocks)),
        "CPU us a trip": round(statistics.median(b.off.cpu_s / b.off.trips for b in blocks) * 1e6, 2),
        "hook us a trip": round(hook, 2),
        "agent us a trip": round(agent, 2),
        "agent % of a core": round(100 * statistics.mean(b.agent_cpu_s / b.on.seconds for b in blocks), 2),
        "packets a trip": round(packets, 2),
        "us a packet": round((hook + agent) / packets, 3) if packets else 0.0,
        "blocks": len(blocks),
    }


def _per_cpu(s: Slice) -> float:
    return s.trips / s.cpu_s
