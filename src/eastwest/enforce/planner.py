"""Keeps every node's plan up to date: follows the inventory and the settings, compiles, versions, wakes who waits.

One thread compiles. The first change after a quiet time is compiled at once; while changes keep coming it rests as long
as a compilation takes, so a burst costs half a core at most and is answered with few plans. What cannot be put in force
holds only those whom it concerns (`enforce.holds`), and `trouble` names the object.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from eastwest.enforce import limits, refusals
from eastwest.enforce.compile import Compiler
from eastwest.enforce.holds import Arrangement, Hold, Holds
from eastwest.enforce.limits import RefusedError
from eastwest.enforce.modes import Snapshot
from eastwest.enforce.offers import Offers
from eastwest.enforce.refusals import Refused
from eastwest.enforce.settings import EnforcementSettings
from eastwest.enforce.versions import Versions
from eastwest.k8s.inventory import Present
from eastwest.model.cluster import ClusterState
from eastwest.model.plan import Limits, NodePlan
from eastwest.policy.engine import Engine
from eastwest.policy.kept import PolicySet
from eastwest.policy.options import Options
from eastwest.policy.universe import Universe
from eastwest.runtime.topic import Topic
from eastwest.wire.plan import sealed

log = logging.getLogger(__name__)

REST_MOST_S: Final = 1.0


class Inventory(Protocol):
    """The cluster as last heard of."""

    def present(self) -> Present: ...


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the newest state is not in all plans. policy: the object to change, None when it is not one policy's fault."""

    message: str
    policy: str | None
    since_ns: int


@dataclass(frozen=True)
class Planned:
    """One compilation that succeeded. inventory_ns: the newest event that it takes into account.

    policy_since: for each policy the version of each node's plan from which on it is in force as it is now, in the modes
    of now. holds: what could not be put in force, and how many pods keep earlier policies for each. frozen: nodes that keep
    their last plan as a whole (one that has none is not in `plans`), and why.
    """

    engine: Engine
    snapshot: Snapshot
    plans: Mapping[str, NodePlan]
    policy_since: Mapping[str, Mapping[str, int]]
    inventory_ns: int
    at_ns: int
    seconds: float
    holds: tuple[tuple[Hold, int], ...] = ()
    frozen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Asked:
    """What one compilation is made of."""

    state: ClusterState
    snapshot: Snapshot
    refused: tuple[Refused, ...]
    limits: Mapping[str, Limits]

    def same(self, other: _Asked) -> bool:
        return (self.snapshot, self.refused, self.limits) == (other.snapshot, other.refused, other.limits) and alike(
            self.state, other.state
        )


@dataclass(frozen=True)
class _Made:
    engine: Engine
    arrangement: Arrangement
    plans: Mapping[str, NodePlan]


@dataclass
class Counts:
    """For the server's metrics."""

    compilations: int = 0
    refused: int = 0
    seconds: float = 0.0
    plans: int = 0  # versions handed out


