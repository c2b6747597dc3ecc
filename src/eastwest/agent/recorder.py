"""Turns one tick into one window: drains the kernel, adds up, closes the books. The tick thread owns it.

It ships nothing and waits for nothing but the kernel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import backends, books, edges, watcher
from eastwest.agent.abi import ACTIVE
from eastwest.agent.bypass import BypassMeter
from eastwest.agent.columns import Context, columns
from eastwest.agent.edges import Edges
from eastwest.agent.folding import fold
from eastwest.agent.hooks_sensed import Sensed
from eastwest.agent.host_pods import SHARED, HostPods, OwnTotals
from eastwest.agent.interfaces import Interface, Interfaces
from eastwest.agent.kernel import Drained, FlowKernel
from eastwest.agent.linkcounters import LinkCounters, LinkCounts
from eastwest.agent.optional_hooks import OptionalHooks, interfaces_by_namespace
from eastwest.model.batch import DNS_EVENT, Amount, Books, HookStatus
from eastwest.wire.batch import Columns, Words

CLOCK_STEP_NS: Final = 1_000_000_000
"""What a wall clock that is only being slewed never gains on the monotonic one within a window."""
AGENT_KILLED: Final = "agent_killed"
"""Cause of loss: the agent was killed in the middle of a drain that took several runs of its program."""
DEFAULT_EDGE_BUDGET: Final = 65_536
"""Records in a window; see `folding`."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one node saw in [start_ns, end_ns), wall-clock time."""

    start_ns: int
    end_ns: int
    columns: Columns
    rows: int
    books: tuple[Books, ...]
    hook_bytes: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    """(interfaces, 2): by direction, from the pod and to the pod; rows as in `books`."""
    hook_packets: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    drained: Drained = field(default_factory=lambda: Drained(0))
    drain_seconds: float = 0.0
    sensed: Sensed = field(default_factory=Sensed)
    active: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, len(ACTIVE)), np.int64))
    """(interfaces, protocols of abi.ACTIVE): entries of the flow map at the end; rows as in `books`."""
    pod_of: Mapping[int, str | None] = field(default_factory=dict)
    """Interface index -> UID of its pod."""
    own: OwnTotals = field(default_factory=OwnTotals)
    """Of the node's packets, those of host-network pods."""

    @property
    def recorded(self) -> Amount:
        return Amount(sum(b.recorded.bytes for b in self.books), sum(b.recorded.packets for b in self.books))


