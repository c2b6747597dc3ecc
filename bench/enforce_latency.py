"""How long a policy change takes until it is in force on the nodes: a lab, a server, enforcing agents; one policy that
changes its port again and again.

    sudo .venv/bin/python bench/enforce_latency.py [--changes 200] [--nodes 2]

Prints percentiles, writes bench-results/enforce_latency.json. Measured from the moment the object stands in the cluster's log
to the moment at which the node's agent says its tables are in force (both clocks are this machine's).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from eastwest.cli._stack import Plan, Stack
from eastwest.runtime.paths import run_dir

ROOT = Path(__file__).parent.parent
LIMIT_P99_MS = 100.0
NAME = "bench-enforce"


def policy(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "moving", "namespace": "bench"},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": port}]}],
        },
    }


def objects(nodes: int) -> list[dict[str, Any]]:
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 80}]}
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"p{i}", "namespace": "bench", "labels": {"app": f"p{i}"}},
            "spec": {"containers": [container]},
        }
        for i in range(5 * nodes)
    ]
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}, *pods, policy(80)]


def last_event_ns() -> int:
    log = run_dir() / "lab" / NAME / "watch.jsonl"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - (1 << 16)))
        return int(json.loads(file.read().splitlines()[-1])["at_ns"])


def settled(stack: Stack, at_ns: int) -> dict[str, Any]:
    while True:
        status = stack.get("/api/v1/enforcement")
        nodes = status["nodes"]
        if status["inventory_ns"] >= at_ns and all(n["version"] == n["realised_version"] for n in nodes):
            assert isinstance(status, dict)
            return status
        time.sleep(0.02)


def measure(stack: Stack, changes: int) -> list[float]:
    assert stack.lab is not None
    out = []
    for i in range(changes):
        stack.lab.apply_objects([policy(1000 + i)], wait=False)
        at_ns = last_event_ns()
        status = settled(stack, at_ns)
        out += [(n["since_ns"] - at_ns) / 1e6 for n in status["nodes"]]
        time.sleep(0.05)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=2)
    args = parser.parse_args()
    with Stack(Plan([], name=NAME, nodes=args.nodes, listen="127.0.0.1:0", enforce=True)) as stack:
        assert stack.lab is not None
        stack.lab.apply_objects(objects(args.nodes))
        stack.put("/api/v1/enforcement/namespaces/bench", mode="enforce")
        settled(stack, last_event_ns())
        found = np.array(measure(stack, args.changes))
    figures = {f"p{q}_ms": round(float(np.percentile(found, q)), 1) for q in (50, 90, 99)} | {"n": len(found)}
    figures["max_ms"] = round(float(found.max()), 1)
    print("  ".join(f"{k} {v}" for k, v in figures.items()), f"  (limit: p99 < {LIMIT_P99_MS:.0f} ms)")
    results = ROOT / "bench-results" / "enforce_latency.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
