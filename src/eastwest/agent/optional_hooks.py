"""The hooks beside flow: TCP health, drops, DNS. Each may be off or refused; what is missing is said, never zero.

One object for the agent's tick: `poll` often, `sense` before each drain (while the flow map still knows connections that
have ended), `columns` after it, `forget` when a pod is gone. The watcher thread calls `adopt` as pods come.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.dns import hook as dns_hook
from eastwest.agent.dns.watch import DnsWatch
from eastwest.agent.drop import hook as drop_hook
from eastwest.agent.drop.edges import attribute
from eastwest.agent.edges import Edges
from eastwest.agent.handover import Handover
from eastwest.agent.hooks_choice import Choice
from eastwest.agent.hooks_left import counted, missing_since
from eastwest.agent.hooks_sensed import Sensed, columns_of
from eastwest.agent.interfaces import Interface
from eastwest.agent.loader import LoadError
from eastwest.agent.resolve import Resolver
from eastwest.agent.sock import health
from eastwest.agent.sock import hook as sock_hook
from eastwest.agent.sock.health import Health
from eastwest.agent.sock.waiting import Waiting
from eastwest.model.batch import HookStatus
from eastwest.wire.batch import ColumnData

log = logging.getLogger("eastwest.agent")

_LOSSES: Final = {
    "sock": ("sock_lost_records", "closed connections found the ring full: their last figures are missing"),
    "drop": ("drop_lost", "drops found the maps full"),
    "dns": ("dns_lost_ring", "messages found the ring full"),
}
"""By hook the counter of what is lost at once, and what to say of it."""

_WAITING_BYTES: Final = 40 << 10
"""What may be left to a successor of connections whose pod is not known, and of questions without an answer, each."""

MANY: Final = 2048
"""Records of closed connections that are added up without waiting for the window's end."""


def interfaces_by_namespace(interfaces: Iterable[Interface]) -> dict[int, int]:
    """Inode of each known pod's namespace -> the host's end of its veth."""
    return {i.netns: i.ifindex for i in interfaces if i.netns is not None}