class Recorder:
    """Not thread-safe. `kernel` and `interfaces` are shared with the watcher."""

    def __init__(
        self,
        kernel: FlowKernel,
        interfaces: Interfaces,
        hooks: OptionalHooks,
        cluster: str,
        node: str,
        reason_words: Callable[[NDArray[Any]], Words] | None = None,
        edge_budget: int = DEFAULT_EDGE_BUDGET,
        host_pods: HostPods | None = None,
    ) -> None:
        """`host_pods`: who tells apart whose the node's own sockets are; None where the node itself is not recorded."""
        self._edge_budget, self._host_pods = edge_budget, host_pods
        self._kernel, self._interfaces, self._hooks = kernel, interfaces, hooks
        self._reason_words = reason_words
        self._backends = backends.instead(kernel.hooks)
        self._cluster, self._node = cluster, node
        self._start_ns = kernel.journal.end_ns or time.time_ns()
        self._purge = kernel.journal.adopted  # a predecessor may have been killed between forgetting and purging
        self._turned_ns = kernel.journal.end_mono_ns  # time.monotonic_ns() when the last window ended
        self._counters: LinkCounters | None = LinkCounters()
        self.refusal: HookStatus | None = None
        """Why nobody can tell what passed the hooks by; None: the pods' counters are read."""

    @property
    def kernel_hooks(self) -> tuple[HookStatus, ...]:
        """The kernel's, with what stands in for a refused one as of the last window."""
        if self._backends is None:
            return self._kernel.hooks
        return self._backends.among(self._kernel.hooks)

    def close(self) -> None:
        """Let go of what it reads from. After the last window."""
        if self._counters is not None:
            self._counters.close()
            self._counters = None

    def close_window(self, *, final: bool = False) -> Window:
        """Drain now. `final`: nothing may wait for a next window."""
        self._settle()
        started = time.monotonic()
        sensed = self._hooks.sense(
            interfaces_by_namespace(self._interfaces.snapshot()), self._kernel.journal.number + 1
        )
        passed = self._passed()
        resumed = self._kernel.resume() if self._kernel.interrupted is not None else None
        quiet = resumed.quiet if resumed is not None else self._kernel.turn()
        start_ns, end_ns = (
            self._bounds(resumed.end_ns, resumed.end_mono_ns)
            if resumed is not None
            else self._bounds(time.time_ns(), time.monotonic_ns())
        )
        self._look()  # what was met since: numbers are written by the drain
        offset_ns = time.time_ns() - time.monotonic_ns()
        accounted, hold = self._interfaces.drained()
        parts: list[Edges] = []
        drained = self._kernel.drain(
            quiet,
            lambda records: parts.append(edges.from_records(records)),
            carry=not final,
            purge=self._purge,
            hold=hold,
        )
        self._purge = False
        merged = edges.merge(parts)
        own = OwnTotals()
        if self._host_pods is not None:
            merged = self._host_pods.assign(merged)
            own = self._host_pods.totals(merged)
        found, optional = self._hooks.columns(merged, sensed)
        if self._backends is not None:
            found = self._backends.name(found)  # the hooks know connections as the pod's interface shows them
        context = Context(
            self._cluster,
            self._node,
            start_ns,
            end_ns,
            offset_ns,
            {i.ifindex: i.pod_uid for i in accounted},
            self._reason_words,
            self._host_pods.owners.uids if self._host_pods is not None else {},
        )
        window = self._account(found, accounted, passed, quiet, context, drained, started, _lookups(sensed))
        if resumed is not None and resumed.lossy:
            window = replace(window, books=tuple(books.balance(b, AGENT_KILLED) for b in window.books))
        self._start_ns = end_ns
        self._hooks.store(self._kernel.journal.number)
        kept = fold({**window.columns, **optional}, window.rows, self._edge_budget)
        marked = tuple(_marked(book, kept.edges) for book in window.books) if kept.edges else window.books
        return replace(
            window,
            columns=kept.columns,
            rows=kept.rows,
            books=marked,
            sensed=sensed,
            pod_of=context.pod_uids,
            own=own,
        )

    def _look(self) -> None:
        if self._host_pods is not None:
            self._host_pods.look()

    def _bounds(self, now_ns: int, turned_ns: int | None) -> tuple[int, int]:
        """Where the window begins and ends that ended at `now_ns` and, by CLOCK_MONOTONIC, at `turned_ns`. A window is as
        long as it lasted: when the wall clock was set, it does not reach back to where the last one ended by the old
        clock, also when that was a predecessor's."""
        before_ns, self._turned_ns = self._turned_ns, turned_ns
        start_ns = min(self._start_ns, now_ns) if before_ns is None or turned_ns is None else self._start_ns
        if before_ns is not None and turned_ns is not None:
            lasted_ns = turned_ns - before_ns
            stepped_ns = now_ns - start_ns - lasted_ns
            if abs(stepped_ns) > CLOCK_STEP_NS:
                watcher.log.warning("the node's clock was set by %+.1f s: windows go on from there", stepped_ns / 1e9)
                start_ns = now_ns - lasted_ns
        return start_ns, max(now_ns, start_ns + 1)

    def commit(self) -> None:
        """The last window is in safe hands: a successor goes on after it."""
        self._kernel.journal.commit(self._start_ns)
        self._hooks.commit(self._kernel.journal.number)

    def _settle(self) -> None:
        """Release the interfaces whose pod was found; let go of those that are no pod's."""
        release, discard = self._interfaces.settle(time.monotonic())
        for interface in release:
            self._kernel.release(interface.ifindex)
        for interface in discard:
            watcher.log.info(
                "interface %s is no pod's: not hooked (--host records what the node itself sends and receives)",
                interface.link.name,
            )
            watcher.unhook(self._interfaces, interface)
            self._forget(interface)

    def _forget(self, interface: Interface) -> None:
        self._kernel.set_listeners(interface.ifindex, set(), interface.listeners)
        self._kernel.remove_interface(interface.ifindex)
        self._hooks.forget(interface.ifindex)
        self._kernel.journal.forget(interface.ifindex)
        interface.before.clear()
        interface.bypass = BypassMeter()
        self._purge = True

    def _passed(self) -> dict[int, LinkCounts]:
        """What the pods' own ends have counted, by interface; without those that are gone or not hooked yet."""
        hooked = [i for i in self._interfaces.drained()[0] if i.hooks and not i.gone and i.bypass.started]
        return {i.ifindex: counts for i in hooked if (counts := self._read(i)) is not None}

    def _also(self, interface: Interface, lookups: Mapping[int, Mapping[str, int]]) -> Mapping[str, int]:
        """Events of its books that the kernel does not count."""
        found = lookups.get(interface.ifindex, {})
        shared = self._host_pods.shared if interface.host and self._host_pods is not None else 0
        return {**found, SHARED: shared} if shared else found

    def _bypassed(self, interface: Interface, before: LinkCounts | None, both: NDArray[Any]) -> Amount:
        """`before`: read before the epoch moved on."""
        hook = books.hook_counts(both)
        if before is not None:
            return interface.bypass.update(before, hook)
        if interface.hooks and not interface.bypass.started:
            after = self._read(interface)
            if after is not None:
                interface.bypass.start(after, hook)
        return books.NOTHING

    def _read(self, interface: Interface) -> LinkCounts | None:
        if self._counters is None:
            return None
        try:
            return self._counters.read(interface.link)
        except OSError as error:
            self.refusal = HookStatus("link_counters", "refused", str(error), ("hook_bypass",))
            self.close()
            return None

    def _account(
        self,
        found: Edges,
        accounted: Sequence[Interface],
        passed: Mapping[int, LinkCounts],
        quiet: int,
        context: Context,
        drained: Drained,
        started: float,
        lookups: Mapping[int, Mapping[str, int]],
    ) -> Window:
        recorded = books.recorded_by_interface(found)
        closed: list[Books] = []
        totals: list[NDArray[Any]] = []
        active: list[NDArray[np.uint64]] = []
        for interface in accounted:
            kernel = self._kernel.totals(interface.ifindex)
            if kernel is None:
                continue
            now = kernel["set"][quiet]
            window = books.since(now, interface.before.get(quiet))
            self._kernel.journal.report(
                interface.ifindex,
                interface.link.name,
                interface.pod_uid,
                interface.netns,
                quiet,
                interface.before,
                now,
            )
            interface.before[quiet] = now
            closed.append(
                books.close(
                    interface.pod_uid,
                    interface.link.name,
                    window,
                    recorded.get(interface.ifindex, books.NOTHING),
                    self._bypassed(interface, passed.get(interface.ifindex), kernel["set"]),
                    self._also(interface, lookups),
                )
            )
            totals.append(window["hook"])
            active.append(kernel["active"])
            if self._interfaces.counted(interface, closed[-1].hook.packets):
                self._forget(interface)
        hooks = np.array(totals) if totals else np.zeros((0, 2), [("bytes", "u8"), ("packets", "u8")])
        return Window(
            context.window_start_ns,
            context.window_end_ns,
            columns(found, context),
            len(found),
            tuple(closed),
            hooks["bytes"].astype(np.int64),
            hooks["packets"].astype(np.int64),
            drained,
            time.monotonic() - started,
            active=np.maximum(np.array(active, np.uint64).view(np.int64), 0).reshape(-1, len(ACTIVE)),
        )


def _lookups(sensed: Sensed) -> dict[int, dict[str, int]]:
    """Interface -> event of its books -> lookups that its pod asked."""
    events: dict[int, dict[str, int]] = {}
    if sensed.dns is not None:
        for (ifindex, outcome), amount in sensed.dns.by_pod().items():
            events.setdefault(ifindex, {})[f"{DNS_EVENT}{outcome}"] = amount.lookups
    return events


def _marked(book: Books, folded: Mapping[str | None, int]) -> Books:
    """An interface's books, saying how many edges of its pod have lost their names."""
    edges = folded.get(book.pod_uid, 0)
    return replace(book, other={**book.other, "edges_folded": edges}) if edges else book