@dataclass
class Planner:
    """Inert until `start`. `news` tells, after each compilation, which nodes have a new plan."""

    inventory: Inventory
    settings: EnforcementSettings
    versions: Versions
    offers: Offers = field(default_factory=Offers)
    clock: Callable[[], int] = time.time_ns
    compiler: Compiler = field(default_factory=Compiler)
    news: Topic[frozenset[str]] = field(default_factory=Topic)
    counts: Counts = field(default_factory=Counts)
    planned: Planned | None = None
    trouble: Trouble | None = None
    _wake: threading.Event = field(default_factory=threading.Event, repr=False)
    _stopping: threading.Event = field(default_factory=threading.Event, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)
    _last: _Asked | None = field(default=None, repr=False)
    _holds: Holds = field(default_factory=Holds, repr=False)
    _limits: dict[str, Limits] = field(default_factory=dict, repr=False)

    def start(self) -> None:
        """The first compilation is done, or refused, when this returns."""
        self.settings.subscribe(lambda _: self.wake())
        self.compile()
        self._thread = threading.Thread(target=self._run, name="planner")
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.news.close()

    def wake(self) -> None:
        """Something may have changed. From any thread; returns at once."""
        self._wake.set()

    def capacity(self, node: str, told: Limits | None) -> None:
        """What a plan may need on a node, by its agent's word; None: it did not say. From any thread; returns at once."""
        if self._limits.get(node, limits.DEFAULT) != (told or limits.DEFAULT):
            self._limits = {**self._limits, node: told or limits.DEFAULT}
            self.wake()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._stopping.is_set():
                return
            began = time.monotonic()
            self.compile()
            self._stopping.wait(min(time.monotonic() - began, REST_MOST_S))

    def compile(self) -> None:
        """Bring plans up to date with the present inventory and settings. Only one thread at a time; never raises."""
        before = self.trouble
        try:
            self._compile()
            self.trouble = self._held()
        except Exception as error:
            log.exception("compiling policies")
            self.counts.refused += 1
            self._note(f"policies could not be compiled, the last plans stay: {type(error).__name__}: {error}")
        if self.trouble is not None and (before is None or before.message != self.trouble.message):
            log.warning("enforcement: %s", self.trouble.message)

    def _note(self, message: str) -> None:
        before = self.trouble
        same = before is not None and before.message == message
        self.trouble = before if same else Trouble(message, None, self.clock())

    def _held(self) -> Trouble | None:
        """What holds back some pods, the oldest first."""
        holds = self.planned.holds if self.planned is not None else ()
        if not holds:
            return None
        first, _ = holds[0]
        more = f" (and {len(holds) - 1} more)" if len(holds) > 1 else ""
        return Trouble(f"{first.message}; {first.scope}{more}", first.policy, first.since_ns)

    def _compile(self) -> None:
        snapshot, told = self.settings.snapshot(), self._limits  # before the inventory: a change in between wakes again
        present = self.inventory.present()
        asked = _Asked(present.state, snapshot, refusals.refused(present), told)
        last, planned = self._last, self.planned
        if planned is not None and last is not None and last.same(asked):
            self._last = asked
            self.planned = _at(planned, present.latest_ns)
            return
        began = time.perf_counter()
        with _no_collection():
            made, frozen = self._made(asked)
            plans = self._versioned(made.plans, frozen)
        seconds = time.perf_counter() - began
        changed = {n for n, p in plans.items() if planned is None or planned.plans.get(n) is not p}
        same_modes = last is not None and last.snapshot == snapshot
        since = _since(planned if same_modes else None, last.state if last else None, present.state, plans)
        holds = tuple(zip(self._holds.all(), made.arrangement.held, strict=True))
        self.planned = Planned(
            made.engine, snapshot, plans, since, present.latest_ns, self.clock(), seconds, holds, frozen
        )
        self._last = asked
        self._holds.before = PolicySet.of(made.arrangement.state)
        self.counts.compilations += 1
        self.counts.refused += bool(holds)
        self.counts.seconds += seconds
        self.counts.plans += len(changed)
        for node in changed:
            self.offers.put(plans[node])
        if changed:
            self.news.publish(frozenset(changed))

    def _made(self, asked: _Asked) -> tuple[_Made, dict[str, str]]:
        """Plans that fit, and the nodes (with the reason) whose plan does not count."""
        self._holds.refuse(asked.refused, self.clock())
        made = self._attempt(asked, nodes=False)
        errors = _too_large(made, asked.limits)
        self._holds.too_large(errors, self.clock())
        if errors:
            made = self._attempt(asked, nodes=True)
            errors = _too_large(made, asked.limits)
        return made, {**{node: str(error) for node, error in errors.items()}, **made.arrangement.frozen}

    def _attempt(self, asked: _Asked, *, nodes: bool) -> _Made:
        """One compilation under the present holds, with or without those of nodes whose plan does not fit."""
        options = Options(posture=asked.snapshot.postures)
        arrangement = Arrangement(asked.state, (), {}, ())
        if self._holds.all(nodes=nodes):
            arrangement = self._holds.arrange(asked.state, Universe(asked.state, options), nodes=nodes)
        engine = Engine(arrangement.state, options, kept=arrangement.kept)
        return _Made(engine, arrangement, self.compiler.compile(engine, asked.snapshot))

    def _versioned(self, plans: Mapping[str, NodePlan], frozen: Mapping[str, str]) -> dict[str, NodePlan]:
        """A plan whose content is that of the node's last one is the last one; others get a new version. Frozen nodes have
        their last one, if any."""
        out = {}
        for node, plan in plans.items():
            before = self.offers.newest(node)
            if node in frozen:
                if before is not None:
                    out[node] = before
                continue
            new = sealed(plan, before.version if before is not None else 0)
            if before is not None and before.digest == new.digest:
                out[node] = before
            else:
                out[node] = replace(new, version=self.versions.next())  # a digest is of the content alone
        return out


def _too_large(made: _Made, told: Mapping[str, Limits]) -> dict[str, RefusedError]:
    """The nodes whose plan is larger than their agent's tables; those that keep their last one anyway do not count."""
    out = {}
    for node, plan in made.plans.items():
        try:
            limits.check(plan, told.get(node, limits.DEFAULT))
        except RefusedError as error:
            if node not in made.arrangement.frozen:
                out[node] = error
    return out


def alike(one: ClusterState, other: ClusterState) -> bool:
    """Whether two states mean the same to policies: Services and the like do not count."""
    return (
        one.pods == other.pods
        and one.network_policies == other.network_policies
        and one.cluster_network_policies == other.cluster_network_policies
        and one.namespaces == other.namespaces
        and one.nodes == other.nodes
    )


def _at(planned: Planned, inventory_ns: int) -> Planned:
    return replace(planned, inventory_ns=inventory_ns)


def _policies(state: ClusterState | None) -> dict[str, object]:
    if state is None:
        return {}
    return {f"{p.namespace}/{p.name}": p for p in state.network_policies} | {
        p.name: p for p in state.cluster_network_policies
    }


def _since(
    planned: Planned | None, before: ClusterState | None, now: ClusterState, plans: Mapping[str, NodePlan]
) -> dict[str, Mapping[str, int]]:
    """`Planned.policy_since`: kept for policies that did not change, the present versions for the others."""
    versions = {node: plan.version for node, plan in plans.items()}
    known = _policies(before)
    out: dict[str, Mapping[str, int]] = {}
    for name, policy in _policies(now).items():
        kept = planned.policy_since.get(name) if planned is not None and known.get(name) == policy else None
        out[name] = versions if kept is None else {n: kept.get(n, v) for n, v in versions.items()}
    return out


@contextmanager
def _no_collection() -> Iterator[None]:
    """A compilation makes millions of objects and no cycles among them: the collector would walk them all, repeatedly."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
