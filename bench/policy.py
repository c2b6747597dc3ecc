"""How fast the policy engine answers, beside network-config-analyzer on the same inputs.

    python bench/policy.py [--no-nca] [--quick]      prints a table, writes bench-results/policy.json

"after start" means: objects are parsed, Python and numpy are loaded. `_s` is wall time, the best of three runs where they
are short; `_cpu_s` is processor time, which says more on a machine that others use too; memory is the peak resident size
of the process that did it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from eastwest.k8s.manifests import load
from eastwest.model.cluster import ClusterState, ContainerPort, Namespace, Pod
from eastwest.model.flow import Workload
from eastwest.model.policy import (
    IpBlock,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
)
from eastwest.policy import Engine, decide_many
from eastwest.policy.connections import AllPairs, connections

sys.path[0] = str(Path(__file__).parent.parent)  # this folder would hide other modules
from bench.timed import timed  # noqa: E402

RESULTS = Path(__file__).parent.parent / "bench-results" / "policy.json"


def ring(n: int) -> list[dict[str, Any]]:
    """n Deployments, each with one policy: its neighbour may come in on its port, it may go out to the next and DNS."""
    out: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ring"}}]
    for i in range(n):
        labels = {"app": f"w{i}"}
        containers = [{"name": "c", "image": "i", "ports": [{"containerPort": 8000 + i}]}]
        template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
        out.append(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": f"w{i}", "namespace": "ring"},
                "spec": {"selector": {"matchLabels": labels}, "template": template},
            }
        )
        before, after = ({"podSelector": {"matchLabels": {"app": f"w{(i + d) % n}"}}} for d in (-1, 1))
        out.append(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": f"w{i}", "namespace": "ring"},
                "spec": {
                    "podSelector": {"matchLabels": labels},
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [{"from": [before], "ports": [{"port": 8000 + i}]}],
                    "egress": [
                        {"to": [after], "ports": [{"port": 8000 + (i + 1) % n}]},
                        {"to": [{"ipBlock": {"cidr": f"203.0.{i % 256}.0/24"}}], "ports": [{"port": 443}]},
                    ],
                },
            }
        )
    return out


def large(n_workloads: int, replicas: int, n_policies: int) -> ClusterState:
    """Workloads with replicas in 50 namespaces, pods with addresses, policies with two selectors, a CIDR and DNS."""
    spaces = [Namespace(f"n{i}", {"kubernetes.io/metadata.name": f"n{i}", "team": f"t{i % 7}"}) for i in range(50)]
    pods = []
    for w in range(n_workloads):
        owner = Workload(f"n{w % 50}", "Deployment", f"w{w}")
        labels = {"app": f"w{w}", "tier": f"t{w % 5}"}
        for r in range(replicas):
            k = w * replicas + r
            ip = f"10.{k >> 16}.{k >> 8 & 255}.{k & 255}"
            port = (ContainerPort(8080, name="http"),)
            pods.append(Pod(owner.namespace, f"w{w}-{r}", owner, labels=labels, ips=(ip,), ports=port, uid=str(k)))
    policies = tuple(_policy(i, n_workloads) for i in range(n_policies))
    return ClusterState(tuple(spaces), pods=tuple(pods), network_policies=policies)


def _policy(i: int, n: int) -> NetworkPolicy:
    w = i % n

    def app(x: int) -> LabelSelector:
        return LabelSelector((("app", f"w{x % n}"),))

    team = LabelSelector((("team", f"t{i % 7}"),))
    web, dns = NetworkPolicyPort("TCP", "http"), NetworkPolicyPort("UDP", 53)
    everywhere = LabelSelector()
    ingress = (
        NetworkPolicyRule((NetworkPolicyPeer(app(w - 1), everywhere), NetworkPolicyPeer(None, team)), (web,)),
        NetworkPolicyRule((NetworkPolicyPeer(app(w + 3), everywhere),), (NetworkPolicyPort("TCP", 9000, 9010),)),
    )
    egress = (
        NetworkPolicyRule((NetworkPolicyPeer(app(w + 1), everywhere),), (web,)),
        NetworkPolicyRule((NetworkPolicyPeer(ip_block=IpBlock(f"198.18.{i % 256}.0/24")),), None),
        NetworkPolicyRule((NetworkPolicyPeer(None, everywhere),), (dns,)),
    )
    return NetworkPolicy(f"n{w % 50}", f"p{i}", app(w), ("Ingress", "Egress"), ingress, egress)


def in_process(work: Callable[..., dict[str, float]], *args: Any) -> dict[str, float]:
    """Run in a fresh process, so that the peak memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_with_peak, (work, args))


