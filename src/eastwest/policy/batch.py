"""Many connections at once: columns in, columns out, each distinct question decided once. Replay stands on this."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eastwest.model.flow import Direction
from eastwest.policy.decision import Decision, Tier
from eastwest.policy.ends import Ends
from eastwest.policy.engine import OWN_ADDRESS, OWN_NODE, Engine

Finder = Callable[[NDArray[np.int64]], NDArray[np.integer]]
_CHUNK = 1 << 20  # rows at a time: temporaries stay in cache and out of the peak
_DENSE = 1 << 25  # up to so many possible questions a table finds the answer, above it a search does


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
    """Decide n connections; `ports` are those of the backend, 0 for protocols without ports."""
    reasons: dict[Decision, int] = {}
    exempt = [
        reasons.setdefault(Decision("allow", Tier.EXEMPT, d, exemption=text), len(reasons))
        for text in (OWN_ADDRESS, OWN_NODE)
        for d in (Direction.EGRESS, Direction.INGRESS)
    ]
    services = np.unique(_service(protocols, ports))
    n_ids, n_services = len(engine.identities), max(len(services), 1)
    questions = np.empty(len(src), np.int64)
    for rows in _slices(len(src)):
        service = np.searchsorted(services, _service(protocols[rows], ports[rows]))
        questions[rows] = (src.identity[rows].astype(np.int64) * n_ids + dst.identity[rows]) * n_services + service
    find, asked = _finder(questions, n_ids * n_ids * n_services)
    answers = np.array([_answer(engine, int(q), services, reasons) for q in asked], np.int32).reshape(-1, 2)
    egress, ingress = np.empty(len(src), np.int32), np.empty(len(src), np.int32)
    for rows in _slices(len(src)):
        where = find(questions[rows])
        egress[rows], ingress[rows] = answers[where, 0], answers[where, 1]
    if engine.options.self_traffic == "allow":
        own = (src.pod >= 0) & (src.pod == dst.pod)
        egress[own], ingress[own] = exempt[0], exempt[1]
    for node, pod in ((src, dst), (dst, src)):
        mine = _own_node(engine, node, pod)
        egress[mine], ingress[mine] = exempt[2], exempt[3]
    allows = np.array([r.allowed for r in reasons], np.bool_)
    return DecisionColumns(allows[egress] & allows[ingress], egress, ingress, tuple(reasons))


def _slices(n: int) -> Iterator[slice]:
    return (slice(i, i + _CHUNK) for i in range(0, n, _CHUNK))


def _service(protocols: NDArray[np.integer], ports: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Protocol and port in one number."""
    out: NDArray[np.uint32] = protocols.astype(np.uint32) << np.uint32(16) | ports.astype(np.uint32)
    return out


def _finder(questions: NDArray[np.int64], possible: int) -> tuple[Finder, NDArray[np.int64]]:
    """The distinct questions, and how to find the position of each among them."""
    if possible > _DENSE:
        asked = np.unique(questions)
        return (lambda q: np.searchsorted(asked, q)), asked
    seen = np.zeros(possible, np.bool_)
    seen[questions] = True
    asked = np.flatnonzero(seen)
    position = np.empty(possible, np.int32)
    position[asked] = np.arange(len(asked), dtype=np.int32)
    return (lambda q: position[q]), asked


def _answer(
    engine: Engine, question: int, services: NDArray[np.uint32], reasons: dict[Decision, int]
) -> tuple[int, int]:
    pair, service = divmod(question, len(services))
    src, dst = divmod(pair, len(engine.identities))
    protocol, port = divmod(int(services[service]), 1 << 16)
    egress, ingress = (
        next(s.decision for s in side if s.ports.contains(protocol, port))
        for side in engine.identity_segments(src, dst)
    )
    return reasons.setdefault(egress, len(reasons)), reasons.setdefault(ingress, len(reasons))


def _own_node(engine: Engine, node: Ends, pod: Ends) -> NDArray[np.bool_]:
    """Where one end is a node and the other a pod on it."""
    mine = (node.node >= 0) & (pod.node < 0) & (pod.pod >= 0)
    out = np.zeros(len(mine), np.bool_)
    if mine.any():
        out[mine] = engine.universe.pod_node[pod.pod[mine]] == node.node[mine]
    return out
