"""What the agent costs an application: the real agent that records with every hook, and one that enforces too, against none.

Both pods are on one node of two cores, so a packet between them runs four hooks and FORWARD, and agent, client and server share
the cores. A block holds four slices: without an agent, the same again (off/off is the noise), recording (every hook, the agent's
default options) and enforcing (`--enforce`, policies in force). A ratio is within one block, so what the machine does meanwhile
mostly cancels. Nodes track connections in all slices.

Starting an agent takes longer than a slice, so blocks are laid back to back: recording, off, off | enforcing … The two slices without
an agent are in the middle, which of them is "off" is drawn; the agent that ends one block begins the next, so each kind stands
before its block's off slices as often as behind them, and a drift of the machine cancels. No agent runs during an off slice.

A slice is as long as a window of the agent, so that each holds one drain, and an agent has had its load for a whole window before it
is measured. Windows are 1 s in both kinds, where a node that only records has 5 s: its fixed costs are counted five times.
Beside trips a second stand trips for each second of CPU that client and server really had: what others take away is not in it.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.load import WORKLOADS, Load, Slice, build, load
from bench.running import Running, in_force, plan_for, running

from agent.netlab import TRACK, Node, node
from agent.policy.planserver import PlanServer, serving

TICK_S = 1.0
WARM_S = 0.3
KINDS = {"recording": "every capture hook", "enforcing": "every hook, policies in force"}


@dataclass(frozen=True, slots=True)
class WithAgent:
    slice: Slice
    cpu_s: float  # of the agent


@dataclass(frozen=True, slots=True)
class Block:
    off: Slice
    again: Slice
    on: dict[str, WithAgent]  # by kind


Ratios = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Bench:
    net: Node
    server: PlanServer
    folder: Path
    tick_s: float = TICK_S

    @contextlib.contextmanager
    def agent(self, kind: str) -> Iterator[Running]:
        """In force, if it enforces."""
        enforcing = kind == "enforcing"
        options = ("--enforce", "--state", str(self.folder / "state")) if enforcing else ()
        self.server.said.clear()
        with running(self.net, self.server.url, self.folder, *options, tick_s=self.tick_s) as agent:
            if enforcing:
                in_force(self.server)
            yield agent

    def with_agent(self, kind: str, traffic: Load, slices: int) -> list[WithAgent]:
        with self.agent(kind) as agent, traffic.going(self.tick_s):
            return [self._one(agent, traffic) for _ in range(slices)]

    def _one(self, agent: Running, traffic: Load) -> WithAgent:
        cpu: list[float] = []
        found = traffic.measure(self.tick_s, lambda: cpu.append(agent.cpu_s()))
        return WithAgent(found, cpu[1] - cpu[0])

    def without(self, traffic: Load) -> tuple[Slice, Slice]:
        with traffic.going(WARM_S):
            off, again = random.sample([traffic.measure(self.tick_s), traffic.measure(self.tick_s)], 2)
        return off, again

    def blocks(self, traffic: Load, count: int) -> Iterator[Block]:
        """The agent between two blocks serves both."""
        kinds = random.sample(sorted(KINDS), 2)
        (before,) = self.with_agent(kinds[0], traffic, 1)
        for number in range(1, count + 1):
            off, again = self.without(traffic)
            here = self.with_agent(kinds[number % 2], traffic, 1 if number == count else 2)
            yield Block(off, again, {kinds[(number - 1) % 2]: before, kinds[number % 2]: here[0]})
            before = here[-1]


def ratios(
    blocks: int = 40, only: str = "", done: Callable[[Ratios], None] = lambda _: None, tick_s: float = TICK_S
) -> Ratios:
    """For each workload and kind the medians and quartiles over its blocks (two at least); see `figures`. `done` gets what there is
    after each block."""
    with tempfile.TemporaryDirectory() as name, node() as net, serving(folder := Path(name)) as server:
        net.nft(TRACK)
        net.sysctl("net.netfilter.nf_conntrack_tcp_timeout_time_wait=1")  # 13,000 a second would fill the table
        tool, a, b = build(folder), net.pod("a"), net.pod("b")
        server.put(plan_for(a, b))
        bench = Bench(net, server, folder, tick_s)
        workloads = [w for w in WORKLOADS if only in w.name]
        _say(
            f"{len(workloads)} workloads of {blocks} blocks: some {_estimate_s(bench, blocks) * len(workloads) / 60:.1f} min"
        )
        found: Ratios = {}
        for workload in workloads:
            with load(tool, a, b, workload) as traffic:
                measured: list[Block] = []
                began = time.monotonic()
                for block in bench.blocks(traffic, blocks):
                    measured.append(block)
                    _say(_progress(workload.name, measured, blocks, time.monotonic() - began))
                    if len(measured) > 1:
                        found |= {f"{workload.name}, {said}": figures(measured, kind) for kind, said in KINDS.items()}
                        done(found)
        return found


def _estimate_s(bench: Bench, blocks: int) -> float:
    """For one workload, after an agent of each kind was started once."""
    starts = []
    for kind in KINDS:
        with bench.agent(kind):  # the first of all compiles its modules
            pass
        began = time.monotonic()
        with bench.agent(kind):
            pass
        starts.append(time.monotonic() - began)
    return (blocks + 1) * (statistics.mean(starts) + 3 * bench.tick_s) + blocks * (WARM_S + 2 * bench.tick_s)


def _progress(name: str, measured: list[Block], blocks: int, took_s: float) -> str:
    block, left_s = measured[-1], took_s / len(measured) * (blocks - len(measured))
    kept = ", ".join(f"{kind} {block.on[kind].slice.rate / block.off.rate:.3f}" for kind in KINDS)
    control = block.again.rate / block.off.rate
    return f"{name}, block {len(measured)} of {blocks}: {kept}, off/off {control:.3f}; {left_s / 60:.1f} min left of it"


def _say(words: str) -> None:
    print(f"  {words}", file=sys.stderr, flush=True)


def figures(blocks: list[Block], kind: str) -> dict[str, float]:
    """`ratio`: trips a second, on/off, with its quartiles; `control`: off again/off; `cpu …`: the same for trips a second of the
    applications' CPU. `hook us` and `agent us`: CPU that a trip costs more for the applications, and that the agent takes; `packets`: of a
    trip, at one interface."""
    on = [b.on[kind].slice for b in blocks]
    agent_s = [b.on[kind].cpu_s for b in blocks]
    ratio = [s.rate / b.off.rate for s, b in zip(on, blocks, strict=True)]
    low, median, high = statistics.quantiles(ratio, n=4)
    per_trip = [(s.cpu_s / s.trips - b.off.cpu_s / b.off.trips) * 1e6 for s, b in zip(on, blocks, strict=True)]
    agent = statistics.mean(cpu / s.trips for cpu, s in zip(agent_s, on, strict=True)) * 1e6
    packets = sum(b.off.packets for b in blocks) / sum(b.off.trips for b in blocks)
    hook = statistics.median(per_trip)
    return {
        "ratio": round(median, 3),
        "ratio low quartile": round(low, 3),
        "ratio high quartile": round(high, 3),
        "control": round(statistics.median(b.again.rate / b.off.rate for b in blocks), 3),
        "cpu ratio": round(
            statistics.median(_per_cpu(s) / _per_cpu(b.off) for s, b in zip(on, blocks, strict=True)), 3
        ),
        "cpu control": round(statistics.median(_per_cpu(b.again) / _per_cpu(b.off) for b in blocks), 3),
        "rate": round(statistics.median(b.off.rate for b in blocks)),
        "CPU us a trip": round(statistics.median(b.off.cpu_s / b.off.trips for b in blocks) * 1e6, 2),
        "hook us a trip": round(hook, 2),
        "agent us a trip": round(agent, 2),
        "agent % of a core": round(100 * statistics.mean(c / s.seconds for c, s in zip(agent_s, on, strict=True)), 2),
        "packets a trip": round(packets, 2),
        "us a packet": round((hook + agent) / packets, 3) if packets else 0.0,
        "blocks": len(blocks),
    }


def _per_cpu(s: Slice) -> float:
    return s.trips / s.cpu_s
