"""Measures the agent against its limits; prints a table and writes bench-results/agent.json. Needs root and quiet minutes.

    .venv/bin/python bench/agent.py [--blocks 40] [--skip throughput,process,burst]

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
        help="parts to leave out: program, drain, process, every hook, burst, throughput, enforcing",
    )
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("bench/agent.py needs root: network namespaces and eBPF", file=sys.stderr)
        return 2
    results = measure(set(args.skip.split(",")), args.blocks)
    target = ROOT / "bench-results" / "agent.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n")
    bad = show(results)
    print(f"\nwritten: {target.relative_to(ROOT)}")
    return 1 if bad else 0


def measure(skip: set[str], blocks: int) -> dict[str, Any]:
    from bench import agent_kernel, agent_process, agent_throughput

    parts = {
        "program": agent_kernel.program_ns,
        "drain": agent_kernel.drain_ms,
        "process": agent_process.at_100k_flows,
        "every hook": agent_process.every_hook_at_100k_flows,
        "burst": agent_process.burst,
        "throughput": lambda: agent_throughput.ratios(blocks),
        "enforcing": lambda: agent_throughput.ratios(blocks, enforcing=True),
    }
    found: dict[str, Any] = {
        "machine": {
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
            "load before": os.getloadavg()[0],
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
    }
    for name, part in parts.items():
        if name not in skip:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            found[name] = part()
    return found


def show(results: dict[str, Any]) -> bool:
    """Print the table; True when a limit is broken."""
    from bench.limits import limit_of, wanted

    broken = False
    titles = {
        "program": "per packet, ns beyond an empty program",
        "drain": "one tick at 100,000 flows and 5,000 edges, ms of CPU",
        "process": "the process at 100,000 flows per 5 s, map of 131,072",
        "every hook": "the same with TCP health, DNS and drops on; every packet is dropped, which is their worst case",
        "burst": "100 new pods at once",
        "throughput": "throughput with the hooks, of what it is without (median of paired blocks)",
        "enforcing": "the same, with policies in force for both pods",
    }
    for part, title in titles.items():
        if part not in results:
            continue
        print(f"\n{title}")
        for name, value in results[part].items():
            limit = limit_of("agent", part, name)
            past = limit is not None and value > limit
            broken |= past
            note = f"  (limit {limit:g}{', BROKEN' if past else ''})" if limit is not None else ""
            if isinstance(value, dict):
                note = (
                    f"  [{value['ratio low quartile']} … {value['ratio high quartile']}], off/off {value['control']}; "
                )
                note += f"for the same CPU {value['cpu ratio']} (off/off {value['cpu control']}); "
                share = wanted()[
                    "new connections" if "new" in name else "keep-alive" if "alive" in name else "request/response"
                ]
                note += f"{value['rate']} a second without, {value['blocks']} blocks; wanted ≥ {share:g}"
                value = value["ratio"]
            print(f"  {name:<34} {value:>10}{note}")
    return broken


if __name__ == "__main__":
    sys.exit(main())