class OptionalHooks:
    """Open from construction to `close`. Never raises because a kernel refuses: see `statuses`."""

    def __init__(
        self, choice: Choice, flow_maps: Mapping[str, int], node_netns: int, handover: Handover | None = None
    ) -> None:
        """`flow_maps`: the flow object's, by name. `node_netns`: inode of the agent's own network namespace. With a `handover`
        that has pins, each hook goes on where the predecessor's last window ended, and `store` and `commit` are to be called."""
        self._node_netns = node_netns
        self._handover = handover or Handover()
        self._resolver, self._sock, sock = _open_sock(choice, flow_maps, self._handover)
        self._drop, drops = (
            drop_hook.open_or_status(self._handover) if choice.drops else (None, _off("drops", drop_hook.COLUMNS))
        )
        self._dns, dns = (
            dns_hook.open_or_status(choice.dns_ports, self._handover)
            if choice.dns
            else (None, _off("dns", dns_hook.COLUMNS))
        )
        self._watch = DnsWatch()
        self._waiting = Waiting(strangers=choice.host)
        self._risk_after: dict[str, int] = {}  # by hook: what of the last window a successor will not find
        self._healthy: list[Health] = []  # of connections that closed in this window
        self._unresolved = 0  # connections that had no flow, since the start
        self.owners: Callable[[NDArray[np.uint64]], NDArray[np.uint16]] | None = None
        """Whose the node's own sockets are, by cgroup; None: the node's."""
        self.look: Callable[[], None] | None = None
        """Tells the kernel whose the sockets are that it has met since, as `HostPods.look`."""
        self._statuses = (sock, drops, dns)
        self._said: dict[str, str] = {}  # by hook: what its figures of the open window lack
        self._lost_before: dict[str, int] = {}
        self._begin: dict[str, int] = {}  # counters as the predecessor's last window had them
        self._go_on()

    @property
    def dns(self) -> dns_hook.DnsHook | None:
        """To be lent to the flow program, or attached beside it."""
        return self._dns

    def _go_on(self) -> None:
        """Take up what the last window of a predecessor left, and say what is missing."""
        parts = (
            ("sock", self._sock, sock_hook.PINS),
            ("drop", self._drop, drop_hook.PINS),
            ("dns", self._dns, dns_hook.PINS),
        )
        for name, hook, pins in parts:
            if hook is None:
                self._handover.forget(pins)
                continue
            missing = missing_since(self._handover, name, resumed=hook.resumed)
            if missing:
                self._say(name, missing)
            if hook.resumed:
                self._begin |= json.loads(self._handover.left(f"{name}_counters") or b"{}")
        if self._sock is not None and self._sock.resumed:
            self._waiting.load(self._handover.left("sock_waiting"))
        if self._dns is not None and self._dns.resumed:
            self._watch.transactions.load(self._handover.left("dns_waiting"))

    def _say_losses(self, counters: Mapping[str, int]) -> None:
        for name, (counter, words) in _LOSSES.items():
            lost = counters.get(counter, 0) - self._lost_before.get(counter, 0)
            self._lost_before[counter] = counters.get(counter, 0)
            if lost:
                self._say(name, f"{lost} {words}")

    def _say(self, name: str, words: str) -> None:
        log.warning("%s: %s", name, words)
        self._said[name] = "; ".join(filter(None, (self._said.get(name), words)))

    @property
    def statuses(self) -> tuple[HookStatus, ...]:
        """Of each hook; the reason of one that is on says what its figures of this window lack."""
        named = zip(self._statuses, ("sock", "drop", "dns"), strict=True)
        return tuple(replace(s, reason=self._said[n]) if n in self._said else s for s, n in named)

    def store(self, number: int) -> None:
        """What was sensed last goes into window `number`: leave a successor what it needs if that is our last."""
        if self._handover.pins is None:
            return
        parts: dict[str, bytes] = {}
        if self._sock is not None:
            parts["sock_position"] = self._sock.position
            parts["sock_waiting"], left_out = self._waiting.dump(_WAITING_BYTES)
            self._risk_after["sock"] = left_out
            parts["sock_counters"] = counted("sock", self._sock.counters())
        if self._drop is not None:
            parts |= self._drop.seen()
            parts["drop_counters"] = counted("drop", self._drop.counters())
        if self._dns is not None:
            parts["dns_position"] = self._dns.position
            parts["dns_waiting"], left_out = self._watch.transactions.dump(_WAITING_BYTES)
            self._risk_after["dns"] = left_out
            parts["dns_counters"] = counted("dns", self._dns.counters())
        self._handover.store(number, parts)

    def commit(self, number: int) -> None:
        """Window `number` was handed over."""
        self._handover.commit(number)
        for hook in (self._sock, self._dns):
            if hook is not None:
                hook.commit()
        for name, records in self._risk_after.items():
            self._handover.risk(name, records)
        self._said = {}

    def adopt(self, netns_fd: int) -> None:
        """A pod's namespace became known: follow its connections that are older than the agent. About 5 ms."""
        if self._sock is None:
            return
        try:
            self._sock.adopt(netns_fd)
        except OSError as error:  # the pod has ended meanwhile
            log.info("connections older than the agent are not followed: %s", error)

    def forget(self, ifindex: int) -> None:
        """A pod's interface is gone."""
        self._watch.names.forget_pod(ifindex)

    def poll(self, interface_of: Callable[[], Mapping[int, int]] | None = None) -> None:
        """Empty the rings; several times a second, so that they never fill up.

        `interface_of`: as in `sense`. With it many closed connections become edges at once: while the flow map surely knows them,
        and in the processor's caches, where a whole window of them would fill the memory."""
        if self._sock is not None:
            self._sock.poll()
            if interface_of is not None and self._sock.waiting >= MANY:
                known = interface_of()
                self._sock.of_pods(self._pods_among(known))
                self._healthy.append(self._health_of(self._sock.closed(), known))
        if self._dns is not None:
            self._watch.see(self._dns.sightings())

    def sense(self, interface_of: Mapping[int, int], number: int | None = None) -> Sensed:
        """Everything since the last call. `interface_of`: inode of a pod's namespace -> the host's end of its veth.
        `number`: of the window that it is for; None: it counts as handed over at the next call."""
        self.poll()
        found = None
        if self._sock is not None:
            parts, self._healthy = self._healthy, []
            self._sock.of_pods(self._pods_among(interface_of))
            rest = self._health_of(self._sock.collect(number), interface_of)
            found = health.add_up([*parts, rest, health.of_sums(self._sock.added_up)])
        drops = attributed = losses = None
        if self._drop is not None:
            pods = self._pods_among(interface_of)
            self._drop.watch({self._node_netns, *pods})
            drops = self._drop.collect()
            losses = self._drop.losses(drops)
            attributed = attribute(drops, pods, self._node_netns, self._resolve)
        tally = None
        if self._dns is not None:
            tally = self._watch.close_window(time.monotonic_ns())
        counters = self._counters(found)
        self._say_losses(counters)
        return Sensed(found, drops, attributed, losses, tally, counters, time.monotonic_ns())

    def columns(self, edges: Edges, sensed: Sensed) -> tuple[Edges, dict[str, ColumnData]]:
        """The edges, with those added that only the sockets know, and every column of these hooks, (n,) each."""
        return columns_of(edges, sensed, self._watch.names)

    def drop_reason(self, number: int) -> str:
        """The kernel's name of a reason, such as `netfilter_drop`."""
        return self._drop.reason(number) if self._drop is not None else str(number)

    def close(self) -> None:
        """What is pinned goes on counting, for a successor."""
        for part in (self._sock, self._drop, self._dns, self._resolver):
            if part is not None:
                part.close()
        self._handover.close()

    def _health_of(self, increments: NDArray[Any], interface_of: Mapping[int, int]) -> Health:
        outward = health.on_the_wire(increments)
        outside = increments if outward.all() else increments[outward]
        ready = self._waiting.sort(outside, interface_of.keys(), self._node_netns, time.monotonic_ns())
        return health.of_edges(ready, interface_of, self._resolve, self.owners)

    def _pods_among(self, interface_of: Mapping[int, int]) -> dict[int, int]:
        """Without the node itself."""
        return {netns: ifindex for netns, ifindex in interface_of.items() if netns != self._node_netns}

    def _resolve(self, keys: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        if self.look is not None and len(keys):
            self.look()  # those of the last moments too, or they were the node's here and their pod's in the drain
        if self._resolver is None:
            return np.zeros((len(keys), 8), np.uint64), np.zeros(len(keys), np.bool_)
        return self._resolver.resolve(keys)

    def _counters(self, found: Health | None) -> dict[str, int]:
        self._unresolved += found.unresolved if found is not None else 0
        totals: dict[str, int] = {
            "sock_unresolved": self._unresolved,
            "sock_of_no_pod": self._waiting.left_out,
        }
        readers: tuple[tuple[str, Callable[[], dict[str, int]] | None], ...] = (
            ("sock", self._sock.counters if self._sock else None),
            ("drop", self._drop.counters if self._drop else None),
            ("dns", self._dns.counters if self._dns else None),
            ("dns", self._watch.counters if self._dns else None),
        )
        for prefix, read in readers:
            if read is not None:
                totals.update({f"{prefix}_{n}": v - self._begin.get(f"{prefix}_{n}", 0) for n, v in read().items()})
        totals.update({f"{name}_lost_handover": n for name, n in self._handover.lost.items()})
        return totals


def _off(name: str, columns: tuple[str, ...]) -> HookStatus:
    return HookStatus(name, "off", None, columns)


def _open_sock(
    choice: Choice, flow_maps: Mapping[str, int], handover: Handover
) -> tuple[Resolver | None, sock_hook.SockHook | None, HookStatus]:
    try:
        resolver: Resolver | None = Resolver(flow_maps)
    except (LoadError, OSError) as error:
        log.warning("connections cannot be joined to their edges and stay on rows of their own: %s", error)
        resolver = None
    if choice.cgroup is None:
        return resolver, None, _off("sock_ops", health.COLUMNS)
    opened, status = sock_hook.open_or_status(choice.cgroup, handover, flow_maps["flows"])
    return resolver, opened, status
