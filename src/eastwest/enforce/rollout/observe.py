"""Looks at a rollout: the store's records and books, the inventory's pods, and what nodes say is in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from eastwest.enforce.rollout.gates import BrokenFlow, Observation, TcpHealth, Unready, Watched
from eastwest.enforce.rollout.machine import State
from eastwest.enforce.rollout.missing import missing_rules
from eastwest.model.cluster import ClusterState, Pod
from eastwest.policy.options import Options
from eastwest.query.coverage.accounts import coverage
from eastwest.query.coverage.node import Node
from eastwest.query.denials import DeniedFlow, denied_flows, tcp
from eastwest.store.protocol import Store
from eastwest.store.questions import Range

AGENT_ENDED: Final = "agent_ended"  # cause of loss: what waited in the memory of an agent that was killed
TCP_BASELINE_NS: Final = 60_000_000_000
TERMINATED: Final = ("Succeeded", "Failed")


class Cluster(Protocol):
    """The cluster's objects over time."""

    def state_at(self, at_ns: int) -> ClusterState:
        """The whole cluster at one moment."""


class InForce(Protocol):
    """What nodes say of their plans."""

    def unrealised(self, node: str) -> str | None:
        """None when the newest plan of the present settings is in force on the node; else why not, in words."""


@dataclass(slots=True)
class Observer:
    """Asks everybody once per look. Raises StoreError."""

    store: Store
    cluster: Cluster
    in_force: InForce
    clock: Callable[[], int]
    options: Callable[[], Options] = Options  # how policies are evaluated at present
    _before: tuple[int, ClusterState] | None = field(default=None, repr=False)

    def nodes(self) -> list[str]:
        """The cluster's nodes now."""
        return sorted(node.name for node in self.cluster.state_at(self.clock()).nodes)

    def namespaces(self) -> list[str]:
        """The cluster's namespaces now."""
        return sorted(n.name for n in self.cluster.state_at(self.clock()).namespaces)

    def observe(self, state: State) -> Observation:
        """What there is to see of a rollout now."""
        now_ns = self.clock()
        cluster = self.cluster.state_at(now_ns)
        nodes = _concerned(state, sorted(node.name for node in cluster.nodes))
        since, namespaces = Range(state.step_ns, max(now_ns, state.step_ns + 1)), state.request.namespaces
        books = _books(self.store, since, now_ns, nodes)
        return Observation(
            now_ns,
            watched_ns=_watched(state, nodes, books),
            unrealised=tuple((n, why) for n in nodes if (why := self.in_force.unrealised(n)) is not None),
            flows=self._flows(state, since, cluster),
            unready=self._unready(state, cluster, now_ns),
            tcp_before=self._tcp(Range(since.start_ns - max(state.request.hold_ns, TCP_BASELINE_NS), since.start_ns), namespaces),
            tcp_now=self._tcp(since, namespaces),
            nodes=tuple(watched(name, books.get(name)) for name in nodes),
        )  # fmt: skip

    def _tcp(self, range_: Range, namespaces: tuple[str, ...]) -> TcpHealth:
        found = tcp(self.store, range_, namespaces)
        return TcpHealth(found.segments, found.retransmits, found.attempts, found.failures)

    def _flows(self, state: State, since: Range, cluster: ClusterState) -> tuple[BrokenFlow, ...]:
        lookback = Range(max(0, since.start_ns - state.request.lookback_ns), since.start_ns)
        found = denied_flows(self.store, since, lookback, state.request.namespaces)
        missing = dict(zip(found, missing_rules(cluster, found, self.options()), strict=True))
        return tuple(_broken(flow, missing[flow]) for flow in found)

    def _unready(self, state: State, cluster: ClusterState, now_ns: int) -> tuple[Unready, ...]:
        """Pods of the moved cells: ready before the step and not now, or begun since and not ready for too long."""
        suspects = [p for p in cluster.pods if p.uid and p.ready is False and _moved(state, p)]
        if not suspects:
            return ()
        before = {p.uid: p.ready for p in self._before_step(state).pods}
        new = [p for p in suspects if p.uid not in before]
        old = {p.uid for p in self.cluster.state_at(now_ns - state.request.patience_ns).pods} if new else set()
        failing = [Unready(p.namespace, p.name, p.node or "") for p in suspects if before.get(p.uid)]
        stuck = [Unready(p.namespace, p.name, p.node or "", new=True) for p in new if p.uid in old]
        return (*failing, *stuck)

    def _before_step(self, state: State) -> ClusterState:
        if self._before is None or self._before[0] != state.step_ns:
            self._before = (state.step_ns, self.cluster.state_at(state.step_ns - 1))
        return self._before[1]


def _concerned(state: State, nodes: list[str]) -> list[str]:
    """Nodes that the steps in force have moved; before the first one, all that will be."""
    steps = state.steps[: state.applied] or state.steps
    return [n for n in nodes if any(step.nodes is None or n in step.nodes for step in steps)]


def _moved(state: State, pod: Pod) -> bool:
    """Whether a step in force covers a pod that should run."""
    steps = state.steps[: state.applied]
    running = pod.node is not None and pod.phase not in TERMINATED
    return running and any(step.covers(pod.namespace, pod.node or "") for step in steps)


def _books(store: Store, since: Range, now_ns: int, nodes: list[str]) -> dict[str, Node]:
    """Coverage by the node's own name (it is written cluster/node where a store holds several clusters)."""
    return {n.node.rpartition("/")[2]: n for n in coverage(store, since, now_ns, nodes).nodes}


def watched(name: str, books: Node | None) -> Watched:
    """What the coverage gate asks of a node. Windows that ended with their agent are declared, are no time that was watched,
    and are nothing that a policy did: they delay a step and do not fail it (decision 0146)."""
    if books is None or books.hook_bytes is None or books.recorded_bytes is None:
        return Watched(name, None, books.last_window_end_ns if books else None)
    happened = books.hook_bytes - books.lost.get(AGENT_ENDED, {"bytes": 0})["bytes"]
    return Watched(name, books.recorded_bytes / happened if happened else None, books.last_window_end_ns)


def _watched(state: State, nodes: list[str], books: dict[str, Node]) -> int:
    """The least time, over the nodes, that was watched since the step was in force; gaps do not count."""
    if state.realised_ns is None:
        return 0
    start = state.realised_ns

    def of(node: Node | None) -> int:
        if node is None or node.last_window_end_ns is None:
            return 0
        end = node.last_window_end_ns
        gaps = sum(max(0, min(b, end) - max(a, start)) for a, b in node.gaps_ns)
        return max(0, end - start - gaps)

    return min((of(books.get(name)) for name in nodes), default=0)


def _broken(flow: DeniedFlow, missing: str) -> BrokenFlow:
    return BrokenFlow(
        flow.src,
        flow.dst,
        flow.protocol,
        flow.port,
        "; ".join(flow.reasons) or "a reason that was not recorded",
        flow.denied,
        flow.would_deny,
        flow.connections,
        flow.cells,
        flow.seen_connections,
        flow.last_seen_ns,
        missing,
    )
