"""Which rule is missing for a flow that policies deny: the generator's own rules, as policies ready to apply. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eastwest.k8s.write import policy_text
from eastwest.model.cluster import ClusterState
from eastwest.model.flow import EndKind, ip_bytes
from eastwest.policy.engine import Engine
from eastwest.policy.evidence import Evidence, Outsider, Side
from eastwest.policy.options import Options
from eastwest.policy.replay.replay import Denied, Writer, judge
from eastwest.query.denials import DeniedFlow

_KINDS = {"node": EndKind.NODE, "aws": EndKind.AWS, "service": EndKind.SERVICE}


def missing_rules(cluster: ClusterState, flows: Sequence[DeniedFlow], options: Options) -> list[str]:
    """For each flow the YAML of the policies that would allow it; "" where none can, or it is allowed by now."""
    if not flows:
        return []
    pods = {str(p.workload): i for i, p in enumerate(cluster.pods) if not p.host_network}
    outsiders: list[Outsider] = []
    src, dst = (
        _side(cluster, pods, outsiders, [(getattr(f, side), getattr(f, f"{side}_ip")) for f in flows])
        for side in ("src", "dst")
    )
    count = len(flows)
    evidence = Evidence(
        src,
        dst,
        protocol=np.array([f.protocol for f in flows], np.uint8),
        port=np.array([f.port for f in flows], np.uint16),
        service_port=np.zeros(count, np.uint16),
        connections=np.ones(count, np.int64),
        established=np.ones(count, bool),
        directed=np.ones(count, bool),
        first_ns=np.zeros(count, np.int64),
        last_ns=np.zeros(count, np.int64),
        outsiders=tuple(outsiders),
        records=count,
    )
    found = judge(Engine(cluster, options), evidence)
    writer = Writer(found)
    return [_text(writer, flows[at], at) if found.denied[at] else "" for at in range(count)]


def _text(writer: Writer, flow: DeniedFlow, at: int) -> str:
    rules = writer.missing(at, *writer.ends(at))
    denied = Denied(flow.src, flow.dst, str(flow.protocol), flow.port, 1, "", established=True, missing=rules)
    return "---\n".join(map(policy_text, denied.missing_policies()))


def _side(cluster: ClusterState, pods: dict[str, int], outsiders: list[Outsider], ends: list[tuple[str, str]]) -> Side:
    """A pod stands for its workload: the one with the address, if it still has it."""
    pod, outsider = [], []
    for name, address in ends:
        exact = (i for i, p in enumerate(cluster.pods) if address in p.ips and str(p.workload) == name)
        at = next(exact, pods.get(name, -1))
        pod.append(at)
        outsider.append(-1 if at >= 0 else len(outsiders))
        if at < 0:
            kind, _, rest = name.partition(":")
            node = rest if kind == "node" else None
            outsiders.append(Outsider(_KINDS.get(kind, EndKind.INTERNET), address, node))
    addresses = np.frombuffer(b"".join(ip_bytes(address) for _, address in ends), np.uint8).reshape(-1, 16)
    return Side(np.array(pod, np.int32), np.array(outsider, np.int32), addresses)
