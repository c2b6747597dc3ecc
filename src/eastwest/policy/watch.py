"""How long and how completely each workload was watched: from its pods' lives and the coverage of its nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from eastwest.model.cluster import ClusterState
from eastwest.model.flow import Workload
from eastwest.policy.generate.report import Watch


def watched(
    lives: Mapping[str, Sequence[tuple[int, int]]],
    cluster: ClusterState,
    coverage: Mapping[str, Any] | None,
    start_ns: int,
) -> dict[Workload, Watch]:
    """Per workload of `cluster`: seconds in which at least one pod lived, pods, starts, and gaps of its nodes.

    lives: of each pod's UID its intervals [from, to) within the window, ns. coverage: the API's answer, or None.
    """
    general, by_node, known = _gaps(coverage)
    spans: defaultdict[Workload, list[tuple[int, int]]] = defaultdict(list)
    pods: defaultdict[Workload, int] = defaultdict(int)
    started: defaultdict[Workload, int] = defaultdict(int)
    gaps: defaultdict[Workload, set[str]] = defaultdict(set)
    for pod in cluster.pods:
        w = pod.workload
        gaps[w].update(general)
        if pod.uid is None:
            continue
        mine = lives.get(pod.uid, ())
        spans[w] += mine
        pods[w] += 1
        started[w] += bool(mine) and min(mine)[0] > start_ns
        gaps[w].update(by_node.get(pod.node or "", ()))
        if known and pod.node and pod.node not in known:
            gaps[w].add(f"node {pod.node} never reported")
    return {
        w: Watch(_covered(spans[w]) / 1e9, pods[w], started[w], tuple(sorted(missing))) for w, missing in gaps.items()
    }


def _gaps(coverage: Mapping[str, Any] | None) -> tuple[list[str], dict[str, list[str]], set[str]]:
    """(gaps of everything, gaps by node, nodes that are spoken of) of the API's coverage answer."""
    if coverage is None:
        return ["nothing says how complete the recording is (no coverage.json)"], {}, set()
    by_node: dict[str, list[str]] = {}
    nodes = [n for n in coverage.get("nodes") or () if isinstance(n, dict) and isinstance(n.get("node"), str)]
    for node in nodes:
        missing = _of_node(node)
        if missing:
            by_node[node["node"]] = missing
    if coverage.get("complete") is False and not by_node:
        return [str(s) for s in coverage.get("sentences") or ["the recording is incomplete"]], {}, set()
    return [], by_node, {n["node"] for n in nodes}


def _of_node(node: Mapping[str, Any]) -> list[str]:
    name = node["node"]
    out = []
    if node.get("state", "reporting") != "reporting":
        out.append(f"node {name} is {node['state']}")
    if node.get("gaps_ns"):
        out.append(f"node {name} was not heard for {len(node['gaps_ns'])} intervals")
    lost = node.get("lost")
    for cause, amount in lost.items() if isinstance(lost, dict) else ():
        if isinstance(amount, dict) and (amount.get("packets") or amount.get("bytes")):
            out.append(f"node {name} lost {amount.get('packets')} packets ({cause})")
    if node.get("folded_edges"):
        out.append(f"node {name}: {node['folded_edges']} edges beyond its budget have no name")
    if node.get("unexplained_packets") or node.get("unexplained_bytes"):
        out.append(f"node {name}: the books do not close")
    return out


def _covered(spans: list[tuple[int, int]]) -> int:
    """Length of the union."""
    total, until = 0, 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, until))
        until = max(until, end)
    return total
