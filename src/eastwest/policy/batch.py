"""Many connections at once: columns in, columns out, each distinct question decided once. Replay stands on this."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eastwest.model.flow import Direction
from eastwest.policy.decision import Decision, Tier
from eastwest.policy.ends import Ends
from eastwest.policy.engine import OWN_ADDRESS, OWN_NODE, Engine

_BITS = np.uint64(20)
_MAX_IDENTITIES = 1 << 20
_CHUNK = 1 << 20  # rows at a time: temporaries stay in cache and out of the peak


@dataclass(frozen=True, slots=True)
class DecisionColumns:
    """Shapes (n,): allowed; egress and ingress are positions in `reasons`."""

    allowed: NDArray[np.bool_]
    egress: NDArray[np.int32]
    ingress: NDArray[np.int32]
    reasons: tuple[Decision, ...]


def decide_many(
    engine: Engine, src: Ends, dst: Ends, protocols: NDArray[np.integer], ports: NDArray[np.integer]
) -> DecisionColumns:
    """Decide n connections; `ports` are those of the backend, 0 for protocols without ports.

    Raises OverflowError for a cluster with more than 2**20 identities.
    """
    if len(engine.identities) > _MAX_IDENTITIES:
        raise OverflowError(f"{len(engine.identities)} identities, at most {_MAX_IDENTITIES} supported")
    reasons: dict[Decision, int] = {}
    exempt = [
        reasons.setdefault(Decision("allow", Tier.EXEMPT, d, exemption=text), len(reasons))
        for text in (OWN_ADDRESS, OWN_NODE)
        for d in (Direction.EGRESS, Direction.INGRESS)
    ]
    slices = [slice(i, i + _CHUNK) for i in range(0, len(src), _CHUNK)]
    keys = [_keys(src, dst, protocols, ports, rows) for rows in slices]
    unique = np.unique(np.concatenate([np.unique(k) for k in keys])) if keys else np.empty(0, np.uint64)
    answers = np.array([_answer(engine, int(key), reasons) for key in unique], np.int32).reshape(-1, 2)
    egress, ingress = np.empty(len(src), np.int32), np.empty(len(src), np.int32)
    for rows, part in zip(slices, keys, strict=True):
        where = np.searchsorted(unique, part)
        egress[rows], ingress[rows] = answers[where, 0], answers[where, 1]
    if engine.options.self_traffic == "allow":
        own = (src.pod >= 0) & (src.pod == dst.pod)
        egress[own], ingress[own] = exempt[0], exempt[1]
    node = _own_node(engine, src, dst) | _own_node(engine, dst, src)
    egress[node], ingress[node] = exempt[2], exempt[3]
    allows = np.array([r.allowed for r in reasons], np.bool_)
    return DecisionColumns(allows[egress] & allows[ingress], egress, ingress, tuple(reasons))


def _keys(
    src: Ends, dst: Ends, protocols: NDArray[np.integer], ports: NDArray[np.integer], rows: slice
) -> NDArray[np.uint64]:
    """Identity, identity, protocol and port of some rows in one number."""
    out = src.identity[rows].astype(np.uint64) << _BITS | dst.identity[rows].astype(np.uint64)
    services: NDArray[np.uint64] = protocols[rows].astype(np.uint64) << np.uint64(16) | ports[rows].astype(np.uint64)
    return out << np.uint64(24) | services


def _answer(engine: Engine, key: int, reasons: dict[Decision, int]) -> tuple[int, int]:
    src, dst = key >> 44, key >> 24 & (_MAX_IDENTITIES - 1)
    protocol, port = key >> 16 & 0xFF, key & 0xFFFF
    egress, ingress = (
        next(s.decision for s in side if s.ports.contains(protocol, port))
        for side in engine.identity_segments(src, dst)
    )
    return reasons.setdefault(egress, len(reasons)), reasons.setdefault(ingress, len(reasons))


def _own_node(engine: Engine, node: Ends, pod: Ends) -> NDArray[np.bool_]:
    """Where one end is a node and the other a pod on it."""
    mine = (node.node >= 0) & (pod.node < 0) & (pod.pod >= 0)
    out = np.zeros(len(mine), np.bool_)
    out[mine] = engine.universe.pod_node[pod.pod[mine]] == node.node[mine]
    return out
