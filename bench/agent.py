"""Measures the agent against its limits; prints a table and writes bench-results/agent.json. Needs root and quiet minutes.

    .venv/bin/python bench/agent.py [--blocks 40] [--skip 'throughput;process;burst']

Exit code 1 when a figure that repeats well (memory, CPU, burst) is past its limit; ratios are reported, not judged, because
a shared machine's noise is larger than the effect.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
# The tests' packets, namespaces and receiver are used; this folder leaves the path, or this file would hide tests/agent.
sys.path[0:1] = [str(ROOT / "tests"), str(ROOT)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=40, help="paired blocks of the throughput ratio (default: 40)")
    parser.add_argument(
        "--skip",
        default="",
        help="parts to leave out, between semicolons: program; drain; process; every hook; policies; "
        "policies, 10,000 flows; policies, 500 flows; burst; connection; throughput",
    )
    parser.add_argument("--only", default="", help="of the throughput workloads those whose name has this in it")
    args = parser.parse_args()
    if args.blocks < 2:
        parser.error("--blocks: two at least, for the quartiles")
    if os.geteuid() != 0:
        print("bench/agent.py needs root: network namespaces and eBPF", file=sys.stderr)
        return 2
    target = ROOT / "bench-results" / "agent.json"
    target.parent.mkdir(exist_ok=True)

    def keep(found: dict[str, Any]) -> None:
        """What was measured so far, also of a run that is cut."""
        target.write_text(json.dumps(found, indent=2) + "\n")

    bad = show(measure(set(args.skip.split(";")), args.blocks, args.only, keep))
    print(f"\nwritten: {target.relative_to(ROOT)}")
    return 1 if bad else 0


def measure(skip: set[str], blocks: int, only: str, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from bench import agent_connection, agent_kernel, agent_process, agent_throughput

    parts = {
        "program": agent_kernel.program_ns,
        "drain": agent_kernel.drain_ms,
        "process": agent_process.at_100k_flows,
        "every hook": lambda: agent_process.every_hook(policies=False),
        "policies": lambda: agent_process.every_hook(policies=True),
        "policies, 10,000 flows": lambda: agent_process.every_hook(10_000, policies=True),
        "policies, 500 flows": lambda: agent_process.every_hook(500, policies=True),
        "burst": agent_process.burst,
        "connection": agent_connection.costs,
        "verdicts": None,  # measured with "connection"
        "throughput": lambda: agent_throughput.ratios(blocks, only, lambda done: keep(found | {"throughput": done})),
    }
    found: dict[str, Any] = {
        "machine": {
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
            "load before": os.getloadavg()[0],
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": {},
        }
    }
    for name, part in parts.items():
        if part is not None and name not in skip:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            began, result = time.monotonic(), part()
            found |= result if name == "connection" else {name: result}
            found["machine"]["seconds"][name] = round(time.monotonic() - began)
            keep(found)
    return found


TITLES = {
    "program": "per packet, ns beyond an empty program",
    "drain": "one tick at 100,000 flows and 5,000 edges, ms of CPU",
    "process": "the process at 100,000 flows per 5 s, flows alone",
    "every hook": "with TCP health, DNS and drops too; every packet is dropped, which is their worst case",
    "policies": "with policies in force too, 100,000 flows per 5 s",
    "policies, 10,000 flows": "with policies, 10,000 flows per 5 s",
    "policies, 500 flows": "with policies, 500 flows per 5 s",
    "burst": "100 new pods at once",
    "connection": "a new connection between two pods of the node, every hook on and policies in force",
    "verdicts": "what policies cost the agent at the full rate of new connections",
    "throughput": "throughput with the agent of what it is without (median of paired blocks)",
}


def show(results: dict[str, Any]) -> bool:
    """Print the table; True when a limit is broken."""
    from bench.limits import judged, wanted

    broken = False
    for part, title in TITLES.items():
        if part not in results:
            continue
        print(f"\n{title}")
        for name, value in results[part].items():
            past, note = judged("agent", part, name, value)
            broken |= past
            if isinstance(value, dict):
                value, note = value["ratio"], _throughput(name, value, wanted())
            print(f"  {name:<52} {value:>10}{note}")
    return broken


def _throughput(name: str, found: dict[str, float], wanted: dict[str, float]) -> str:
    share = next((f"; wanted ≥ {least:g}" for word, least in wanted.items() if word in name), "")
    note = f"  [{found['ratio low quartile']} … {found['ratio high quartile']}], off/off {found['control']}; "
    note += f"for the same CPU {found['cpu ratio']} (off/off {found['cpu control']}); "
    note += f"{found['rate']} a second without; hooks {found['hook us a trip']} and agent {found['agent us a trip']} us a trip "
    return note + f"of {found['CPU us a trip']}, {found['blocks']} blocks{share}"


if __name__ == "__main__":
    sys.exit(main())