def _with_peak(work: Callable[..., dict[str, float]], args: tuple[Any, ...]) -> dict[str, float]:
    out = work(*args)
    return out | {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def ring_figures(n: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "ring.yaml").write_text(yaml.safe_dump_all(ring(n)))
        parse = timed("parse", lambda: load(folder))
        state, problems = load(folder)
    assert not [p for p in problems if p.severity == "error"]
    rows = [0]

    def all_connections() -> None:
        rows[0] = sum(1 for _ in connections(Engine(state)))

    return parse | timed("connections", all_connections) | {"rows": rows[0]}


def large_figures() -> dict[str, float]:
    state = large(1000, 10, 1000)
    engine = Engine(state)
    pairs = [0]

    def all_pairs() -> None:
        found = AllPairs(engine)
        pairs[0] = sum(int((found.to_workloads(i) != 0).sum()) for i in range(len(found.workloads)))

    asked = [(engine.ends.pod_at(i), engine.ends.pod_at((i * 7919 + 13) % 10_000)) for i in range(0, 10_000, 10)]
    first = timed("thousand_pairs", lambda: [engine.decide(s, d, 6, 8080).reason for s, d in asked], 1)
    again = timed("thousand_pairs_again", lambda: [engine.decide(s, d, 6, 8080).reason for s, d in asked])
    return (
        timed("compile", lambda: Engine(state))
        | timed("all_pairs", all_pairs)
        | {"workload_pairs": pairs[0], "identities": len(engine.identities)}
        | timed("compile_and_list", lambda: sum(1 for _ in connections(Engine(state))))
        | first
        | again
    )


def batch_figures(n: int) -> dict[str, float]:
    engine = Engine(large(1000, 10, 1000))
    rng = np.random.default_rng(1)
    edges = rng.integers(0, 10_000, (20_000, 2))
    chosen = edges[rng.integers(0, len(edges), n)]
    raw = np.zeros((10_000, 16), np.uint8)
    raw[:, 10:12] = 255
    raw[:, 12] = 10
    raw[:, 13:16] = np.stack([np.arange(10_000) >> s & 255 for s in (16, 8, 0)], axis=1)
    protocols, ports = np.full(n, 6, np.uint8), rng.choice([8080, 9000, 53], n).astype(np.uint16)
    unknown = np.full(n, -1, np.int32)
    allowed = [0]

    def replay() -> None:
        src, dst = (engine.ends.columns(unknown, raw[chosen[:, side]]) for side in (0, 1))
        allowed[0] = int(decide_many(engine, src, dst, protocols, ports).allowed.sum())

    return {"rows": n} | timed("total", replay, 2) | {"allowed": allowed[0]}


def nca_figures(n: int) -> dict[str, float]:
    import subprocess
    import sys

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "ring.yaml").write_text(yaml.safe_dump_all(ring(n)))
        script = Path(sys.executable).parent / "nca"
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [script, "--connectivity", folder, "-r", folder, "-n", folder]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
        assert "final fw rules" in done.stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"connections_s": time.perf_counter() - start, "cpu_s": cpu_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-nca", action="store_true")
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    args = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    for n in (20, 60, 120, 240):
        results[f"ring {n}: eastwest"] = in_process(ring_figures, n)
        if not args.no_nca and (n <= 60 or not args.quick):
            results[f"ring {n}: network-config-analyzer (whole process)"] = nca_figures(n)
    if not args.quick:
        results["10,000 pods, 1,000 policies"] = in_process(large_figures)
        results["10 M flow rows"] = in_process(batch_figures, 10_000_000)
    for name, figures in results.items():
        print(f"{name:52} " + "  ".join(f"{k} {v:,.4g}" for k, v in figures.items()))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
