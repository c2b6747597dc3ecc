"""What a connection costs at the full rate of new ones: each program by the kernel's own clock, the agent by its processor time,
with policies in force and without. These figures repeat on a busy machine, because nothing is compared with a rate. Windows are
1 s in both: at 10,000 connections a second the flow map of default size would be full after 3 s, and what finds it full costs otherwise.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from bench.load import WORKLOADS, Load, build, load
from bench.program_stats import Runs, counted, runs_of
from bench.running import in_force, plan_for, running

from agent.netlab import TRACK, Node, node
from agent.policy.planserver import PlanServer, serving

TICK_S = 1.0
WINDOWS = 5
ROUNDS = 3


def costs(rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """`connection`: one HTTP request on a connection of its own between two pods of a node, every hook on and policies in force.
    `verdicts`: what the same costs the agent more than without policies."""
    workload = next(w for w in WORKLOADS if w.kind == "http-new")
    with tempfile.TemporaryDirectory() as name, node() as net, serving(folder := Path(name)) as server:
        net.nft(TRACK)
        net.sysctl("net.netfilter.nf_conntrack_tcp_timeout_time_wait=1")
        tool, a, b = build(folder), net.pod("a"), net.pod("b")
        server.put(plan_for(a, b))
        with load(tool, a, b, workload) as traffic:
            traffic.during(1.0)
            enforcing = [_round(net, server, folder, traffic, enforce=True) for _ in range(rounds)]
            without = [_round(net, server, folder, traffic, enforce=False) for _ in range(rounds)]
    return {"connection": _merged(enforcing), "verdicts": _verdicts(enforcing, without)}


def _round(net: Node, server: PlanServer, folder: Path, traffic: Load, *, enforce: bool) -> dict[str, float]:
    options = ("--enforce", "--state", str(folder / "state")) if enforce else ()
    server.said.clear()
    cpu: list[float] = []
    runs: list[dict[str, Runs]] = []
    with running(net, server.url, folder, *options, tick_s=TICK_S) as agent:
        if enforce:
            in_force(server)

        def look() -> None:
            cpu.append(agent.cpu_s())
            runs.append(runs_of(agent))

        with counted(), traffic.going(TICK_S):
            found = traffic.measure(WINDOWS * TICK_S, look)
    before, after = runs
    spent = {n: Runs(r.count - before[n].count, r.ns - before[n].ns) for n, r in after.items() if n in before}
    ran = {n: r for n, r in spent.items() if r.count > found.trips / 2}  # not those of the tick
    figures = {f"{n} runs": r.count / found.trips for n, r in ran.items()}
    figures |= {f"{n} ns a run": r.ns / r.count for n, r in ran.items()}
    figures["programs us a connection"] = sum(r.ns for r in ran.values()) / found.trips / 1e3
    figures["agent us a connection"] = (cpu[1] - cpu[0]) / found.trips * 1e6
    figures["us a connection"] = figures["programs us a connection"] + figures["agent us a connection"]
    figures["agent % of a core"] = 100 * (cpu[1] - cpu[0]) / found.seconds
    figures["connections a second"] = found.rate
    figures["packets a connection"] = found.packets / found.trips
    return figures


def _merged(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(r[name] for r in rounds), 2) for name in rounds[0]}


def _verdicts(enforcing: list[dict[str, float]], without: list[dict[str, float]]) -> dict[str, float]:
    """Of a core at the rate that was reached, and at 13,000 connections a second."""
    more = _merged(enforcing)["agent us a connection"] - _merged(without)["agent us a connection"]
    return {
        "agent with policies, % of a core": _merged(enforcing)["agent % of a core"],
        "agent without, % of a core": _merged(without)["agent % of a core"],
        "connections a second": _merged(enforcing)["connections a second"],
        "verdicts % of a core at 13,000 a second": round(max(0.0, more) * 13_000 / 1e6 * 100, 2),
    }
