"""How long it takes from policies to every node's plan: 1,000 pods on 20 nodes, 1,000 policies of 100 rules each.

    python bench/enforce.py [--profile]      prints a table, writes bench-results/enforce.json

`_s` is wall time, `_cpu_s` processor time, the best of three. The limit is in bench/limits.toml; exit code 1 past it.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import random
import sys
from pathlib import Path

from eastwest.enforce.compile import Compiler
from eastwest.enforce.modes import EVERY_NAMESPACE, Snapshot
from eastwest.model.cluster import ClusterState, ContainerPort, Namespace, Node, Pod
from eastwest.model.flow import Workload
from eastwest.model.plan import Mode, NodePlan
from eastwest.model.policy import (
    IpBlock,
    LabelSelector,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
)
from eastwest.policy import Engine

sys.path[0] = str(Path(__file__).parent.parent)  # this folder would hide other modules
from bench.limits import limit_of  # noqa: E402
from bench.timed import timed  # noqa: E402

RESULTS = Path(__file__).parent.parent / "bench-results" / "enforce.json"
NODES, SPACES = 20, 50


def cluster(n_pods: int = 1000, n_policies: int = 1000, n_rules: int = 100, seed: int = 1) -> ClusterState:
    """Every policy selects one workload of one pod; half its rules are ingress. One rule in ten is an ipBlock."""
    rng = random.Random(seed)  # noqa: S311 - a repeatable cluster, no secret
    nodes = tuple(Node(f"node-{i}", ips=(f"192.0.2.{i + 1}",), pod_cidrs=(f"10.0.{i * 8}.0/21",)) for i in range(NODES))
    spaces = tuple(
        Namespace(f"n{i}", {"kubernetes.io/metadata.name": f"n{i}", "team": f"t{i % 7}"}) for i in range(SPACES)
    )
    pods = tuple(_pod(i) for i in range(n_pods))
    policies = tuple(_policy(i, n_pods, n_rules, rng) for i in range(n_policies))
    return ClusterState(spaces, nodes, pods, network_policies=policies)


def _pod(i: int) -> Pod:
    owner = Workload(f"n{i % SPACES}", "Deployment", f"w{i}")
    labels = {"app": f"w{i}", "tier": f"t{i % 40}"}
    node, at = i % NODES, i // NODES
    ports = (ContainerPort(8080, name="http"),)
    ips = (f"10.0.{node * 8 + (at >> 8)}.{at & 255}", f"fd00:{node:x}::{at:x}")
    name = f"w{i}-0"
    return Pod(owner.namespace, name, owner, f"uid-{i}", labels, ips, f"node-{node}", ports=ports, phase="Running")


def _policy(i: int, n_pods: int, n_rules: int, rng: random.Random) -> NetworkPolicy:
    selects = LabelSelector((("app", f"w{i % n_pods}"),))
    half = [_rule(n_pods, k, rng) for k in range(n_rules)]
    return NetworkPolicy(
        f"n{i % n_pods % SPACES}",
        f"p{i}",
        selects,
        ("Ingress", "Egress"),
        tuple(half[: n_rules // 2]),
        tuple(half[n_rules // 2 :]),
    )


def _rule(n_pods: int, k: int, rng: random.Random) -> NetworkPolicyRule:
    if k % 10 == 9:
        peer = NetworkPolicyPeer(ip_block=IpBlock(f"198.{rng.randrange(18, 20)}.{rng.randrange(256)}.0/24"))
    elif k % 10 == 8:
        peer = NetworkPolicyPeer(LabelSelector((("tier", f"t{rng.randrange(40)}"),)), LabelSelector())
    else:
        peer = NetworkPolicyPeer(LabelSelector((("app", f"w{rng.randrange(n_pods)}"),)), LabelSelector())
    port: int | str = "http" if k % 10 == 7 else rng.randrange(1, 65000)
    return NetworkPolicyRule((peer,), (NetworkPolicyPort("TCP", port, port + 10 if k % 10 == 6 else None),))  # type: ignore[operator]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    state = cluster()
    everything = Snapshot().with_mode(EVERY_NAMESPACE, Mode.ENFORCE)

    def plans() -> dict[str, NodePlan]:
        return Compiler().compile(Engine(state), everything)

    gc.disable()  # as the planner does while it compiles
    if args.profile:
        profile = cProfile.Profile()
        profile.runcall(plans)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        return 0
    figures = timed("first", plans, 1) | timed("engine", lambda: Engine(state)) | timed("engine_and_plans", plans)
    made = plans()
    for name in ("identities", "cells", "ports", "reasons"):
        figures[f"{name}_all_nodes"] = sum(len(getattr(p, name)) for p in made.values())
    print("  ".join(f"{k} {v:,.4g}" for k, v in figures.items()))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2))
    most = limit_of("enforce", "plans", "cpu_s")
    past = most is not None and figures["engine_and_plans_cpu_s"] > most
    print(f"engine_and_plans_cpu_s: limit {most:g} s{', BROKEN' if past else ''}")
    return 1 if past else 0


if __name__ == "__main__":
    sys.exit(main())
